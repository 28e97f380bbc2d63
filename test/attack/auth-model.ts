// What external authorization has to come to, computed from what a client sends, what the rule says and what the server
// answers: a model that shares no code with the proxy. Fields are lines of one byte a sign.

import type { ExternalAuth } from '../../src/ir/ir.ts';

export type Line = readonly [name: string, value: string];

export interface Ask {
  readonly method: string;
  /** As it is sent. */
  readonly target: string;
  /** Path and query as everybody behind is to see them; null: it is refused. */
  readonly meant: string | null;
  /** Of the Host field; '' for none (HTTP/1.0). */
  readonly host: string;
  /** That everybody behind is to see. */
  readonly authority: string;
  readonly version: '1.0' | '1.1';
  readonly fields: readonly Line[];
  /** null: no content. */
  readonly content: string | null;
  readonly chunked: boolean;
  readonly trailers: readonly Line[];
  /** It waits for 100. */
  readonly expects: boolean;
}

/** What the server's answer comes to. */
export type Verdict =
  /** `set` replace what is there of their names, `added` do not; `told`: of the backend's response. */
  | {
      readonly type: 'allowed';
      readonly removed: readonly string[];
      readonly set: readonly Line[];
      readonly told: readonly Line[];
    }
  | { readonly type: 'denied'; readonly status: number; readonly lines: readonly Line[]; readonly content: string }
  | { readonly type: 'failed' };

/** Names that a backend may take for the same are one. */
export function loose(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, '-');
}

const HOPS = new Set([
  ...['connection', 'te', 'keep-alive', 'proxy-authorization', 'proxy-connection', 'upgrade', 'transfer-encoding'],
  ...['content-length', 'host', 'expect', 'trailer', 'http2-settings'],
]);
const TELLING = new Set([
  'proxy',
  'content-length',
  'transfer-encoding',
  'x-real-ip',
  'x-request-id',
  'forwarded',
  'x-scheme',
]);

function isTelling(name: string): boolean {
  return loose(name).startsWith('x-forwarded-') || TELLING.has(loose(name));
}

/** The fields of a request that go on to anybody. */
export function keptOf({ fields }: Ask): Line[] {
  const named = fields
    .filter(([name]) => name.toLowerCase() === 'connection')
    .flatMap(([, value]) => value.split(',').map((one) => one.trim().toLowerCase()));
  return fields.filter(([name]) => {
    const lower = name.toLowerCase();
    return !HOPS.has(lower) && !named.includes(lower) && !isTelling(name);
  });
}

/** With what RAUTA says of the client itself. */
export function toldOf(ask: Ask): Line[] {
  const own: Line[] = [
    ['x-forwarded-for', '127.0.0.1'],
    ['x-forwarded-proto', 'http'],
  ];
  if (ask.authority !== '') own.push(['x-forwarded-host', ask.authority]);
  return [...keptOf(ask), ...own];
}

/** Fields of a name, by names in lower case; several are one list. */
export function byName(lines: Iterable<Line>): Record<string, string[]> {
  const found: Record<string, string[]> = {};
  for (const [name, value] of lines) {
    const lower = name.toLowerCase();
    found[lower] ??= [];
    found[lower].push(value);
  }
  return Object.fromEntries(Object.entries(found).sort());
}

const OF_THE_ANSWER = /^(content-.*|date|server|set-cookie)$/;

/** An answer of HTTP. `cut`: it broke off, or did not end; `kept`: no more than is kept of it. */
export interface HttpSays {
  readonly status: number;
  readonly lines: readonly Line[];
  readonly content: string;
  readonly cut: boolean;
  readonly kept: boolean;
}

/** The fields of an answer without those of its connection. */
function endToEnd(lines: readonly Line[]): Line[] {
  const named = lines
    .filter(([name]) => name.toLowerCase() === 'connection')
    .flatMap(([, value]) => value.split(',').map((one) => one.trim().toLowerCase()));
  return lines.filter(([name]) => {
    const lower = name.toLowerCase();
    return (lower === 'expect' || !HOPS.has(lower)) && !named.includes(lower);
  });
}

export function httpVerdict(says: HttpSays, { responseHeaders, subrequest }: ExternalAuth): Verdict {
  const { status, content, cut, kept } = says;
  const lines = endToEnd(says.lines);
  const good = subrequest === undefined ? status === 200 : status >= 200 && status < 300;
  if (good) {
    if (cut) return { type: 'failed' };
    const cookies = lines.filter(([name]) => name.toLowerCase() === 'set-cookie');
    const set = lines.filter(([name]) => {
      const lower = name.toLowerCase();
      if (isTelling(lower) || lower === 'expect') return false;
      if (responseHeaders.length > 0) return responseHeaders.includes(lower);
      return subrequest === undefined && !OF_THE_ANSWER.test(lower);
    });
    return { type: 'allowed', removed: responseHeaders, set, told: subrequest === undefined ? [] : cookies };
  }
  if (subrequest !== undefined && status !== 401 && status !== 403) return { type: 'failed' };
  if (status >= 500) return { type: 'failed' };
  const whole = !cut && kept;
  const shown = lines.filter(([name]) => !/^date$/i.test(name) && (whole || !/^content-/i.test(name)));
  const code = status < 300 ? 403 : status;
  return { type: 'denied', status: code, lines: shown, content: whole && code !== 304 ? content : '' };
}

/** The fields of a request, as a verdict leaves them, and then an edit that sets and removes. */
export function amended(lines: readonly Line[], removed: readonly string[], set: readonly Line[]): Line[] {
  const gone = new Set([...removed, ...set.map(([name]) => name)].map(loose));
  return [...lines.filter(([name]) => !gone.has(loose(name))), ...set];
}
