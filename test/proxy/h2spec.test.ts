// h2spec (github.com/summerwind/h2spec), every case, strict, over TLS and in the clear. It is built by Go from its
// module, once; where there is no Go, or the module cannot be had, the test says so and is skipped.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { IpAddress } from '../../src/io/io.ts';
import { goProgram, run } from '../interop/tools.ts';
import { NativeNet } from '../support/native-net.ts';
import { answering, ok, Rig } from './rig.ts';
import { ENTRIES, socket, TlsRig, tls } from './tls-rig.ts';

const MODULE = 'github.com/summerwind/h2spec/cmd/h2spec';
const VERSION = 'v2.2.1+incompatible';
const CASES = 146;
/**
 * What is not met in the clear: a connection that does not begin with HTTP/2's first line is one of HTTP/1.1, and gets
 * its 400 before it ends (docs/reference/http2.md).
 */
const IN_THE_CLEAR = ['http2/3.5: Sends invalid connection preface'];

/** Names of the cases that failed, and how many there were. */
async function cases(
  program: string,
  port: number,
  more: readonly string[],
): Promise<{ all: number; failed: string[] }> {
  const folder = mkdtempSync(join(tmpdir(), 'rauta-h2spec-'));
  const report = join(folder, 'report.xml');
  try {
    const args = ['-h', '127.0.0.1', '-p', String(port), '--strict', '-o', '5', '-j', report, ...more];
    await run(program, args, { timeout: 200_000 }).catch((error: { code?: unknown }) => assert.equal(error.code, 1));
    const xml = readFileSync(report, 'utf8');
    const tests = [
      ...xml.matchAll(/<testcase package="([^"]*)" classname="([^"]*)"[^>]*?(?:\/>|>([\s\S]*?)<\/testcase>)/g),
    ];
    const failed = tests.filter(([, , , body]) => /<(failure|error)/.test(body ?? ''));
    return { all: tests.length, failed: failed.map(([, where, what]) => `${where}: ${what}`) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test('h2spec in the clear', { timeout: 280_000 }, async (t) => {
  const program = await goProgram(t, MODULE, VERSION);
  if (program === null) return;
  const net = new NativeNet();
  const rig = new Rig(net, [answering(net, () => ok('spec'))]);
  try {
    const { all, failed } = await cases(program, (rig.listening as IpAddress).port, []);
    assert.deepEqual([all, failed], [CASES, IN_THE_CLEAR]);
  } finally {
    await rig.end();
    await net.close();
  }
});

test('h2spec over TLS', { timeout: 280_000 }, async (t) => {
  const program = await goProgram(t, MODULE, VERSION);
  if (program === null) return;
  const net = new NativeNet();
  const ours = tls(['a'], { alpn: ['h2', 'http/1.1'] });
  const rig = new TlsRig(net, [...ENTRIES.slice(0, 3), socket({ '*': ours }, ours)]);
  try {
    const { all, failed } = await cases(program, rig.address.port, ['-t', '-k']);
    assert.deepEqual([all, failed], [CASES, []]);
  } finally {
    await rig.end();
    await net.close();
  }
});
