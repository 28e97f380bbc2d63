// `rauta explain METHOD URL`: what becomes of a request, by the files it would be served from or by a running program.

import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { keyOf } from '../api/object.ts';
import { EXIT, ExitError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { visible, visibleJson } from '../base/steering.ts';
import { explain } from '../explain/explain.ts';
import type { Explanation } from '../explain/explanation.ts';
import { questionOf, type Words } from '../explain/question.ts';
import { explanationText } from '../explain/text.ts';
import { TrustedProxies } from '../proxy/trusted.ts';
import { readAll } from '../source/file/read-all.ts';
import { translated } from './translated.ts';

export const EXPLAIN_HELP = `rauta explain: what becomes of a request, without sending it

  rauta explain METHOD URL [-H 'Name: value']... --config PATH...
  rauta explain METHOD URL [-H 'Name: value']... [--admin HOST:PORT]

  --config PATH            files or folders it would be served from; repeatable
  --admin HOST:PORT        a running program (127.0.0.1:9090)
  --admin-token-file FILE  its token, where it wants one
  -H, --header LINE        a field of the request; repeatable
  --sni NAME               name in the TLS handshake (the host of the URL)
  --client ADDRESS         address of the client (127.0.0.1)
  --listener NS/GW/NAME    listener that is asked (whoever has the URL's port)
  --trusted-proxies CIDR   clients that are believed; repeatable, with --config
  --json                   all of it as JSON

exit 0 a rule takes it, 1 none does, 2 usage, 3 could not run
`;

const OPTIONS = {
  config: { type: 'string', multiple: true },
  admin: { type: 'string' },
  'admin-token-file': { type: 'string' },
  header: { type: 'string', multiple: true, short: 'H' },
  sni: { type: 'string' },
  client: { type: 'string' },
  listener: { type: 'string' },
  'trusted-proxies': { type: 'string', multiple: true },
  json: { type: 'boolean' },
} as const;

const DEFAULT_ADMIN = '127.0.0.1:9090';

export async function runExplain(argv: readonly string[]): Promise<number> {
  const { values, positionals } = parsed(argv);
  const [method, url] = positionals;
  if (method === undefined || url === undefined || positionals.length > 2)
    throw new ExitError(EXIT.usage, `explain takes METHOD and URL; rauta explain --help shows more`);
  if (values.config !== undefined && values.admin !== undefined)
    throw new ExitError(EXIT.usage, 'explain takes --config or --admin, not both');
  const words: Words = {
    method,
    url,
    headers: values.header ?? [],
    sni: values.sni ?? null,
    client: values.client ?? null,
    listener: values.listener ?? null,
  };
  const told =
    values.config === undefined
      ? await ofProgram(words, values.admin ?? DEFAULT_ADMIN, values['admin-token-file'])
      : ofFiles(words, values.config, values['trusted-proxies'] ?? []);
  const lines =
    values.json === true ? [visibleJson(JSON.stringify(told, null, 2))] : explanationText(told).map(visible);
  process.stdout.write(`${lines.join('\n')}\n`);
  return told.rule === null ? EXIT.configuration : EXIT.ok;
}

function parsed(
  argv: readonly string[],
): ReturnType<typeof parseArgs<{ options: typeof OPTIONS; allowPositionals: true }>> {
  try {
    return parseArgs({ args: [...argv], options: OPTIONS, allowPositionals: true });
  } catch (error) {
    throw new ExitError(EXIT.usage, `explain: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function ofFiles(words: Words, paths: readonly string[], ranges: readonly string[]): Explanation {
  const question = questionOf(words);
  if (typeof question === 'string') throw new ExitError(EXIT.usage, `explain: ${question}`);
  const reading = readAll(paths);
  const [unreadable] = reading.unreadable;
  if (unreadable !== undefined)
    throw new ExitError(EXIT.cannotRun, `explain: ${unreadable.place.file}: ${unreadable.message}`);
  let trusted: TrustedProxies;
  try {
    trusted = new TrustedProxies(ranges);
  } catch (error) {
    throw new ExitError(EXIT.usage, `explain: ${error instanceof Error ? error.message : String(error)}`);
  }
  const { ir, statuses, diagnostics } = translated(reading.objects);
  const written = reading.objects.map((object) => ({ object, status: statuses.get(keyOf(object)) }));
  const problems = [...diagnostics.values()].flat();
  return explain(question, { entries: ir.values(), written, problems, trusted, load: () => '', offline: true });
}

async function ofProgram(words: Words, admin: string, tokenFile: string | undefined): Promise<Explanation> {
  const query = new URLSearchParams({ method: words.method, url: words.url });
  for (const header of words.headers) query.append('header', header);
  for (const name of ['sni', 'client', 'listener'] as const) if (words[name] !== null) query.set(name, words[name]);
  const headers: Record<string, string> = { accept: 'application/json' };
  if (tokenFile !== undefined) headers['authorization'] = `Bearer ${tokenIn(tokenFile)}`;
  let response: Response;
  let text: string;
  try {
    const signal = AbortSignal.timeout(LIMITS.EXPLAIN_WAIT_MS);
    response = await fetch(`http://${admin}/explain?${query}`, { headers, signal });
    text = await response.text();
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ExitError(EXIT.cannotRun, `explain: the admin server at ${admin} does not answer: ${why}`);
  }
  if (response.status === 400) throw new ExitError(EXIT.usage, `explain: ${text.trim()}`);
  if (!response.ok) throw new ExitError(EXIT.cannotRun, `explain: ${admin} answers ${response.status}: ${text.trim()}`);
  return JSON.parse(text) as Explanation;
}

function tokenIn(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new ExitError(EXIT.cannotRun, `explain: ${error instanceof Error ? error.message : String(error)}`);
  }
}
