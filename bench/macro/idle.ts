// What an idle connection costs a proxy: memory of all its processes that is its own (Pss_Anon and Pss_Shmem), with so
// many connections and with three times as many, each having asked once. The difference is theirs: what a process grows
// by when it first serves many (compiled code, the heap's room) stands in a column of its own.

import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { family, ownBytes } from './measure.ts';
import { type Peer, startPeer } from './peers.ts';
import { circumstances, writeResult } from './result.ts';

const BACKEND_PORT = 19_200;
const FIRST_PORT = 19_201;
/** So many at a time: handshakes of more wait for each other. */
const AT_ONCE = 50;

export interface Idle {
  /** A connection that asked once and stays. */
  readonly open: (port: number) => Promise<Socket>;
  /** 0: it has none of this kind. */
  readonly portOf: (peer: Peer) => number;
  readonly peers: readonly string[];
  readonly connections: number;
  /** Seconds before each look. */
  readonly wait: number;
  /** What stands in the result. */
  readonly what: string;
  readonly command: string;
  readonly out: string;
}

const sleep = (seconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

async function openAll({ open }: Idle, port: number, n: number): Promise<Socket[]> {
  const all: Socket[] = [];
  while (all.length < n) {
    const batch = Math.min(AT_ONCE, n - all.length);
    all.push(...(await Promise.all(Array.from({ length: batch }, () => open(port)))));
  }
  return all;
}

/** Measures the peers one after another, says and writes what was found. */
export async function idle(options: Idle): Promise<void> {
  const { connections, wait, command, what } = options;
  const run = mkdtempSync(join(tmpdir(), 'rauta-idle-'));
  execFileSync('cc', ['-O2', '-o', join(run, 'backend'), fileURLToPath(new URL('backend.c', import.meta.url))]);
  const backend = spawn(join(run, 'backend'), [String(BACKEND_PORT)], { stdio: 'inherit' });
  const rows: { peer: string; version: string; kilobytes: number; onceMb: number }[] = [];
  try {
    await sleep(0.3);
    for (const [i, name] of options.peers.entries()) {
      const peer = await startPeer(name, run, FIRST_PORT + i, BACKEND_PORT, 0);
      if (peer === null || options.portOf(peer) === 0) {
        process.stdout.write(`${name} is not on this machine: left out\n`);
        await peer?.stop();
        continue;
      }
      const port = options.portOf(peer);
      // What the first connections bring for all that follow is not theirs.
      for (const socket of await openAll(options, port, AT_ONCE)) socket.destroy();
      const own = async (): Promise<number> => {
        await sleep(wait);
        return ownBytes(family(peer.pid));
      };
      const none = await own();
      const sockets = await openAll(options, port, connections);
      const some = await own();
      sockets.push(...(await openAll(options, port, 2 * connections)));
      const kilobytes = ((await own()) - some) / (2 * connections) / 1024;
      const onceMb = (some - none) / 2 ** 20 - (kilobytes * connections) / 1024;
      rows.push({ peer: name, version: peer.version, kilobytes, onceMb });
      process.stdout.write(`${name} ${peer.version}: ${kilobytes.toFixed(2)} KB, ${onceMb.toFixed(1)} MB once\n`);
      for (const socket of sockets) socket.destroy();
      await peer.stop();
    }
    writeResult(options.out, { ...circumstances(), command, what, rows });
  } finally {
    backend.kill('SIGKILL');
    rmSync(run, { recursive: true, force: true });
  }
}
