// Answers that no backend gave: of a fault, of a redirect, of a rule with a status of its own, of whoever decides about
// a request. Prepared once; each codec writes them in the form of its wire.

import { bytesOf } from '../../base/bytes.ts';
import { FAULTS, type Fault } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import { FieldLines } from '../filter/field-lines.ts';

/** They have no content (RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5): what came behind would be the next answer. */
const NO_CONTENT: ReadonlySet<number> = new Set([204, 205, 304]);

export class Answer {
  readonly status: number;
  /** Its fields, besides those that the codec knows (Date, Content-Length, Connection); null for none. */
  readonly fields: FieldLines | null;
  /** Content; none goes to HEAD, and none is kept for a status that has none. */
  readonly body: Uint8Array;
  /** Nothing that follows the request can be trusted: the connection (or stream) ends with this answer. */
  readonly closes: boolean;

  /** Throws when it is larger than what is written in one piece. */
  constructor(status: number, fields: FieldLines | null, body: Uint8Array, closes: boolean) {
    const size = body.length + (fields === null ? 0 : fields.http1.size);
    if (size > ANSWER_BYTES) throw new Error(`an answer of ${size} bytes, more than ${ANSWER_BYTES}`);
    this.status = status;
    this.fields = fields;
    this.body = NO_CONTENT.has(status) ? NO_BODY : body;
    this.closes = closes;
  }

  /** The same with what `edit` leaves of its fields. */
  withFields(edit: (fields: FieldLines) => FieldLines): Answer {
    const { fields } = this;
    const edited = fields === null ? null : edit(fields);
    return edited === fields ? this : new Answer(this.status, edited, this.body, this.closes);
  }
}

/** Fields and body of one answer; a head of the largest kind (a redirect's target) fits besides. */
export const ANSWER_BYTES: number = LIMITS.CORK_BYTES - 2 * LIMITS.HEAD_BYTES;

export const NO_BODY = new Uint8Array(0);
const TEXT_PLAIN = new FieldLines([{ name: 'Content-Type', value: 'text/plain; charset=utf-8' }]);

/** What the faults of the data plane look like to a client. */
export class FaultAnswers {
  readonly #byFault = new Map<Fault, Answer>();

  /** `answer` makes that of each fault that has a status. */
  constructor(answer: (fault: Fault) => Answer) {
    for (const fault of Object.values(FAULTS)) if (fault.status !== 0) this.#byFault.set(fault, answer(fault));
  }

  /** Null when nobody is left to be told of it. */
  of(fault: Fault): Answer | null {
    return this.#byFault.get(fault) ?? null;
  }
}

/** Short plain text (docs/reference/answers.md). */
export const TEXT_ANSWERS = new FaultAnswers(
  ({ status, text, source }) => new Answer(status, TEXT_PLAIN, bytesOf(`${text}\n`), source === 'downstream'),
);
