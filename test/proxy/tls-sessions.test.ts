// What a ticket may take up again, what comes behind a ClientHello, and what changes before it came.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { watch } from 'node:fs/promises';
import { type AddressInfo, connect as connectTcp, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import { after } from 'node:test';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { LIMITS } from '../../src/base/limits.ts';
import { TICKET_KEY_BYTES } from '../../src/io/tls.ts';
import type { Entry, TrustEntry } from '../../src/ir/ir.ts';
import { handshakeCell } from '../../src/telemetry/layout.ts';
import { authority, leaf, pem } from '../../tools/certificates.ts';
import { nativeOnly, type TestNet } from '../support/net.ts';
import { CA, certificate, certificates, ENTRIES, HOSTS, middle, socket, TlsRig, tls } from './tls-rig.ts';

const clients = [authority('Clients'), authority('Other clients')] as const;
const own = leaf(clients[0], [], { client: true });
const shown = { cert: pem('CERTIFICATE', own.der), key: pem('PRIVATE KEY', own.keyDer) };

function trust(...authorities: readonly { readonly der: Buffer }[]): TrustEntry {
  const ders = authorities.map(({ der }) => der.toString('base64'));
  return { kind: 'trust', key: 'trust/default/clients', authorities: ders, revoked: [] };
}

const STRICT = { clients: { trust: 'trust/default/clients', mode: 'AllowInsecureFallback', forward: [] } } as const;
const SITES: readonly Entry[] = [
  trust(clients[0]),
  certificate('a', certificates.a),
  certificate('wild', certificates.wild),
  socket({ 'a.example': tls(['a'], STRICT), 'b.example': tls(['a'], STRICT), '*.wild.example': tls(['wild']) }),
];

function rigWithTickets(net: TestNet, entries: readonly Entry[]): TlsRig {
  // Time that goes on may end what the tests take up.
  const wallMs = Date.now();
  Object.defineProperty(net.io, 'wallMs', { get: () => wallMs, configurable: true });
  const rig = new TlsRig(net, entries);
  rig.engine.setTicketKeys([Buffer.alloc(TICKET_KEY_BYTES, 1)]);
  return rig;
}

/** A connection that offers `session`: whether it was taken up, and the session to offer next. */
async function come(
  rig: TlsRig,
  name: string,
  session?: Buffer,
  more: ConnectionOptions = {},
): Promise<{ reused: boolean; group: string | undefined; session: Buffer }> {
  const client = rig.client(name, { ...shown, ...(session === undefined ? {} : { session }), ...more });
  // One of TLS 1.2 that was taken up stays as it is.
  let next = session;
  client.on('session', (given) => {
    next = given;
  });
  await once(client, 'secureConnect');
  const reused = client.isSessionReused();
  const group = (client.getEphemeralKeyInfo() as { name?: string } | null)?.name;
  client.write(`GET / HTTP/1.1\r\nHost: ${name}\r\nConnection: close\r\n\r\n`);
  client.resume();
  await once(client, 'close');
  assert.ok(next !== undefined, 'no ticket');
  return { reused, group, session: next };
}

nativeOnly(
  'a client that showed a certificate has it looked at again in time, however often it came back',
  async (net) => {
    const rig = rigWithTickets(net, SITES);
    let wallMs = Math.floor(Date.now() / LIMITS.TLS_CLIENT_SESSION_MS) * LIMITS.TLS_CLIENT_SESSION_MS;
    Object.defineProperty(net.io, 'wallMs', { get: () => wallMs });
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const more = { maxVersion };
      let { session } = await come(rig, 'a.example', undefined, more);
      const wild = (await come(rig, 'x.wild.example', undefined, more)).session;
      wallMs += LIMITS.TLS_CLIENT_SESSION_MS - 1;
      const again = await come(rig, 'a.example', session, more);
      assert.equal(again.reused, true);
      session = again.session;
      wallMs += 1;
      assert.equal((await come(rig, 'a.example', session, more)).reused, false);
      assert.equal((await come(rig, 'x.wild.example', wild, more)).reused, true, 'nobody was asked there');
    }
    await rig.end();
  },
);

