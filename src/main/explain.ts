// `rauta explain [METHOD] URL`: what becomes of a request, by the files it would be served from or by a running
// program.

import { keyOf } from '../api/object.ts';
import { EXIT, ExitError } from '../base/errors.ts';
import { parseRange } from '../base/ip.ts';
import { visible, visibleJson } from '../base/steering.ts';
import { type Given, isSet, usageError } from '../cli/arguments.ts';
import { complaints } from '../cli/check.ts';
import { explain } from '../explain/explain.ts';
import type { Explanation } from '../explain/explanation.ts';
import { type Question, questionOf, type Words } from '../explain/question.ts';
import { explanationText } from '../explain/text.ts';
import { TrustedProxies } from '../proxy/trusted.ts';
import { readAll } from '../source/file/read-all.ts';
import { askAdmin } from './ask-admin.ts';
import { meaningOf } from './check.ts';
import { givenFiles } from './given-files.ts';
import { print } from './printing.ts';
import { translated } from './translated.ts';

export async function runExplain(given: Given): Promise<number> {
  const { text, exitCode } = await explained(given);
  print(`${text}\n`);
  return exitCode;
}

/** What the command prints, without the end of its last line. */
export async function explained({ flags, operands }: Given): Promise<{ text: string; exitCode: number }> {
  // As the page has it: what is no request, a session of tcp: or tls:, has no method at all.
  const [method, url] = operands.length === 1 && operands[0]?.includes('://') ? ['GET', operands[0]] : operands;
  const value = (name: string): string | null => flags.get(name)?.at(-1) ?? null;
  if (method === undefined || url === undefined || operands.length > 2)
    throw usageError('takes METHOD and URL; write rauta explain GET http://app.example.com/');
  const config = flags.get('config');
  if (config !== undefined && flags.has('admin'))
    throw usageError('takes --config or --admin, not both; leave out --config, or leave out --admin');
  const trusted = flags.get('trusted-proxies');
  if (config === undefined && trusted !== undefined)
    throw usageError(
      `--trusted-proxies: '${trusted.join(',')}' is for --config, a program knows its own; leave out --trusted-proxies`,
    );
  const words: Words = {
    method,
    url,
    headers: flags.get('header') ?? [],
    sni: value('sni'),
    client: value('client'),
    listener: value('listener'),
  };
  const question = questionOf(words);
  if (typeof question === 'string') throw usageError(asFlags(question));
  const told = config === undefined ? await ofProgram(words, flags) : await ofFiles(question, config, trusted ?? []);
  const text = isSet(flags, 'json')
    ? visibleJson(JSON.stringify(told, null, 2))
    : explanationText(told).map(visible).join('\n');
  return { text, exitCode: told.rule === null ? EXIT.configuration : EXIT.ok };
}

/** What is wrong with a parameter of `/explain` (`client=...`), as it is given here. */
function asFlags(said: string): string {
  return said
    .replace(/^(client|listener|header): /, '--$1: ')
    .replace(/; write header=(.*)$/, "; write --header '$1'")
    .replace(/; write (client|listener)=/, '; write --$1 ');
}

async function ofFiles(
  question: Question,
  operands: readonly string[],
  ranges: readonly string[],
): Promise<Explanation> {
  const { paths, given } = await givenFiles(operands);
  const reading = readAll(paths, {}, given);
  const [unreadable] = reading.unreadable;
  if (unreadable !== undefined) throw new ExitError(EXIT.cannotRun, `${unreadable.place.file}: ${unreadable.message}`);
  let trusted: TrustedProxies;
  try {
    trusted = new TrustedProxies(ranges);
  } catch {
    const wrong = ranges.find((range) => parseRange(range) === null);
    throw usageError(
      `--trusted-proxies: '${wrong}' is not an address or CIDR like 10.0.0.0/8; write --trusted-proxies 10.0.0.0/8`,
    );
  }
  const { ir, statuses } = translated(reading.objects, { trustsProxies: ranges.length > 0 });
  const written = reading.objects.map((object) => ({ object, status: statuses.get(keyOf(object)) }));
  const problems = complaints(reading, meaningOf(reading.objects, reading.problems));
  return explain(question, { entries: ir.values(), written, problems, trusted, load: () => '', offline: true });
}

async function ofProgram(words: Words, flags: Given['flags']): Promise<Explanation> {
  const query = new URLSearchParams({ method: words.method, url: words.url });
  for (const header of words.headers) query.append('header', header);
  for (const name of ['sni', 'client', 'listener'] as const) if (words[name] !== null) query.set(name, words[name]);
  return (await askAdmin(`/explain?${query}`, flags)) as Explanation;
}
