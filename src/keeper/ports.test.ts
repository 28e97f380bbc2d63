import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { describeHolder, holdersOf, othersOn } from './ports.ts';

interface Process {
  readonly parent: number;
  readonly comm: string;
  readonly command: readonly string[];
  readonly inodes: readonly number[];
}

const HEAD = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n';

/** A /proc of our own; of each listening socket: address and port as the kernel writes them, user, inode. */
function proc(tcp: readonly string[], tcp6: readonly string[], processes: Readonly<Record<string, Process>>): string {
  const root = mkdtempSync(join(tmpdir(), 'rauta-proc-'));
  mkdirSync(join(root, 'net'));
  const line = (text: string, i: number): string => {
    const [address, state, uid, inode] = text.split(' ');
    return `   ${i}: ${address} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000  ${uid} 0 ${inode} 1 x\n`;
  };
  writeFileSync(join(root, 'net/tcp'), HEAD + tcp.map(line).join(''));
  writeFileSync(join(root, 'net/tcp6'), HEAD + tcp6.map(line).join(''));
  for (const [pid, { parent, comm, command, inodes }] of Object.entries(processes)) {
    mkdirSync(join(root, pid, 'fd'), { recursive: true });
    writeFileSync(join(root, pid, 'stat'), `${pid} (${comm}) S ${parent} 1 1`);
    writeFileSync(join(root, pid, 'comm'), `${comm}\n`);
    writeFileSync(join(root, pid, 'cmdline'), command.join('\0'));
    for (const [fd, inode] of inodes.entries()) symlinkSync(`socket:[${inode}]`, join(root, pid, 'fd', String(fd)));
  }
  return root;
}

function said(address: string, port: number, root: string): string[] {
  return holdersOf(othersOn('tcp', address, port, root), root).map(describeHolder);
}

const NOBODY: Process = { parent: 1, comm: 'us', command: [], inodes: [7] };

test('who listens on a port is named: the eldest process that has it open', () => {
  const root = proc(['0100007F:1F90 0A 1000 11', '0100007F:1F91 0A 0 12'], [], {
    self: NOBODY,
    20: { parent: 10, comm: 'node', command: ['node', '/x/src/main/main.js', '__child', 'worker'], inodes: [11] },
    10: { parent: 1, comm: 'node', command: ['/n/node', '/x/src/main/main.js', 'serve'], inodes: [3, 11] },
    30: { parent: 1, comm: 'nginx', command: ['nginx'], inodes: [12] },
  });
  assert.deepEqual(said('127.0.0.1', 8080, root), ['another rauta, pid 10']);
  assert.deepEqual(said('0.0.0.0', 8081, root), ['nginx, pid 30']);
  assert.deepEqual(said('127.0.0.2', 8080, root), []);
  assert.deepEqual(said('127.0.0.1', 8082, root), []);
  rmSync(root, { recursive: true });
});

test('our own sockets are not others, and a process that cannot be looked into is said to be one', () => {
  const root = proc(['00000000:0050 0A 0 7', '0200007F:0050 0A 33 8'], [], { self: NOBODY });
  assert.deepEqual(said('127.0.0.1', 80, root), []);
  assert.deepEqual(said('127.0.0.2', 80, root), ['a process of user 33 that cannot be seen from here']);
  rmSync(root, { recursive: true });
});

test('IPv6: its own addresses, any address, and those that take IPv4 too', () => {
  const any = '0'.repeat(32);
  const root = proc(
    [],
    [
      '000080FE000000000000000001000000:0050 0A 0 1',
      '0000000000000000FFFF00000100007F:0051 0A 0 2',
      `${any}:0052 0A 0 3`,
    ],
    { self: NOBODY },
  );
  const inodes = (address: string, port: number): string[] => othersOn('tcp', address, port, root).map((l) => l.inode);
  assert.deepEqual(inodes('fe80::1', 80), ['1']);
  assert.deepEqual(inodes('fe80::2', 80), []);
  assert.deepEqual(inodes('::', 80), ['1']);
  assert.deepEqual(inodes('0.0.0.0', 80), []);
  assert.deepEqual(inodes('127.0.0.1', 81), ['2']);
  assert.deepEqual(inodes('127.0.0.2', 81), []);
  assert.deepEqual(inodes('127.0.0.1', 82), ['3']);
  assert.deepEqual(inodes('::1', 82), ['3']);
  rmSync(root, { recursive: true });
});

test('connections behind the listening sockets are not read', () => {
  const root = proc(['00000000:0050 0A 0 1', '00000000:0051 01 0 2', '00000000:0051 0A 0 3'], [], { self: NOBODY });
  assert.deepEqual(othersOn('tcp', '0.0.0.0', 81, root), []);
  rmSync(root, { recursive: true });
});

test('the kernel’s own list has what this process listens on as its own', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  assert.deepEqual(othersOn('tcp', '127.0.0.1', port), []);
  assert.deepEqual(othersOn('tcp', '0.0.0.0', port), []);
  await new Promise<void>((resolve) => server.close(() => resolve()));
});
