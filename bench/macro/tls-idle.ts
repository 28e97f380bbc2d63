// What an idle connection of TLS costs: memory of all processes of a proxy that is its own (Pss_Anon and Pss_Shmem)
// before and after, each connection having asked once. `bin/node bench/macro/tls-idle.ts [--connections 1000]
// [--wait 20] [--groups X25519] [--peers rauta,nginx,haproxy,envoy] [--out tls-idle]`

import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { family, ownBytes } from './measure.ts';
import { PEERS, startPeer } from './peers.ts';
import { circumstances, writeResult } from './result.ts';

const BACKEND_PORT = 19_200;
const FIRST_PORT = 19_201;
/** So many at a time: handshakes of more wait for each other. */
const AT_ONCE = 50;

const { values: args } = parseArgs({
  options: {
    connections: { type: 'string', default: '1000' },
    wait: { type: 'string', default: '20' },
    peers: { type: 'string', default: PEERS.join() },
    groups: { type: 'string', default: 'X25519' },
    out: { type: 'string', default: 'tls-idle' },
  },
});

const sleep = (seconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

/** A connection that asked once and stays. */
function open(port: number): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      ...{ host: '127.0.0.1', port, servername: 'app.example.com', rejectUnauthorized: false },
      // X25519MLKEM768, which not every peer has, leaves 7 KB more behind in OpenSSL 3.5: the client's share.
      ecdhCurve: args.groups,
    });
    socket.once('secureConnect', () => socket.write('GET /api/v1/items/1 HTTP/1.1\r\nHost: app.example.com\r\n\r\n'));
    socket.once('data', () => resolve(socket));
    socket.once('error', reject);
  });
}

async function openAll(port: number, n: number): Promise<TLSSocket[]> {
  const all: TLSSocket[] = [];
  while (all.length < n) {
    const batch = Math.min(AT_ONCE, n - all.length);
    all.push(...(await Promise.all(Array.from({ length: batch }, () => open(port)))));
  }
  return all;
}

const run = mkdtempSync(join(tmpdir(), 'rauta-idle-'));
execFileSync('cc', ['-O2', '-o', join(run, 'backend'), fileURLToPath(new URL('backend.c', import.meta.url))]);
const backend = spawn(join(run, 'backend'), [String(BACKEND_PORT)], { stdio: 'inherit' });
const n = Number(args.connections);
const rows: { peer: string; version: string; kilobytes: number }[] = [];
try {
  await sleep(0.3);
  for (const [i, name] of args.peers.split(',').entries()) {
    const peer = await startPeer(name, run, FIRST_PORT + i, BACKEND_PORT, 0);
    if (peer === null) {
      process.stdout.write(`${name} is not on this machine: left out\n`);
      continue;
    }
    // What the first connections bring for all that follow is not theirs.
    for (const socket of await openAll(peer.tlsPort, AT_ONCE)) socket.destroy();
    await sleep(Number(args.wait));
    const before = ownBytes(family(peer.pid));
    const sockets = await openAll(peer.tlsPort, n);
    await sleep(Number(args.wait));
    const kilobytes = (ownBytes(family(peer.pid)) - before) / n / 1024;
    rows.push({ peer: name, version: peer.version, kilobytes });
    process.stdout.write(`${name} ${peer.version}: ${kilobytes.toFixed(1)} KB\n`);
    for (const socket of sockets) socket.destroy();
    await peer.stop();
  }
  const command = `bin/node bench/macro/tls-idle.ts --connections ${n} --wait ${args.wait}`;
  writeResult(args.out, { ...circumstances(), command, what: 'KB for each idle connection of TLS', rows });
} finally {
  backend.kill('SIGKILL');
  rmSync(run, { recursive: true, force: true });
}
