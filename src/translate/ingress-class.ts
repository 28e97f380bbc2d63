// Which Ingresses are ours (networking.k8s.io/v1 IngressSpec.ingressClassName, IngressClass).

import { type KubeObject, type ObjectKey, objectKey } from '../api/object.ts';
import { fields } from '../base/fields.ts';
import type { TranslatorOptions } from './context.ts';
import type { Reader } from './dependencies.ts';
import { shown, text } from './read.ts';

/** IngressClasses whose spec.controller is this are ours. */
export const INGRESS_CONTROLLER = 'rauta.io/ingress-controller';
/** What named the class before there was a field for it, and still comes first where it is there. */
const LEGACY_CLASS = 'kubernetes.io/ingress.class';
const DEFAULT_CLASS = 'ingressclass.kubernetes.io/is-default-class';

export interface IngressClaim {
  readonly ours: boolean;
  /** What its author should know of that; null: nothing. */
  readonly warning: { readonly field: string; readonly message: string; readonly absent: ObjectKey } | null;
}

const OURS: IngressClaim = { ours: true, warning: null };
const FOREIGN: IngressClaim = { ours: false, warning: null };

/** The class that an Ingress names, and where. */
export function namedClass(ingress: KubeObject): { readonly name: string | undefined; readonly field: string } {
  const legacy = text(fields(ingress.metadata.annotations)[LEGACY_CLASS]);
  if (legacy !== undefined) return { name: legacy, field: `metadata.annotations[${LEGACY_CLASS}]` };
  return { name: text(fields(ingress.spec)['ingressClassName']), field: 'spec.ingressClassName' };
}

/**
 * An Ingress that names no class is ours when a class of ours is the default one, and also when there is no default
 * class at all; in a cluster a class of ours has to exist for that.
 */
export function claimIngress(reader: Reader, ingress: KubeObject, options: TranslatorOptions): IngressClaim {
  const { name: named, field } = namedClass(ingress);
  if (named === undefined) return claimDefault(reader, options);
  const object = reader.get('IngressClass', undefined, named);
  if (object !== undefined) return isOurs(object) ? OURS : FOREIGN;
  if (named === options.implicitClass) return OURS;
  // In a cluster the class of another controller may need no object.
  if (options.implicitClass === null) return FOREIGN;
  const message = `IngressClass ${shown(named)} does not exist; "${options.implicitClass}" needs none. It is not served.`;
  return { ours: false, warning: { field, message, absent: objectKey('IngressClass', undefined, named) } };
}

function claimDefault(reader: Reader, options: TranslatorOptions): IngressClaim {
  const classes = reader.by('ingressClasses', '');
  const defaults = classes.filter(isDefaultClass);
  if (defaults.length > 0) return defaults.some(isOurs) ? OURS : FOREIGN;
  return options.implicitClass !== null || classes.some(isOurs) ? OURS : FOREIGN;
}

function isOurs(ingressClass: KubeObject): boolean {
  return fields(ingressClass.spec)['controller'] === INGRESS_CONTROLLER;
}

function isDefaultClass(ingressClass: KubeObject): boolean {
  return fields(ingressClass.metadata.annotations)[DEFAULT_CLASS] === 'true';
}
