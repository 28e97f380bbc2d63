// Layer 4 with servers of Debian and the clients that belong to them: DNS (dig, BIND) and Redis (redis-cli,
// redis-benchmark). What is not on the machine is skipped, and said.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { Rauta } from '../process/support.ts';
import { OWN_ADDRESS, ownPort } from '../support/keeper.ts';
import { relays, sessionsOf } from './relays.ts';
import { start } from './site.ts';
import { installed, run } from './tools.ts';

/** Names of the zone: its transfer is many messages. */
const NAMES = 4_000;
const BYTES = 4 * 1024 * 1024;

test('DNS: dig asks BIND, by UDP, by TCP where an answer is cut short, and for a whole zone', {
  timeout: 200_000,
}, async (t) => {
  if (installed(t, 'dig') === null || installed(t, 'named') === null) return;
  const [port, server] = [ownPort(), ownPort()];
  const folder = mkdtempSync(join(tmpdir(), 'rauta-bind-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const hosts = Array.from({ length: NAMES }, (_, i) => `host-${i} IN A 192.0.2.${i % 250}`);
  const texts = Array.from({ length: 40 }, (_, i) => `long IN TXT "text number ${i} of a name that has a lot to say"`);
  const zone = ['$TTL 60', '@ IN SOA ns root 1 60 60 60 60', '@ IN NS ns', 'ns IN A 127.0.0.1', ...hosts, ...texts];
  writeFileSync(join(folder, 'zone'), `${zone.join('\n')}\n`);
  writeFileSync(
    join(folder, 'named.conf'),
    `options {
  directory "${folder}"; pid-file none; session-keyfile none; recursion no; dnssec-validation no;
  max-udp-size 4096;
  listen-on port ${server} { 127.0.0.1; }; listen-on-v6 { none; }; allow-transfer { any; };
};
controls { };
zone "example." { type primary; file "${join(folder, 'zone')}"; };
`,
  );
  await start('named', ['-g', '-n', '1', '-c', join(folder, 'named.conf')], / running$/);
  const listeners = [
    { name: 'dns', protocol: 'UDP', port, kind: 'UDPRoute' },
    { name: 'dns-tcp', protocol: 'TCP', port, kind: 'TCPRoute' },
  ];
  const rauta = await Rauta.start({ 'site.yaml': relays(listeners, server) });
  const dig = async (...args: string[]): Promise<string> =>
    (await run('dig', [`@${OWN_ADDRESS}`, '-p', String(port), ...args], { maxBuffer: 1 << 26 })).stdout;
  assert.equal(await dig('host-7.example', 'A', '+short'), '192.0.2.7\n');
  assert.match(await dig('nobody.example', 'A'), /status: NXDOMAIN/);
  const long = await dig('long.example', 'TXT', '+bufsize=512');
  assert.match(long, /Truncated, retrying in TCP mode/);
  assert.match(long, /ANSWER: 40,/);
  assert.match(await dig('long.example', 'TXT', '+bufsize=4096'), /ANSWER: 40,.*\(UDP\)/s);
  // Two questions on one connection, and a zone that is some dozen messages long.
  const kept = await dig('+tcp', '+keepopen', '+short', 'host-1.example', 'A', 'host-2.example', 'A');
  assert.equal(kept, '192.0.2.1\n192.0.2.2\n');
  assert.equal((await dig('example', 'AXFR')).match(/^host-\d+\.example\./gm)?.length, NAMES);
  const lines = await sessionsOf(rauta);
  assert.equal(lines.filter(({ kind, flags }) => kind === 'TCPRoute' && flags === '').length, 3);
  assert.ok(lines.some(({ protocol, response_bytes }) => protocol === 'UDP' && response_bytes > 512));
});

test('Redis: values of megabytes, who subscribes, pipelined commands of many connections', {
  timeout: 200_000,
}, async (t) => {
  if (installed(t, 'redis-server') === null || installed(t, 'redis-benchmark') === null) return;
  const [port, server] = [ownPort(), ownPort()];
  const folder = mkdtempSync(join(tmpdir(), 'rauta-redis-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const flags = ['--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder];
  await start('redis-server', ['--port', String(server), ...flags], /Ready to accept connections/);
  const listeners = [{ name: 'redis', protocol: 'TCP', port, kind: 'TCPRoute' }];
  const rauta = await Rauta.start({ 'site.yaml': relays(listeners, server) });
  const at = ['-h', OWN_ADDRESS, '-p', String(port)];
  const cli = async (input: string, ...args: string[]): Promise<string> => {
    const child = spawn('redis-cli', [...at, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
    const parts: Buffer[] = [];
    child.stdout.on('data', (part: Buffer) => parts.push(part));
    child.stdin.end(input);
    const [code] = (await once(child, 'close')) as [number];
    assert.equal(code, 0);
    return Buffer.concat(parts).toString();
  };
  const value = Array.from({ length: BYTES / 16 }, (_, i) => String(i).padStart(16, '.')).join('');
  assert.equal(await cli(value, '-x', 'set', 'large'), 'OK\n');
  assert.equal(await cli('', '--raw', 'get', 'large'), `${value}\n`);
  const listener = spawn('redis-cli', [...at, 'subscribe', 'news'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const heard = createInterface({ input: listener.stdout })[Symbol.asyncIterator]();
  const next = async (count: number): Promise<string[]> => {
    const lines: string[] = [];
    while (lines.length < count) lines.push(String((await heard.next()).value));
    return lines;
  };
  assert.deepEqual(await next(3), ['subscribe', 'news', '1']);
  assert.equal(await cli('', 'publish', 'news', 'rain'), '1\n');
  assert.deepEqual(await next(3), ['message', 'news', 'rain']);
  listener.kill();
  const bench = ['-c', '20', '-n', '4000', '-P', '16', '-d', '1000', '-t', 'set,get,lrange_100', '--csv'];
  const { stdout } = await run('redis-benchmark', [...at, ...bench], { timeout: 120_000 });
  assert.match(stdout, /^"SET",.*\n"GET",/m);
  const lines = await sessionsOf(rauta);
  assert.ok(lines.length > 40, 'a session for each connection');
  assert.ok(lines.some(({ request_bytes }) => request_bytes > BYTES));
  assert.ok(lines.some(({ response_bytes }) => response_bytes > BYTES));
});
