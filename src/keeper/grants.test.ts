import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readSync, renameSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { OWN_ADDRESS, ownPort } from '../../test/support/keeper.ts';
import { LIMITS } from '../base/limits.ts';
import { Logger } from '../base/log.ts';
import { openNative } from '../native/index.ts';
import type { Grant } from '../stream/messages.ts';
import { type GrantOptions, Grants } from './grants.ts';

const folder = mkdtempSync(join(tmpdir(), 'rauta-grants-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const io = openNative({ arenaBytes: 1 << 20 });

interface Told {
  readonly grant: Grant;
  readonly fd: number | undefined;
}

function rig(options: Partial<GrantOptions>): { grants: Grants; told: Told[]; log: string[] } {
  const told: Told[] = [];
  const log: string[] = [];
  const target = { write: (line: string): void => void log.push(line), now: (): Date => new Date(0) };
  const all = { accessLog: 'off', adminTokenFile: null, tls: null, admin: null, requests: null, ...options };
  const grants = new Grants(io, Logger.to(target, { level: 'info', json: true }), all, (grant, fds) =>
    told.push({ grant: grant as Grant, fd: fds[0] }),
  );
  return { grants, told, log };
}

test('who has a successor lets go of the admin ports, of every controller of its', () => {
  const address = { host: OWN_ADDRESS, port: ownPort() };
  const { grants, told } = rig({ admin: address, accessLog: join(folder, 'retired.log') });
  assert.equal(grants.open(false), null);
  const { grants: successor } = rig({ admin: address });
  assert.match(successor.open(false) ?? '', /EADDRINUSE/);
  grants.retire();
  assert.equal(successor.open(false), null);
  grants.tick(1_000_000);
  grants.give();
  assert.deepEqual(
    told.map(({ grant }) => grant.name ?? grant.type),
    ['retire', 'accessLog', 'retire'],
  );
  grants.close();
  successor.close();
});

test('every controller is given everything, and nothing is opened again for it', () => {
  const path = join(folder, 'a.log');
  const { grants, told } = rig({ accessLog: path });
  assert.equal(grants.open(false), null);
  grants.give();
  rmSync(path);
  grants.give();
  assert.deepEqual(
    told.map(({ grant }) => grant),
    Array(2).fill({ type: 'grant', name: 'accessLog', given: 1, torn: false, problem: '' }),
  );
  assert.equal(told[0]?.fd, told[1]?.fd);
});

test('a log that cannot be opened again is said, stays in use, and is tried again', () => {
  const inner = join(folder, 'inner');
  const path = join(inner, 'b.log');
  mkdirSync(inner);
  const { grants, told, log } = rig({ accessLog: path });
  assert.equal(grants.open(false), null);
  rmSync(inner, { recursive: true });
  grants.reopenLog();
  const first = told.at(-1) as Told;
  assert.equal(first.grant.problem, `--access-log ${path}: ENOENT (no such file or folder)`);
  assert.equal(first.grant.given, 1);
  assert.ok(writeSync(first.fd as number, 'x') === 1, 'the old one is open');
  grants.tick(LIMITS.OPEN_RETRY_MS);
  assert.equal(told.length, 1, 'nothing is new');
  mkdirSync(inner);
  grants.tick(LIMITS.OPEN_RETRY_MS + 1);
  assert.equal(told.length, 1, 'too early');
  grants.tick(2 * LIMITS.OPEN_RETRY_MS);
  assert.equal(told.at(-1)?.grant.problem, '');
  assert.equal(log.filter((line) => line.includes('"error"')).length, 1);
  assert.match(log.at(-1) as string, /opened after all/);
});

test('a log that ends within a line is told to do so', () => {
  const path = join(folder, 'c.log');
  const tornOf = (text: string): boolean | undefined => {
    writeFileSync(path, text);
    const { grants, told } = rig({ accessLog: path });
    grants.open(false);
    grants.give();
    return told[0]?.grant.torn;
  };
  assert.deepEqual(['', 'whole\n', 'whole\nhalf'].map(tornOf), [false, false, true]);
});

test('a FIFO that nobody reads is no reason not to start; what is no file holds no token', () => {
  const path = join(folder, 'fifo');
  execFileSync('mkfifo', [path]);
  const { grants, told } = rig({ accessLog: path });
  assert.equal(grants.open(false), null);
  grants.give();
  assert.equal(told[0]?.grant.given, 0);
  assert.match(told[0]?.grant.problem ?? '', /ENXIO \(nobody reads from it\)/);
  for (const [token, why] of [
    [path, /is not a regular file/],
    [folder, /is not a regular file/],
    [join(folder, 'none'), /ENOENT/],
  ] as const)
    assert.match(rig({ adminTokenFile: token }).grants.open(false) ?? '', why);
});

test('the token is opened anew, so that a file in its place counts', () => {
  const path = join(folder, 'token');
  writeFileSync(path, 'one');
  const { grants, told } = rig({ adminTokenFile: path });
  grants.open(false);
  const read = (): string => {
    const bytes = Buffer.alloc(8);
    return bytes.toString('latin1', 0, readSync(told.at(-1)?.fd as number, bytes, 0, 8, 0));
  };
  grants.give();
  assert.equal(read(), 'one');
  assert.equal(read(), 'one');
  writeFileSync(`${path}.new`, 'two');
  renameSync(`${path}.new`, path);
  grants.reopenLog();
  assert.equal(read(), 'one', 'that is for logs');
  grants.reread();
  assert.equal(read(), 'two');
});

test('a certificate and its key come together, again when they have changed and stay as they are', () => {
  const cert = join(folder, 'own.crt');
  const key = join(folder, 'own.key');
  assert.match(rig({ tls: { cert, key } }).grants.open(false) ?? '', /^--tls-cert .*own\.crt: ENOENT/);
  writeFileSync(cert, 'one');
  assert.match(rig({ tls: { cert, key } }).grants.open(false) ?? '', /^--tls-key .*own\.key: ENOENT/);
  writeFileSync(key, 'key');
  const { grants, told, log } = rig({ tls: { cert, key } });
  assert.equal(grants.open(false), null);
  grants.give();
  assert.deepEqual(told[0]?.grant, { type: 'grant', name: 'tls', given: 2, torn: false, problem: '' });
  let now = 0;
  const look = (): number => {
    now += LIMITS.TLS_FILES_MS;
    grants.tick(now);
    return told.length;
  };
  assert.deepEqual([look(), look()], [1, 1], 'nothing has changed');
  writeFileSync(`${cert}.new`, 'another');
  renameSync(`${cert}.new`, cert);
  assert.equal(look(), 1, 'the key may still be on its way');
  writeFileSync(key, 'another key');
  assert.equal(look(), 1);
  assert.deepEqual([look(), look()], [2, 2]);
  rmSync(key);
  assert.deepEqual([look(), look()], [2, 3]);
  assert.match(told[2]?.grant.problem ?? '', /^--tls-key .*own\.key: ENOENT/);
  assert.equal(told[2]?.grant.given, 2, 'those from before are still there');
  assert.equal(log.length, 1);
});

test('a port that is taken ends the start with its flag, but when a predecessor has it: then it is had later', async () => {
  const blocker = createServer();
  await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve));
  const { port } = blocker.address() as { port: number };
  const requests = { host: 'localhost', port };
  const problem = `--requests localhost:${port}: EADDRINUSE (something listens there already)`;
  assert.equal(rig({ requests }).grants.open(false), problem);
  const { grants, told, log } = rig({ requests });
  assert.equal(grants.open(true), null);
  assert.deepEqual(log, [], 'as it should be');
  grants.give();
  assert.equal(told[0]?.grant.given, 0);
  await new Promise<void>((resolve) => blocker.close(() => resolve()));
  grants.retry();
  assert.deepEqual([told.at(-1)?.grant.given, told.at(-1)?.grant.problem], [1, '']);
});