nativeOnly(
  'a ticket is good for its listener, its name, and as long as it is verified in the same way',
  async (net) => {
    const rig = rigWithTickets(net, SITES);
    const { session } = await come(rig, 'a.example');
    assert.equal((await come(rig, 'a.example', session)).reused, true);
    assert.equal((await come(rig, 'b.example', session)).reused, false, 'another listener with the same certificate');
    const wild = (await come(rig, 'x.wild.example')).session;
    assert.equal((await come(rig, 'x.wild.example', wild)).reused, true);
    assert.equal((await come(rig, 'y.wild.example', wild)).reused, false, 'another name of the same listener');

    rig.apply({ upserts: [certificate('a', leaf(middle, ['a.example']))], removals: [] });
    assert.equal((await come(rig, 'a.example', session)).reused, true, 'a new certificate ends no session');
    rig.apply({ upserts: [trust(clients[1])], removals: [] });
    assert.equal((await come(rig, 'a.example', session)).reused, false, 'its certificate is not trusted any more');
    rig.apply({ upserts: [trust(clients[0])], removals: [] });
    assert.equal((await come(rig, 'a.example', session)).reused, true, 'nor does one that changes nothing');
    rig.apply({
      upserts: [socket({ ...HOSTS, 'a.example': tls(['a'], { ...STRICT, minVersion: 'TLSv1.3' }) })],
      removals: [],
    });
    assert.equal((await come(rig, 'a.example', session)).reused, false, 'other versions are spoken');
    await rig.end();
  },
);

nativeOnly('a ticket that is offered again with another key share is taken, or a certificate is shown', async (net) => {
  const rig = rigWithTickets(net, SITES);
  // RFC 8446 section 4.1.4: the first share is of a group that the server likes less than one without a share.
  const again = { ecdhCurve: 'secp521r1:X25519' };
  const first = await come(rig, 'a.example', undefined, again);
  assert.equal(first.group, 'X25519');
  const taken = await come(rig, 'a.example', first.session, again);
  assert.deepEqual([taken.reused, taken.group], [true, 'X25519']);
  rig.apply({ upserts: [trust(clients[1])], removals: [] });
  const other = await come(rig, 'a.example', first.session, again);
  assert.deepEqual([other.reused, other.group], [false, 'X25519'], 'whom it is of is not trusted any more');
  rig.engine.setTicketKeys([Buffer.alloc(TICKET_KEY_BYTES, 2)]);
  assert.equal((await come(rig, 'a.example', first.session, again)).reused, false, 'by a key that is gone');
  assert.equal(rig.get(handshakeCell('downstream', true, true)), 1);
  assert.equal(rig.get(handshakeCell('downstream', true, false)), 3);
  await rig.end();
});

nativeOnly('what changes between the connection and its ClientHello fails no handshake', async (net) => {
  const rig = new TlsRig(net);
  const raw = connectTcp(rig.address.port, '127.0.0.1');
  await once(raw, 'connect');
  const held: Buffer[] = [];
  let open = false;
  const slow = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      if (open) raw.write(chunk);
      else held.push(chunk);
      done();
    },
    final(done) {
      raw.end(done);
    },
  });
  raw.on('data', (chunk) => slow.push(chunk));
  raw.on('end', () => slow.push(null));
  const client: TLSSocket = connect({ socket: slow, servername: 'a.example', ca: CA });
  const failed = once(client, 'error').then(([error]) => assert.fail(error as Error));
  // The first bytes make the connection known to the proxy.
  while (held.length === 0) await new Promise(setImmediate);
  const hello = Buffer.concat(held);
  raw.write(hello.subarray(0, 20));
  await net.settle();
  for (const name of ['new.example', 'newer.example']) {
    rig.apply({ upserts: [socket({ ...HOSTS, [name]: tls(['a'], { minVersion: 'TLSv1.3' }) })], removals: [] });
  }
  rig.apply({ upserts: [socket({ 'a.example': tls(['a'], { minVersion: 'TLSv1.3' }) })], removals: [] });
  open = true;
  raw.write(hello.subarray(20));
  await Promise.race([once(client, 'secureConnect'), failed]);
  await net.settle();
  client.destroy();
  raw.destroy();
  assert.equal(rig.get(handshakeCell('downstream', true, false)), 1);
  await rig.end();
});

