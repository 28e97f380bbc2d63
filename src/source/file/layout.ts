// How a file's text is cut into chunks, found anew for a changed text at the cost of what changed: chunks before the
// first difference and behind the last one are taken over, those in between are looked for by their text.

import type { CheckOptions } from '../../api/schema.ts';
import { digestOf, type ReadChunk, readingChunk } from './document.ts';
import { split } from './yaml.ts';

export interface Layout {
  /** Null where it is not kept, since some chunks do without theirs. */
  readonly text: string | null;
  readonly chunks: readonly ReadChunk[];
  /** Offset of each chunk. */
  readonly starts: readonly number[];
}

export const EMPTY: Layout = { text: '', chunks: [], starts: [] };

/** The layout of `text`; null when it has more than `most` chunks. Others may have a turn at each step. */
export function* layingOut(
  text: string,
  before: Layout,
  most: number,
  options: CheckOptions = {},
): Generator<void, Layout | null> {
  const n = before.chunks.length;
  const old = before.text;
  if (old === null) return yield* layingOutAnew(text, before, most, options);
  const head = commonHead(text, old);
  // A cut is where it was when the whole chunk behind it is unchanged too.
  let kept = 0;
  while (kept + 2 < n && (before.starts[kept + 2] as number) <= head) kept++;
  const from = before.starts[kept] ?? 0;
  const tail = commonTail(text, old, from);
  let last = n;
  // With the character before it, for what follows a line's beginning may follow something else now.
  while (last - 1 > kept && (before.starts[last - 2] as number) > old.length - tail) last--;
  // A marker cuts whatever stands before it; between JSON objects the cut hangs on the ones before.
  while (last < n && !old.startsWith('---', before.starts[last])) last++;
  const shift = text.length - old.length;
  const to = last < n ? (before.starts[last] as number) + shift : text.length;
  const middle = split(text.slice(from, to));
  if (kept + middle.length + (n - last) > most) return null;
  const chunks = [
    ...before.chunks.slice(0, kept),
    ...(yield* reread(middle, before.chunks.slice(kept, last), options)),
    ...before.chunks.slice(last),
  ];
  const starts = [
    ...before.starts.slice(0, kept),
    ...middle.map((chunk) => chunk.start + from),
    ...before.starts.slice(last).map((start) => start + shift),
  ];
  return laidOut(text, chunks, starts);
}

/** The same where the old text is not there to be compared with. */
function* layingOutAnew(
  text: string,
  before: Layout,
  most: number,
  options: CheckOptions,
): Generator<void, Layout | null> {
  const parts = split(text);
  if (parts.length > most) return null;
  const starts = parts.map(({ start }) => start);
  return laidOut(text, yield* reread(parts, before.chunks, options), starts);
}

/** Slices of the new text everywhere, so that nothing holds an old one; copies where some do without, to let it go. */
function laidOut(text: string, chunks: readonly ReadChunk[], starts: readonly number[]): Layout {
  const whole = chunks.every(({ digest }) => digest === null);
  chunks.forEach((chunk, i) => {
    if (chunk.digest !== null) return;
    const part = text.slice(starts[i], starts[i + 1] ?? text.length);
    chunk.text = whole ? part : Buffer.from(part).toString();
  });
  return { text: whole ? text : null, chunks, starts };
}

/** Reads the parts, taking over chunks of the same text. */
function* reread(
  parts: readonly { text: string }[],
  before: readonly ReadChunk[],
  options: CheckOptions,
): Generator<void, ReadChunk[]> {
  const known = new Map(before.map((chunk) => [chunk.digest ?? digestOf(chunk.text), chunk]));
  const chunks: ReadChunk[] = [];
  for (const { text } of parts) {
    const same = known.size === 0 ? undefined : known.get(digestOf(text));
    chunks.push(same ?? (yield* readingChunk(text, options)));
  }
  return chunks;
}

const BLOCK = 16_384;

/** Length of what both texts begin with. */
function commonHead(a: string, b: string): number {
  const most = Math.min(a.length, b.length);
  let i = 0;
  while (i + BLOCK <= most && a.slice(i, i + BLOCK) === b.slice(i, i + BLOCK)) i += BLOCK;
  while (i < most && a.charCodeAt(i) === b.charCodeAt(i)) i++;
  return i;
}

/** Length of what both texts end with, not reaching below offset `from` of either. */
function commonTail(a: string, b: string, from: number): number {
  const most = Math.min(a.length, b.length) - from;
  let n = 0;
  while (
    n + BLOCK <= most &&
    a.slice(a.length - n - BLOCK, a.length - n) === b.slice(b.length - n - BLOCK, b.length - n)
  ) {
    n += BLOCK;
  }
  while (n < most && a.charCodeAt(a.length - n - 1) === b.charCodeAt(b.length - n - 1)) n++;
  return n;
}
