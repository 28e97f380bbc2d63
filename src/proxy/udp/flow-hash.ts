// What decides where a flow goes: its client, seen as a number. The same in any worker, in a program that takes over,
// and in one that only says what would happen.

import { mix32 } from '../../base/hash.ts';
import { parseIp, wordsOf } from '../../base/ip.ts';
import { PATH } from '../../io/datagrams.ts';
import type { Balancer } from '../../ir/ir.ts';

/** Stands between the choice of a backend and that of an endpoint, so that one does not follow from the other. */
const SALT = 0x75647031;

/** As a datagram from there would have it, as far as hashes look. */
export function pathFrom(address: string, port: number): Int32Array {
  const path = new Int32Array(PATH.WORDS);
  const ip = parseIp(address);
  if (ip !== null) path.set(wordsOf(ip), PATH.PEER);
  path[PATH.PORT] = port;
  return path;
}

/** Of the client's address in paths[at..]; unsigned 32 bits, as all of these. */
export function clientHash(paths: Int32Array, at: number): number {
  return hashOf(paths, at, PATH.PORT, 0);
}

/** Of its address, whose hash is `client`, and its port: by this a route's backend is chosen. */
export function flowHash(paths: Int32Array, at: number, client: number): number {
  return hashOf(paths, at + PATH.PORT, 1, client);
}

/** Whether all flows of a client go to one endpoint of a cluster. */
export function isByClient(balancer: Balancer): boolean {
  return balancer.type === 'maglev' && balancer.key === 'clientAddress';
}

/** By this an endpoint of the backend is. */
export function endpointHash(balancer: Balancer, client: number, flow: number): number {
  return isByClient(balancer) ? client : mix32(flow ^ SALT) >>> 0;
}

function hashOf(words: Int32Array, at: number, count: number, seed: number): number {
  let h = seed;
  for (let i = 0; i < count; i++) h = mix32(Math.imul(h, 31) ^ (words[at + i] as number));
  return mix32(h) >>> 0;
}