const folder = mkdtempSync(join(tmpdir(), 'rauta-early-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** What `child` says on its standard output, as soon as it holds `wanted`. */
function heard(child: ChildProcess, wanted: RegExp): Promise<RegExpExecArray> {
  let text = '';
  return new Promise((resolve, reject) => {
    child.stdout?.on('data', (chunk) => {
      text += chunk;
      const found = wanted.exec(text);
      if (found !== null) resolve(found);
    });
    child.once('close', () => reject(new Error(`${wanted} is not in ${JSON.stringify(text)}`)));
  });
}

/** A session of a server that takes early data, by the openssl program; null where there is none. */
async function sessionWithEarlyData(): Promise<string | null> {
  if (spawnSync('openssl', ['version']).status !== 0) return null;
  const site = certificates.a;
  writeFileSync(join(folder, 'crt'), pem('CERTIFICATE', site.der));
  writeFileSync(join(folder, 'key'), pem('PRIVATE KEY', site.keyDer));
  const files = ['-cert', join(folder, 'crt'), '-key', join(folder, 'key')];
  const server = spawn('openssl', ['s_server', '-accept', '127.0.0.1:0', '-early_data', '-tls1_3', ...files]);
  const port = (await heard(server, /ACCEPT .*:(\d+)\n/))[1] as string;
  const path = join(folder, 'session');
  const client = spawn('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, '-sess_out', path, '-ign_eof'], {
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  for await (const _ of watch(folder)) if (existsSync(path) && statSync(path).size > 0) break;
  client.kill();
  await once(client, 'close');
  server.kill();
  await once(server, 'close');
  return path;
}

/** A port that passes on to `to`: first all but the end of what a client says before it waits, then the rest. */
async function cutting(net: TestNet, to: number, firstBytes: number): Promise<Server> {
  const server = createServer((down) => {
    const up = connectTcp(to, '127.0.0.1');
    up.pipe(down);
    // What the client still says when the answer is over meets an end.
    for (const socket of [up, down]) socket.on('error', () => {});
    let held = Buffer.alloc(0);
    let passing = false;
    down.on('end', () => up.end());
    down.on('data', (chunk: Buffer) => {
      if (passing) {
        up.write(chunk);
        return;
      }
      held = Buffer.concat([held, chunk]);
      if (held.length < firstBytes) return;
      passing = true;
      down.pause();
      up.write(held.subarray(0, -500));
      void net.settle().then(() => {
        up.write(held.subarray(-500));
        down.resume();
      });
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return server;
}

/** The name of the key that the ticket of a session was made with. */
function ticketName(session: string): Buffer {
  const { stdout } = spawnSync('openssl', ['sess_id', '-in', session, '-text', '-noout'], { encoding: 'utf8' });
  const digits = /session ticket:\n\s*0000 - ([0-9a-f -]{47})/.exec(stdout)?.[1] as string;
  return Buffer.from(digits.replaceAll(/[ -]/g, ''), 'hex');
}

nativeOnly(
  'early data is skipped, and the handshake goes on, whether the name of its ticket is known or not',
  async (net) => {
    const session = await sessionWithEarlyData();
    if (session === null) return;
    for (const name of [Buffer.alloc(16, 1), ticketName(session)]) await early(net, session, name);
  },
);

/** With a key of that `name`, which is not the one of the ticket. */
async function early(net: TestNet, session: string, name: Buffer): Promise<void> {
  const rig = new TlsRig(net, ENTRIES);
  rig.engine.setTicketKeys([Buffer.concat([name, Buffer.alloc(TICKET_KEY_BYTES - name.length, 1)])]);
  writeFileSync(join(folder, 'early'), `GET /early HTTP/1.1\r\nHost: a.example\r\n\r\n${' '.repeat(3000)}`);
  const relay = await cutting(net, rig.address.port, 3000);
  const { port } = relay.address() as AddressInfo;
  const argv = ['-connect', `127.0.0.1:${port}`, '-servername', 'a.example', '-sess_in', session];
  const client = spawn('openssl', ['s_client', ...argv, '-early_data', join(folder, 'early'), '-ign_eof'], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  client.stdin.write('GET /late HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n');
  await heard(client, /Early data was rejected[\s\S]*HTTP\/1\.1 200 OK/);
  if (client.exitCode === null) await once(client, 'close');
  assert.deepEqual(
    rig.records.all.map(({ path }) => path),
    ['/late'],
  );
  relay.close();
  await rig.end();
}
