// ReferenceGrant: the owner of a namespace says who may refer to what in it. Both lists are ORed, and each `to` goes
// with each `from` (apis/v1 ReferenceGrantSpec).

import { fields } from '../base/fields.ts';
import type { Reader } from './dependencies.ts';
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
  return reader.by('grantsByNamespace', reference.toNamespace).some((grant) => {
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
  });
}
