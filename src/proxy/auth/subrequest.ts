// What the answer of a server comes to that is asked one URL about all requests (AuthSubrequest), as by auth_request of
// nginx. Ingresses ask so (auth-url); a filter of the Gateway API asks about each path.

import type { Core } from '../core.ts';
import { CHANGE, type FieldChange } from '../exchange/amend.ts';
import { FieldName } from '../field-name.ts';
import { isFieldValue } from '../filter/field-edits.ts';
import { HttpReply } from './reply.ts';
import { copiedOf, deniedOf, FAILED, type Field, type Verdict } from './verdict.ts';

const UNAUTHORIZED = 401;
const FORBIDDEN = 403;
const FOUND = 302;
const SET_COOKIE = new FieldName('set-cookie');

/** `location`: where whoever is not known is sent; '' for nowhere. */
export class SubrequestReply extends HttpReply {
  readonly #names: readonly string[];
  readonly #location: string;

  constructor(core: Core, names: readonly string[], location: string) {
    super(core, names);
    this.#names = names;
    this.#location = location;
  }

  override verdict(): Verdict {
    const { status, fields } = this;
    const cookies = fields.filter(({ name, value }) => name.toLowerCase() === 'set-cookie' && isFieldValue(value));
    if (status >= 200 && status < 300) {
      const request = this.#names.length === 0 ? [] : copiedOf(fields, this.#names);
      const response = cookies.map(({ value }): FieldChange => ({ how: CHANGE.APPEND, name: SET_COOKIE, value }));
      return { type: 'allowed', amendments: { request, query: [], response } };
    }
    if (status === UNAUTHORIZED && this.#location !== '') {
      const there: Field = { name: 'Location', value: this.#location };
      return deniedOf(FOUND, [there, ...cookies], new Uint8Array(0), true);
    }
    // Like nginx: a server that answers anything else is not one of this kind.
    return status === UNAUTHORIZED || status === FORBIDDEN ? super.verdict() : FAILED;
  }
}
