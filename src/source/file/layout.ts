// How a file's text is cut into chunks, found anew for a changed text at the cost of what changed: chunks before the
// first difference and behind the last one are taken over, those in between are looked for by their text.

import { hash } from 'node:crypto';
import type { CheckOptions } from '../../api/schema.ts';
import { type ReadChunk, readingChunk } from './document.ts';
import { split } from './yaml.ts';

export interface Layout {
  readonly text: string;
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
  const head = commonHead(text, before.text);
  // A cut is where it was when the whole chunk behind it is unchanged too.
  let kept = 0;
  while (kept + 2 < n && (before.starts[kept + 2] as number) <= head) kept++;
  const from = before.starts[kept] ?? 0;
  const tail = commonTail(text, before.text, from);
  let last = n;
  // With the character before it, for what follows a line's beginning may follow something else now.
  while (last - 1 > kept && (before.starts[last - 2] as number) > before.text.length - tail) last--;
  // A marker cuts whatever stands before it; between JSON objects the cut hangs on the ones before.
  while (last < n && !before.text.startsWith('---', before.starts[last])) last++;
  const shift = text.length - before.text.length;
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
  // Slices of the new text everywhere, so that nothing holds an old one.
  chunks.forEach((chunk, i) => {
    chunk.text = text.slice(starts[i], starts[i + 1] ?? text.length);
  });
  return { text, chunks, starts };
}

/**
 * Reads the parts, taking over chunks of the same text. By digests: a text that is looked for in a Map is copied by V8
 * (internalized), and the copy stays as long as anything of the text does.
 */
function* reread(
  parts: readonly { text: string }[],
  before: readonly ReadChunk[],
  options: CheckOptions,
): Generator<void, ReadChunk[]> {
  const known = new Map(before.map((chunk) => [digest(chunk.text), chunk]));
  const chunks: ReadChunk[] = [];
  for (const { text } of parts) {
    const same = known.size === 0 ? undefined : known.get(digest(text));
    chunks.push(same ?? (yield* readingChunk(text, options)));
  }
  return chunks;
}

function digest(text: string): string {
  return hash('sha256', text, 'base64');
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
