// What the answers that no backend gave look like, by Gateway: short plain text, nothing, a page, or a problem (RFC
// 9457). Of faults, and of rules that could not be made whole; what somebody else wrote (StaticResponseFilter, who
// decided about the request) stays as it is.

import { bytesOf } from '../../base/bytes.ts';
import type { ErrorBodies } from '../../ir/ir.ts';
import { FieldLines } from '../filter/field-lines.ts';
import { PHRASES } from '../phrases.ts';
import { Answer, FaultAnswers, NO_BODY, TEXT_ANSWERS } from './answer.ts';

/** Of a rule that could not be made whole; its name among those of faults. */
const INVALID_RULE = { kind: 'invalid_rule', text: 'the rule cannot be served as it is written' };

interface Form {
  readonly type: string | null;
  readonly body: (status: number, kind: string, text: string) => string;
}

function phraseOf(status: number): string {
  return PHRASES[status] ?? `Status ${status}`;
}

function formOf({ type, authority }: ErrorBodies): Form {
  switch (type) {
    case 'empty':
      return { type: null, body: () => '' };
    case 'html':
      return {
        type: 'text/html; charset=utf-8',
        body: (status, _, text) => page(`${status} ${phraseOf(status)}`, text),
      };
    case 'problem':
      return {
        type: 'application/problem+json',
        body: (status, kind, text) => `${JSON.stringify(problem(authority, status, kind, text))}\n`,
      };
  }
}

/** Texts are ours, and none needs escaping. */
function page(title: string, text: string): string {
  const head = `<meta charset="utf-8"><title>${title}</title>`;
  return `<!doctype html>\n<html lang="en">\n<head>${head}</head>\n<body><h1>${title}</h1><p>${text}</p></body>\n</html>\n`;
}

/**
 * Members of RFC 9457 section 3.1. Without an authority the type is `about:blank` (not said), and the title that of the
 * status (section 4.2.1).
 */
function problem(authority: string, status: number, kind: string, text: string): Record<string, unknown> {
  const title = phraseOf(status);
  return authority === '' ? { title, status, detail: text } : { type: `${authority}/${kind}`, title: text, status };
}

export class ErrorAnswers {
  readonly faults: FaultAnswers;
  readonly #form: Form | null;
  readonly #fields: FieldLines | null;
  readonly #ofRules = new WeakMap<Answer, Answer>();

  /** `bodies`: null for short plain text. */
  constructor(bodies: ErrorBodies | null) {
    const form = bodies === null ? null : formOf(bodies);
    this.#form = form;
    this.#fields =
      form === null || form.type === null ? null : new FieldLines([{ name: 'Content-Type', value: form.type }]);
    this.faults =
      form === null
        ? TEXT_ANSWERS
        : new FaultAnswers(({ status, kind, text, source }) => {
            const body = form.type === null ? NO_BODY : bytesOf(form.body(status, kind, text));
            return new Answer(status, this.#fields, body, source === 'downstream');
          });
  }

  /** Of a rule that answers `answer`, without content, because it could not be made whole. */
  ofRule(answer: Answer): Answer {
    const form = this.#form;
    if (form === null || form.type === null) return answer;
    let made = this.#ofRules.get(answer);
    if (made === undefined) {
      const rest = (answer.fields?.lines ?? []).filter(({ name }) => name.toLowerCase() !== 'content-type');
      const fields = new FieldLines([...(this.#fields?.lines ?? []), ...rest]);
      const body = bytesOf(form.body(answer.status, INVALID_RULE.kind, INVALID_RULE.text));
      made = new Answer(answer.status, fields, body, answer.closes);
      this.#ofRules.set(answer, made);
    }
    return made;
  }
}
