// Who says much and breaks off, and who reads that later than it was said.

import assert from 'node:assert/strict';
import type { Peer, TestNet } from './net.ts';

/** No four bytes of it are the same. */
export const PATTERN = Buffer.alloc(2_000_000);
for (let i = 0; i < PATTERN.length; i += 4) PATTERN.writeUInt32LE(i, i);
/** The largest send buffer of the simulation. */
export const SEND_BUFFER = 64 * 1024;

/** Reads until the reset, which comes once everything is there; how much came of what is in PATTERN. */
export async function readToReset(net: TestNet, peer: Peer): Promise<number> {
  const got: Uint8Array[] = [];
  let code = '';
  const reading = (async () => {
    for (let some = await peer.read(); some !== null; some = await peer.read()) got.push(some);
    code = 'an end in order';
  })().catch((error: { code: string }) => {
    code = error.code;
  });
  while (code === '') await net.advance(20);
  await reading;
  assert.equal(code, 'ECONNRESET');
  const all = Buffer.concat(got);
  assert.ok(all.equals(PATTERN.subarray(0, all.length)));
  return all.length;
}

/** Says what is taken of PATTERN, and breaks off. */
export async function breakOff(net: TestNet, peer: Peer, most = PATTERN.length): Promise<number> {
  let sent = 0;
  for (let quiet = 0; quiet < 5; quiet++) {
    const n = sent < most ? peer.trySend(PATTERN.subarray(sent, most)) : 0;
    if (n > 0) quiet = 0;
    sent += n;
    await net.settle();
  }
  peer.reset();
  await net.settle();
  return sent;
}
