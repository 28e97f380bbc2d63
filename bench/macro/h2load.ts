// The load of works that speak HTTP/2: h2load, one connection for each of a few clients, many streams on each. It says
// no quantiles, so that a sample has no p99; what is answered is checked by its bytes as well, since a call of gRPC
// that failed has status 200.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Counts, Load } from './sample.ts';

export interface Http2Work {
  readonly connections: number;
  readonly streams: number;
  /** Messages of a call of gRPC, each way; 0 for a GET. */
  readonly messages: number;
  /** Bytes of content that are answered. */
  readonly answer: number;
}

const AUTHORITY = 'app.example.com';
const GRPC_AUTHORITY = 'grpc.example.com';
const METHOD = '/bench.Bench/Echo';
/** What stands in front of a message of gRPC: whether it is compressed, and its length. */
const PREFIX = Buffer.from([0, 0, 0, 0, 100]);
const MESSAGE = Buffer.concat([PREFIX, Buffer.alloc(100, 'x')]);
export const MESSAGE_BYTES: number = MESSAGE.length;
/** Answers of calls that were cut when the time was up were counted in part. */
const TOLERANCE = 0.02;

function argvOf(port: number, work: Http2Work, path: string, fields: readonly string[], folder: string): string[] {
  const argv = ['h2load', '-t1', `-c${work.connections}`, `-m${work.streams}`];
  if (work.messages === 0) {
    for (const field of [`:authority: ${AUTHORITY}`, ...fields]) argv.push('-H', field);
    return [...argv, `https://127.0.0.1:${port}${path}`];
  }
  const file = join(folder, `messages-${work.messages}`);
  writeFileSync(file, Buffer.concat(new Array(work.messages).fill(MESSAGE)));
  const own = ['content-type: application/grpc', 'te: trailers', 'user-agent: grpc-bench/1.0', 'grpc-timeout: 10S'];
  for (const field of [`:authority: ${GRPC_AUTHORITY}`, ...own]) argv.push('-H', field);
  return [...argv, '-d', file, `http://127.0.0.1:${port}${METHOD}`];
}

/** `fields`: those of a GET; `folder`: where a call's messages may be written. */
export async function http2Requests(
  port: number,
  work: Http2Work,
  path: string,
  seconds: number,
  fields: readonly string[],
  folder: string,
  load: Load,
): Promise<Counts> {
  const text = await load([...argvOf(port, work, path, fields, folder), '-D', String(seconds)]);
  const done = /(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout/.exec(text);
  const bytes = Number(/\((\d+)\) data/.exec(text)?.[1] ?? 0);
  const others = /status codes: \d+ 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx/.exec(text);
  const sum = (found: RegExpExecArray | null, from: number): number =>
    (found ?? []).slice(from).reduce((n, part) => n + Number(part), 0);
  const requests = Number(done?.[1] ?? 0);
  const short = Math.max(0, requests - bytes / work.answer);
  const errors = sum(done, 2) + sum(others, 1) + (short > requests * TOLERANCE ? Math.round(short) : 0);
  return { requests, errors: requests === 0 ? Math.max(1, errors) : errors, p99Us: Number.NaN };
}
