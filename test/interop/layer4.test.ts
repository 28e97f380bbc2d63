// Layer 4 with the programs that people put behind it: DNS by UDP and, where an answer is cut short, by TCP (c-ares and
// dnspython to dnslib), PostgreSQL (psql, pgbench), SMTP (smtplib and curl, aiosmtpd), and TLS that passes through,
// with a certificate of the client (curl and openssl). What is not on the machine is skipped, and said.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { Resolver } from 'node:dns/promises';
import { chownSync, globSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { authority, leaf, pem } from '../../tools/certificates.ts';
import { Rauta } from '../process/support.ts';
import { OWN_ADDRESS, ownPort } from '../support/keeper.ts';
import { heldPort } from '../support/port.ts';
import { relays, sessionsOf } from './relays.ts';
import { start } from './site.ts';
import { installed, python, run, TEST_MS } from './tools.ts';

const DNSPYTHON = 'dnspython==2.8.0';
const DNSLIB = 'dnslib==0.9.26';
const AIOSMTPD = 'aiosmtpd==1.4.6';
/** Lines of one answer of PostgreSQL: some megabytes. */
const ROWS = 200_000;

test('DNS: an answer by UDP, and by TCP one that is too long for it', { timeout: 200_000 }, async (t) => {
  const program = await python(t, [DNSPYTHON, DNSLIB]);
  if (program === null) return;
  const [port, server] = [ownPort(), ownPort()];
  const folder = mkdtempSync(join(tmpdir(), 'rauta-dns-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const long = Array.from({ length: 40 }, (_, i) => `text number ${i} of a name that has a lot to say`);
  const zone = ['app.example. 60 IN A 192.0.2.7', ...long.map((text) => `long.example. 60 IN TXT "${text}"`)];
  writeFileSync(join(folder, 'zone'), `${zone.join('\n')}\n`);
  const flags = ['--zone', join(folder, 'zone'), '--port', String(server), '--address', '127.0.0.1', '--udplen', '512'];
  await start(program, ['-u', '-m', 'dnslib.zoneresolver', ...flags, '--tcp'], /Starting Zone Resolver/);
  const listeners = [
    { name: 'dns', protocol: 'UDP', port, kind: 'UDPRoute' },
    { name: 'dns-tcp', protocol: 'TCP', port, kind: 'TCPRoute' },
  ];
  const rauta = await Rauta.start({ 'site.yaml': relays(listeners, server) });
  const resolver = new Resolver();
  resolver.setServers([`${OWN_ADDRESS}:${port}`]);
  assert.deepEqual(await resolver.resolve4('app.example'), ['192.0.2.7']);
  await assert.rejects(resolver.resolve4('nobody.example'), { code: /ENOTFOUND|ENODATA/ });
  const asks = `
import dns.message, dns.query
for name, kind in (('app.example', 'A'), ('long.example', 'TXT')):
    q = dns.message.make_query(name, kind)
    answer, by_tcp = dns.query.udp_with_fallback(q, '${OWN_ADDRESS}', port=${port}, timeout=20)
    print(kind, len(answer.answer[0]), by_tcp)
`;
  assert.equal((await run(program, ['-c', asks])).stdout, 'A 1 False\nTXT 40 True\n');
  const lines = await sessionsOf(rauta);
  assert.deepEqual([...new Set(lines.map(({ protocol, kind }) => `${protocol} ${kind}`))].sort(), [
    'TCP TCPRoute',
    'UDP UDPRoute',
  ]);
});

/** A server of PostgreSQL that has nothing yet; null, and the test skipped, where there is none. */
async function postgres(t: TestContext): Promise<number | null> {
  const bin = globSync('/usr/lib/postgresql/*/bin').sort().at(-1);
  if (bin === undefined || installed(t, 'psql') === null) {
    t.skip('there is no PostgreSQL here');
    return null;
  }
  // It does not run as root.
  const own = spawnSync('id', ['-u', 'postgres'], { encoding: 'utf8' });
  const uid = process.getuid?.() === 0 ? Number(own.stdout) : (process.getuid?.() as number);
  const folder = mkdtempSync(join(tmpdir(), 'rauta-pg-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const data = join(folder, 'data');
  mkdirSync(data);
  if (process.getuid?.() === 0) for (const path of [folder, data]) chownSync(path, uid, -1);
  const as = process.getuid?.() === 0 ? ['setpriv', `--reuid=${uid}`, '--clear-groups'] : ['env'];
  const [program = '', ...before] = as;
  await run(program, [...before, join(bin, 'initdb'), '-D', data, '-U', 'rauta', '-A', 'trust', '-N', '--no-locale']);
  const port = heldPort();
  const flags = ['-D', data, '-h', '127.0.0.1', '-p', String(port), '-k', '', '-F', '-c', 'ssl=off'];
  await start(program, [...before, join(bin, 'postgres'), ...flags], /ready to accept connections/);
  return port;
}

test('PostgreSQL: psql, an answer of megabytes both ways, pgbench', { timeout: TEST_MS }, async (t) => {
  const server = await postgres(t);
  if (server === null) return;
  const port = ownPort();
  const listeners = [{ name: 'db', protocol: 'TCP', port, kind: 'TCPRoute' }];
  const rauta = await Rauta.start({ 'site.yaml': relays(listeners, server) });
  const to = ['-h', OWN_ADDRESS, '-p', String(port), '-U', 'rauta'];
  const ask = async (sql: string, input?: string): Promise<string> => {
    const child = spawnSync('psql', [...to, '-d', 'postgres', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-c', sql], {
      ...{ encoding: 'utf8', maxBuffer: 1 << 28, timeout: 120_000 },
      ...(input === undefined ? {} : { input }),
    });
    assert.equal(child.status, 0, child.stderr);
    return child.stdout;
  };
  assert.equal(await ask('select 6 * 7'), '42\n');
  const rows = Array.from({ length: ROWS }, (_, i) => `${i}\tthis is row number ${i}\n`).join('');
  await ask('create table lines (n int, text text)');
  await ask('copy lines from stdin', rows);
  assert.equal(await ask('copy (select * from lines order by n) to stdout'), rows);
  const bench = async (...args: string[]): Promise<string> =>
    (await run('pgbench', [...to, ...args, 'postgres'], { timeout: 120_000 })).stdout;
  await bench('-i', '-q', '-s', '1');
  assert.match(await bench('-c', '4', '-t', '25', '-C'), /number of transactions actually processed: 100\/100/);
  const lines = await sessionsOf(rauta);
  assert.ok(lines.length >= 100, 'a session for each transaction');
  assert.deepEqual([...new Set(lines.map(({ flags }) => flags))], ['']);
  assert.ok(lines.some(({ request_bytes }) => request_bytes > rows.length));
  assert.ok(lines.some(({ response_bytes }) => response_bytes > rows.length));
});

test('SMTP, where the server speaks first: smtplib, and curl', { timeout: 200_000 }, async (t) => {
  const program = await python(t, [AIOSMTPD]);
  if (program === null || installed(t, 'curl') === null) return;
  const [port, server] = [ownPort(), heldPort()];
  const flags = ['-n', '-d', '-l', `127.0.0.1:${server}`, '-c', 'aiosmtpd.handlers.Debugging', 'stdout'];
  const child = await start(program, ['-u', '-m', 'aiosmtpd', ...flags], /Server is listening/);
  const subjects: string[] = [];
  const both = new Promise<void>((resolve) => {
    createInterface({ input: child.stdout as Readable }).on('line', (line) => {
      if (line.startsWith('Subject: ') && subjects.push(line) === 2) resolve();
    });
  });
  const listeners = [{ name: 'mail', protocol: 'TCP', port, kind: 'TCPRoute' }];
  const rauta = await Rauta.start({ 'site.yaml': relays(listeners, server) });
  const sends = `
import smtplib
with smtplib.SMTP('${OWN_ADDRESS}', ${port}, timeout=30) as s:
    s.sendmail('a@example.com', ['b@example.com'], 'Subject: by smtplib\\r\\n\\r\\n' + 'x' * 70 + '\\r\\n' + 'y\\r\\n' * 100000)
print('sent')
`;
  assert.equal((await run(program, ['-c', sends], { timeout: 60_000 })).stdout, 'sent\n');
  const curl = spawnSync(
    'curl',
    [
      ...['-sS', '--max-time', '30', '--url', `smtp://${OWN_ADDRESS}:${port}`, '--upload-file', '-'],
      ...['--mail-from', 'c@example.com', '--mail-rcpt', 'd@example.com'],
    ],
    { input: 'Subject: by curl\r\n\r\nHello.\r\n', encoding: 'utf8' },
  );
  assert.equal(curl.status, 0, curl.stderr);
  await both;
  assert.deepEqual(subjects, ['Subject: by smtplib', 'Subject: by curl']);
  for (const { end, flags, request_bytes } of await sessionsOf(rauta)) {
    assert.equal(flags, '');
    assert.match(end, /client|backend/);
    assert.ok(request_bytes > 0);
  }
});

test('TLS passes through: the backend of openssl asks curl for a certificate, and knows it', {
  timeout: 60_000,
}, async (t) => {
  if (installed(t, 'openssl') === null || installed(t, 'curl') === null) return;
  const folder = mkdtempSync(join(tmpdir(), 'rauta-through-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const issuer = authority('Interop');
  const stranger = authority('Stranger');
  const write = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const pairOf = (name: string, own: ReturnType<typeof leaf>): string =>
    write(name, pem('CERTIFICATE', own.der) + pem('PRIVATE KEY', own.keyDer));
  const authorities = write('ca.pem', pem('CERTIFICATE', issuer.der));
  const own = pairOf('server.pem', leaf(issuer, ['db.example']));
  const client = pairOf('client.pem', leaf(issuer, ['client.example'], { client: true }));
  const other = pairOf('other.pem', leaf(stranger, ['client.example'], { client: true }));
  const [port, server] = [ownPort(), heldPort()];
  const flags = ['-accept', `127.0.0.1:${server}`, '-cert', own, '-key', own, '-CAfile', authorities];
  await start('openssl', ['s_server', ...flags, '-Verify', '1', '-verify_return_error', '-www'], /^ACCEPT/);
  const listener = 'hostname: "*.example", tls: { mode: Passthrough }';
  const listeners = [
    { name: 'tls', protocol: 'TLS', port, kind: 'TLSRoute', listener, route: '  hostnames: [db.example]\n' },
  ];
  const rauta = await Rauta.start({ 'site.yaml': relays(listeners, server) });
  const ask = (name: string, ...more: string[]): { status: number | null; stdout: string; stderr: string } => {
    const at = `${name}:${port}:${OWN_ADDRESS}`;
    const args = ['-sS', '--max-time', '20', '--cacert', authorities, '--resolve', at, ...more];
    return spawnSync('curl', [...args, `https://${name}:${port}/`], { encoding: 'utf8' });
  };
  const known = ask('db.example', '--cert', client);
  assert.equal(known.status, 0, known.stderr);
  assert.match(known.stdout, /Client certificate[\s\S]*client\.example/);
  assert.notEqual(ask('db.example').status, 0, 'without one');
  assert.notEqual(ask('db.example', '--cert', other).status, 0, "with a stranger's");
  assert.notEqual(ask('nobody.example', '--cert', client).status, 0, 'a name that no route has');
  const lines = await sessionsOf(rauta);
  assert.deepEqual(
    lines.map(({ protocol, flags }) => `${protocol} ${flags}`),
    ['TLS ', 'TLS ', 'TLS ', 'TLS NR'],
  );
});
