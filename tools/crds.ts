// `deploy/crds/`: the definitions of RAUTA's own kinds, made of the shapes by which files are checked, so that a
// cluster and a file refuse the same; `tools/docs.ts` writes them.

import { stringify } from 'yaml';
import { OWN_KINDS } from '../src/api/backend.ts';
import { OWN_CEL } from '../src/api/own-cel.ts';
import type { KindInfo, Shape } from '../src/api/shape.ts';

type Schema = Readonly<Record<string, unknown>>;

const ABOUT: Readonly<Record<string, string>> = {
  Backend: 'Where traffic goes when no Service says it: addresses, host names, unix sockets.',
  StaticResponseFilter: 'A response that RAUTA gives itself; rules of routes name it by ExtensionRef.',
  GatewayClassParameters:
    'What holds for all Gateways of a class, unless their own GatewayParameters say otherwise; GatewayClasses name it in spec.parametersRef.',
  GatewayParameters:
    "What holds for a Gateway, which names it in spec.infrastructure.parametersRef; what it leaves out is its class's.",
  AccessControlFilter: 'Who may ask, by address, method and path; rules of routes name it by ExtensionRef.',
};

/** Definitions by the name of their file. */
export function crds(): ReadonlyMap<string, string> {
  return new Map(OWN_KINDS.map((info) => [`${plural(info.kind)}.yaml`, definition(info)]));
}

function plural(kind: string): string {
  const name = kind.toLowerCase();
  return name.endsWith('s') ? name : `${name}s`;
}

function definition({ kind, apiVersion, namespaced, versions }: KindInfo): string {
  const [group = '', version = ''] = apiVersion.split('/');
  const body = schemaOf(kind, '', versions[apiVersion] as Shape);
  const properties = {
    apiVersion: { type: 'string' },
    kind: { type: 'string' },
    metadata: { type: 'object' },
    ...(body['properties'] as Schema),
  };
  const object = {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural(kind)}.${group}` },
    spec: {
      group,
      scope: namespaced ? 'Namespaced' : 'Cluster',
      names: {
        kind,
        listKind: `${kind}List`,
        plural: plural(kind),
        singular: kind.toLowerCase(),
        categories: ['rauta'],
      },
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          schema: { openAPIV3Schema: { description: ABOUT[kind], ...body, properties } },
          additionalPrinterColumns: [{ name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' }],
        },
      ],
    },
  };
  return `# Made of src/api by tools/docs.ts.\n${stringify(object, { lineWidth: 0, aliasDuplicateObjects: false })}`;
}

const TYPES: Readonly<Record<string, string>> = { map: 'object' };
/** What bounds are called of each type. */
const BOUNDS: Readonly<Record<string, readonly [string, string]>> = {
  string: ['minLength', 'maxLength'],
  array: ['minItems', 'maxItems'],
  map: ['minProperties', 'maxProperties'],
  integer: ['minimum', 'maximum'],
  number: ['minimum', 'maximum'],
};

function schemaOf(kind: string, path: string, shape: Shape): Schema {
  const { type } = shape;
  if (type === 'free') return { 'x-kubernetes-preserve-unknown-fields': true };
  if (type === 'intOrString') return { 'x-kubernetes-int-or-string': true };
  const [least, most] = BOUNDS[type] ?? [];
  const rules = OWN_CEL[kind]?.[path];
  return {
    type: TYPES[type] ?? type,
    ...given('format', shape.format),
    ...given('pattern', shape.pattern),
    ...given('enum', shape.enum),
    ...given('default', shape.default),
    ...given('nullable', shape.nullable),
    ...given('required', shape.required),
    ...(least === undefined ? {} : given(least, shape.min)),
    ...(most === undefined ? {} : given(most, shape.max)),
    ...(shape.keys === undefined ? {} : { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': shape.keys }),
    ...(shape.set === true ? { 'x-kubernetes-list-type': 'set' } : {}),
    // A field that is misspelt is told to its writer by RAUTA; pruned by the API server it would be gone in silence.
    ...(path === 'spec' ? { 'x-kubernetes-preserve-unknown-fields': true } : {}),
    ...(rules === undefined ? {} : { 'x-kubernetes-validations': rules }),
    ...(shape.items === undefined ? {} : { items: schemaOf(kind, `${path}[]`, shape.items) }),
    ...(shape.values === undefined ? {} : { additionalProperties: schemaOf(kind, `${path}{}`, shape.values) }),
    ...(shape.fields === undefined
      ? {}
      : {
          properties: Object.fromEntries(
            Object.entries(shape.fields).map(([name, field]) => [
              name,
              schemaOf(kind, path === '' ? name : `${path}.${name}`, field),
            ]),
          ),
        }),
  };
}

function given(name: string, value: unknown): Schema {
  return value === undefined ? {} : { [name]: value };
}
