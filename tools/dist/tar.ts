// Archives as bytes: the same entries give the same bytes (POSIX.1-2001 pax format).

import { constants, createGzip, gunzipSync } from 'node:zlib';

export interface Entry {
  /** Without a slash in front or behind. */
  readonly path: string;
  readonly kind: 'file' | 'directory' | 'link';
  readonly mode: number;
  readonly data?: Buffer;
  /** Of a symbolic link. */
  readonly target?: string;
  /** Extended attributes, as tar programs and container runtimes know them (`SCHILY.xattr.NAME`). */
  readonly attributes?: Readonly<Record<string, Buffer>>;
}

const BLOCK = 512;
const TYPES = { file: '0', directory: '5', link: '2', extended: 'x' } as const;
const NAME_BYTES = 100;

export function file(path: string, data: Buffer | string, mode = 0o644): Entry {
  return { path, kind: 'file', mode, data: Buffer.from(data) };
}

/** Sorted, each below its folders, which are added where they are missing. */
export function complete(entries: readonly Entry[]): Entry[] {
  const all = new Map(entries.map((entry) => [entry.path, entry]));
  if (all.size < entries.length) throw new Error('two entries of one path');
  for (const { path } of entries)
    for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) {
      const folder = path.slice(0, at);
      if (!all.has(folder)) all.set(folder, { path: folder, kind: 'directory', mode: 0o755 });
    }
  return [...all.values()].sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)));
}

/** Everything belongs to root (0:0) and is of one time, in seconds. */
export function* tar(entries: readonly Entry[], seconds: number): Generator<Buffer> {
  for (const entry of entries) {
    const data = entry.data ?? Buffer.alloc(0);
    const name = entry.kind === 'directory' ? `${entry.path}/` : entry.path;
    const records: Buffer[] = [];
    if (Buffer.byteLength(name) > NAME_BYTES) records.push(record('path', Buffer.from(name)));
    if (Buffer.byteLength(entry.target ?? '') > NAME_BYTES)
      records.push(record('linkpath', Buffer.from(entry.target ?? '')));
    for (const [key, value] of Object.entries(entry.attributes ?? {}))
      records.push(record(`SCHILY.xattr.${key}`, value));
    if (records.length > 0) {
      const body = Buffer.concat(records);
      yield header({ name: 'pax', type: TYPES.extended, mode: 0o644, bytes: body.length, seconds, target: '' });
      yield* padded(body);
    }
    const [type, target] = [TYPES[entry.kind], entry.target ?? ''];
    yield header({ name, type, mode: entry.mode, bytes: data.length, seconds, target });
    yield* padded(data);
  }
  yield Buffer.alloc(2 * BLOCK);
}

/** `LENGTH KEY=VALUE\n`, where LENGTH counts itself. */
function record(key: string, value: Buffer): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), value, Buffer.from('\n')]);
  let length = rest.length;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

function* padded(data: Buffer): Generator<Buffer> {
  if (data.length === 0) return;
  yield data;
  const over = data.length % BLOCK;
  if (over > 0) yield Buffer.alloc(BLOCK - over);
}

interface Head {
  readonly name: string;
  readonly type: string;
  readonly mode: number;
  readonly bytes: number;
  readonly seconds: number;
  readonly target: string;
}

function header({ name, type, mode, bytes, seconds, target }: Head): Buffer {
  const block = Buffer.alloc(BLOCK);
  const octal = (at: number, size: number, value: number): void =>
    void block.write(`${value.toString(8).padStart(size - 1, '0')}\0`, at, 'latin1');
  block.write(name, 0, NAME_BYTES);
  octal(100, 8, mode);
  octal(108, 8, 0);
  octal(116, 8, 0);
  octal(124, 12, bytes);
  octal(136, 12, seconds);
  block.fill(' ', 148, 156);
  block.write(type, 156, 'latin1');
  block.write(target, 157, NAME_BYTES);
  block.write('ustar\x0000', 257, 'latin1');
  octal(329, 8, 0);
  octal(337, 8, 0);
  const sum = block.reduce((a, b) => a + b, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

/** Compressed as a stream: an archive is larger than what should lie in memory twice. */
export async function gzip(parts: Iterable<Buffer>, take: (part: Buffer) => void): Promise<void> {
  const stream = createGzip({ level: constants.Z_DEFAULT_COMPRESSION });
  const done = new Promise<void>((resolve, reject) => stream.on('end', resolve).on('error', reject));
  stream.on('data', take);
  for (const part of parts)
    if (!stream.write(part)) await new Promise<void>((resolve) => stream.once('drain', resolve));
  stream.end();
  await done;
}

/** What an archive made here holds; for looking at one. */
export function untar(archive: Buffer): Entry[] {
  const out: Entry[] = [];
  const bytes = archive.readUInt16BE(0) === 0x1f8b ? gunzipSync(archive) : archive;
  let extended: ReadonlyMap<string, Buffer> = new Map();
  for (let at = 0; at + BLOCK <= bytes.length && bytes[at] !== 0; ) {
    const text = (from: number, size: number): string =>
      bytes.toString('utf8', at + from, at + from + size).replace(/\0.*$/s, '');
    const size = Number.parseInt(text(124, 12), 8);
    const data = bytes.subarray(at + BLOCK, at + BLOCK + size);
    const kind = (['file', 'directory', 'link'] as const).find((name) => TYPES[name] === text(156, 1));
    if (kind === undefined) extended = records(data);
    else {
      const path = (extended.get('path')?.toString() ?? text(0, NAME_BYTES)).replace(/\/$/, '');
      const attributes = Object.fromEntries(
        [...extended].flatMap(([key, value]) => (key.startsWith('SCHILY.xattr.') ? [[key.slice(13), value]] : [])),
      );
      const target = extended.get('linkpath')?.toString() ?? text(157, NAME_BYTES);
      out.push({ path, kind, mode: Number.parseInt(text(100, 8), 8), data, target, attributes });
      extended = new Map();
    }
    at += BLOCK + Math.ceil(size / BLOCK) * BLOCK;
  }
  return out;
}

function records(body: Buffer): Map<string, Buffer> {
  const out = new Map<string, Buffer>();
  for (let at = 0; at < body.length; ) {
    const length = Number.parseInt(body.toString('latin1', at, at + 20), 10);
    const line = body.subarray(body.indexOf(' ', at) + 1, at + length - 1);
    const equals = line.indexOf('=');
    out.set(line.toString('utf8', 0, equals), line.subarray(equals + 1));
    at += length;
  }
  return out;
}
