// ReferenceGrant: the owner of a namespace says who may refer to what in it. Both lists are ORed, and each `to` goes
// with each `from` (apis/v1 ReferenceGrantSpec).

import { type KubeObject, keyOf } from '../api/object.ts';
import { fields } from '../base/fields.ts';
import { type Reader, useOf } from './dependencies.ts';
import { anyText, list, text } from './read.ts';

export interface Reference {
  readonly fromGroup: string;
  readonly fromKind: string;
  readonly fromNamespace: string;
  readonly toGroup: string;
  readonly toKind: string;
  readonly toNamespace: string;
  readonly toName: string;
}

/** Whether the reference stays in its namespace or is granted by the other one. */
export function permitted(reader: Reader, reference: Reference): boolean {
  if (reference.fromNamespace === reference.toNamespace) return true;
  const permitting = reader.by('grantsByNamespace', reference.toNamespace).filter((grant) => permits(grant, reference));
  for (const grant of permitting) reader.note(useOf(keyOf(grant)));
  return permitting.length > 0;
}

function permits(grant: KubeObject, reference: Reference): boolean {
  const spec = fields(grant.spec);
  return (
    list(spec['from']).some((item) => {
      const from = fields(item);
      return (
        anyText(from['group']) === reference.fromGroup &&
        from['kind'] === reference.fromKind &&
        from['namespace'] === reference.fromNamespace
      );
    }) &&
    list(spec['to']).some((item) => {
      const to = fields(item);
      const name = text(to['name']);
      return (
        anyText(to['group']) === reference.toGroup &&
        to['kind'] === reference.toKind &&
        (name === undefined || name === reference.toName)
      );
    })
  );
}
