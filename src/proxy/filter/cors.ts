// Cross-origin requests (the Fetch standard, section 3.3; Gateway API HTTPCORSFilter): which origins may read what a
// rule answers, and what a browser that asks before (a preflight) is told.

import { textOf } from '../../base/bytes.ts';
import { LIMITS } from '../../base/limits.ts';
import type { Cors } from '../../ir/ir.ts';
import { FieldName } from '../field-name.ts';
import { type Head, METHOD, NAME } from '../head.ts';
import { FilterError } from './field-edits.ts';
import type { FieldLine, FieldLines } from './field-lines.ts';

const REQUEST_METHOD = new FieldName('access-control-request-method');
const REQUEST_HEADERS = new FieldName('access-control-request-headers');

/** Of responses: what a backend says of this is replaced by what the rule does. */
export const CORS_FIELDS: readonly string[] = [
  'Access-Control-Allow-Origin',
  'Access-Control-Allow-Credentials',
  'Access-Control-Allow-Methods',
  'Access-Control-Allow-Headers',
  'Access-Control-Expose-Headers',
  'Access-Control-Max-Age',
];

const OF_CORS: ReadonlySet<string> = new Set(CORS_FIELDS.map((name) => name.toLowerCase()));

/** `lines` without any of these. */
export function withoutCors(lines: FieldLines): FieldLines {
  return lines.without(OF_CORS);
}

/** `lines` without those of these that `said` says, too. */
export function withoutSaid(lines: FieldLines, said: readonly FieldLine[]): FieldLines {
  const names = said.map(({ name }) => name.toLowerCase());
  return lines.without(new Set(names.filter((name) => OF_CORS.has(name))));
}

/**
 * An origin as browsers send it (RFC 6454 section 6.2), and with a wildcard as it is configured. Of any scheme: apps
 * and extensions have their own (`capacitor://localhost`).
 */
const ORIGIN = /^([a-z][a-z0-9+.-]*):\/\/([*]?[a-z0-9._-]*|\[[0-9a-f:.]+\])(?::(\d{1,5}))?$/;
/** Of what has no origin of its own (a sandbox, a file). */
const OPAQUE = 'null';

interface Pattern {
  readonly scheme: string;
  /** Behind a wildcard what the host ends with, else the whole host. */
  readonly host: string;
  readonly wildcard: boolean;
  readonly port: string;
}

/** Throws FilterError. */
function patternOf(text: string): Pattern {
  const [, scheme = '', host = '', port = ''] = ORIGIN.exec(text.toLowerCase()) ?? [];
  if (scheme === '') throw new FilterError(`CORS origin ${JSON.stringify(text)}: not an origin`);
  const wildcard = host.startsWith('*');
  return { scheme, host: wildcard ? host.slice(1) : host, wildcard, port: portOf(scheme, port) };
}

function portOf(scheme: string, port: string): string {
  if (port !== '') return port;
  return scheme === 'https' ? '443' : scheme === 'http' ? '80' : '';
}

function list(names: readonly string[]): string {
  return names.join(', ');
}

export class CompiledCors {
  readonly #cors: Cors;
  /** Null: any origin. */
  readonly #patterns: readonly Pattern[] | null;
  /** What was found for origins that came before: few, mostly. */
  readonly #verdicts = new Map<string, boolean>();
  /** Any origin may read, without credentials: the answer is the same for all. */
  readonly #same: boolean;

  /** Throws FilterError. */
  constructor(cors: Cors) {
    this.#cors = cors;
    this.#patterns = cors.origins.includes('*') ? null : cors.origins.map(patternOf);
    this.#same = this.#patterns === null && !cors.credentials;
  }

  /** The Origin of a request that may be told; '' where there is none, or one that may not. */
  originOf(mem: Uint8Array, head: Head): string {
    const at = head.find(NAME.ORIGIN);
    if (at < 0 || head.valueEnd(at) - head.valueStart(at) > LIMITS.CORS_ORIGIN_BYTES) return '';
    const origin = textOf(mem, head.valueStart(at), head.valueEnd(at));
    return this.#allows(origin) ? origin : '';
  }

  #allows(origin: string): boolean {
    let verdict = this.#verdicts.get(origin);
    if (verdict === undefined) {
      verdict =
        this.#patterns === null
          ? origin === OPAQUE || ORIGIN.test(origin.toLowerCase())
          : matches(this.#patterns, origin);
      if (this.#verdicts.size >= LIMITS.CORS_ORIGINS) this.#verdicts.clear();
      this.#verdicts.set(origin, verdict);
    }
    return verdict;
  }

  /** A browser asks whether it may ask. */
  isPreflight(mem: Uint8Array, head: Head): boolean {
    return head.method === METHOD.OPTIONS && head.find(NAME.ORIGIN) >= 0 && find(mem, head, REQUEST_METHOD) >= 0;
  }

  /** What of `originOf` has an answer of its own: origins with the same text here get the same. */
  answerKey(origin: string): string {
    return origin !== '' && this.#same ? '*' : origin;
  }

  /** What stands on responses for an origin that may be told, '' for others. */
  lines(origin: string): FieldLine[] {
    const { credentials, exposedHeaders } = this.#cors;
    const lines: FieldLine[] = [];
    // The answer is another for another origin: caches have to know, and of requests without one, too.
    if (!this.#same) lines.push({ name: 'Vary', value: 'Origin' });
    if (origin === '') return lines;
    lines.push({ name: 'Access-Control-Allow-Origin', value: this.#same ? '*' : origin });
    if (credentials) lines.push({ name: 'Access-Control-Allow-Credentials', value: 'true' });
    // With credentials "*" would be a name like any other.
    const exposed = credentials ? exposedHeaders.filter((name) => name !== '*') : exposedHeaders;
    if (exposed.length > 0) lines.push({ name: 'Access-Control-Expose-Headers', value: list(exposed) });
    return lines;
  }

  /** The field lines that answer a preflight, with CRLF. */
  preflight(mem: Uint8Array, head: Head, origin: string): Uint8Array {
    const { methods, headers, maxAgeS } = this.#cors;
    const lines = this.lines(origin);
    if (origin !== '') {
      const asked = (name: FieldName): string => {
        const at = find(mem, head, name);
        return at < 0 ? '' : textOf(mem, head.valueStart(at), head.valueEnd(at));
      };
      const allowed = (names: readonly string[], name: FieldName): string =>
        names.includes('*') ? asked(name) : list(names);
      const method = allowed(methods, REQUEST_METHOD);
      if (method !== '') lines.push({ name: 'Access-Control-Allow-Methods', value: method });
      const header = allowed(headers, REQUEST_HEADERS);
      if (header !== '') lines.push({ name: 'Access-Control-Allow-Headers', value: header });
      lines.push({ name: 'Access-Control-Max-Age', value: String(maxAgeS) });
    }
    // One byte a character, as it came.
    return new Uint8Array(Buffer.from(lines.map(({ name, value }) => `${name}: ${value}\r\n`).join(''), 'latin1'));
  }
}

function matches(patterns: readonly Pattern[], origin: string): boolean {
  const [, scheme = '', host = '', port = ''] = ORIGIN.exec(origin.toLowerCase()) ?? [];
  if (scheme === '') return false;
  const number = portOf(scheme, port);
  return patterns.some(
    (p) =>
      p.scheme === scheme &&
      p.port === number &&
      (p.wildcard ? host.endsWith(p.host) && host !== p.host : host === p.host),
  );
}

function find(mem: Uint8Array, head: Head, name: FieldName): number {
  for (let i = 0; i < head.count; i++) if (name.is(mem, head, i)) return i;
  return -1;
}