test('both families are served by one socket on ::, where there is IPv6', { skip: !hasIpv6() }, async () => {
  const { grants, told } = rig({ admin: { host: '::', port: 0 } });
  assert.equal(grants.open(false), null);
  grants.give();
  const server = createServer((socket) => socket.end('here'));
  await new Promise<void>((resolve) => server.listen({ fd: told[0]?.fd as number }, resolve));
  const { port } = server.address() as { port: number };
  const { connect } = await import('node:net');
  for (const host of ['127.0.0.1', '::1']) {
    const text = await new Promise((resolve) => connect(port, host).on('data', (part) => resolve(String(part))));
    assert.equal(text, 'here', host);
  }
  server.close();
});

function hasIpv6(): boolean {
  try {
    return readFileSync('/proc/net/if_inet6', 'utf8').includes('00000000000000000000000000000001');
  } catch {
    return false;
  }
}

test('where a family or an address is not to be had the other one is bound; what is taken is taken', () => {
  const tried: string[] = [];
  const opened = (host: string, errors: Readonly<Record<string, number>>): string | null => {
    const listen = ({ address }: { address: string }, { dual }: { dual: boolean }): number => {
      tried.push(dual ? `${address}+` : address);
      return -(errors[address] ?? -7);
    };
    const fake = { listen, fdOf: (handle: number) => handle, close: () => {} } as unknown as typeof io;
    const options = { accessLog: 'off', adminTokenFile: null, tls: null, admin: { host, port: 9 }, requests: null };
    return new Grants(
      fake,
      Logger.to({ write: () => {}, now: () => new Date(0) }, { level: 'error', json: true }),
      options,
      () => {},
    ).open(false);
  };
  const [EADDRINUSE, EAFNOSUPPORT, EADDRNOTAVAIL] = [98, 97, 99];
  assert.equal(opened('::', {}), null);
  assert.equal(opened('::', { '::': EAFNOSUPPORT }), null, 'a kernel without IPv6');
  assert.equal(opened('localhost', { '127.0.0.1': EADDRNOTAVAIL }), null, 'a machine without IPv4');
  assert.deepEqual(tried.splice(0), ['::+', '::+', '0.0.0.0', '127.0.0.1', '::1']);
  assert.match(opened('::', { '::': EADDRINUSE }) ?? '', /EADDRINUSE/);
  assert.match(opened('127.0.0.1', { '127.0.0.1': EADDRNOTAVAIL }) ?? '', /EADDRNOTAVAIL/);
  assert.deepEqual(tried, ['::+', '127.0.0.1'], 'and nobody else is asked');
});
