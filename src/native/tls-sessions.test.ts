// What a ticket may and may not take up again.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { NativeTlsRig, type Pair, PLAIN } from '../../test/support/native-tls.ts';
import { ERRNO } from '../io/io.ts';
import { TICKET_KEY_BYTES, TICKET_NAME_BYTES, TLS_ASKS } from '../io/tls.ts';
import * as ssl from './openssl.ts';

const rig = new NativeTlsRig();
const { io, tls, at, trust, certificate, pair, shake, close, write, read } = rig;
after(() => rig.end());

const newKey = (name: number): Uint8Array => new Uint8Array(TICKET_KEY_BYTES).fill(name, 0, 16).fill(name + 100, 16);
const NOBODYS = new Uint8Array(TICKET_NAME_BYTES);
const nameOf = (key: Uint8Array): Uint8Array => key.slice(0, TICKET_NAME_BYTES);

/** The ClientHello as behind the opening, which has read it: whether certificates are asked for. */
function greet(p: Pair): boolean {
  assert.equal(tls.handshake(p.client), -ERRNO.EAGAIN);
  const n = io.recv(p.sockets[0], at, 65_536);
  const said = tls.handshakeWith(p.server, at, n);
  assert.ok(said === TLS_ASKS || said === -ERRNO.EAGAIN, String(said));
  return said === TLS_ASKS;
}

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  const server12 = tls.serverContext({ ...PLAIN, maxVersion: version });
  const client12 = tls.clientContext({ ...PLAIN, maxVersion: version, verify: { trust, mode: 'require' } }, 0);
  const connect = (session: number, context: number, offered: Uint8Array): { resumed: boolean; session: number } => {
    const p = pair({ server: server12, client: client12, certificates: [] });
    tls.bind(p.server, new Uint8Array(32).fill(context));
    if (session !== 0) tls.resume(p.client, session);
    const known = tls.offered(p.server, offered);
    if (!known) assert.equal(tls.use(p.server, certificate), 0);
    const asked = greet(p);
    if (asked) {
      assert.equal(tls.use(p.server, certificate), 0);
      assert.equal(tls.handshakeOn(p.server), -ERRNO.EAGAIN);
    }
    assert.deepEqual(shake(p), [1, 1]);
    assert.equal(asked, known && !tls.resumed(p.server), 'certificates are asked for where they are needed');
    write(p.server, 'x');
    assert.equal(read(p.client), 'x');
    const resumed = tls.resumed(p.server);
    assert.equal(tls.resumed(p.client), resumed);
    const next = tls.session(p.client);
    tls.shutdown(p.client);
    close(p);
    return { resumed, session: next };
  };

  test(`${version}: a ticket is taken by keys that are accepted, in its own context only`, () => {
    const [first, second, third] = [newKey(1), newKey(2), newKey(3)];
    tls.setTicketKeys([first]);
    const one = connect(0, 1, NOBODYS);
    assert.equal(one.resumed, false);
    assert.equal(connect(one.session, 1, nameOf(first)).resumed, true);
    assert.equal(connect(one.session, 2, nameOf(first)).resumed, false, 'another listener, name or validation');
    tls.setTicketKeys([second, first]);
    const rotated = connect(one.session, 1, nameOf(first));
    assert.equal(rotated.resumed, true, 'the key before is still accepted');
    tls.setTicketKeys([second, third]);
    assert.equal(connect(one.session, 1, nameOf(first)).resumed, false, 'its time is over');
    if (version === 'TLSv1.3') {
      assert.equal(connect(rotated.session, 1, nameOf(second)).resumed, true, 'issued under the newer one');
    }
    const all = [one.session, rotated.session];
    tls.setTicketKeys([]);
    assert.equal(connect(one.session, 1, NOBODYS).resumed, false, 'no keys, no tickets');
    for (const session of all) tls.dropSession(session);
  });
}

test('what came behind a ClientHello that asks for certificates belongs to nobody else', () => {
  const key = newKey(9);
  tls.setTicketKeys([key]);
  const p = pair({ certificates: [] });
  assert.equal(tls.offered(p.server, nameOf(key)), true);
  assert.equal(tls.handshake(p.client), -ERRNO.EAGAIN);
  const n = io.recv(p.sockets[0], at, 65_536);
  io.mem.fill(23, at + n, at + n + 500);
  assert.equal(tls.handshakeWith(p.server, at, n + 500), TLS_ASKS);
  close(p);
  const q = pair();
  assert.deepEqual(shake(q), [1, 1]);
  assert.equal(tls.handshakeOn(q.server), -ERRNO.EINVAL, 'it was asked for nothing');
  close(q);
  assert.equal(tls.handshakeOn(q.server), -ERRNO.EBADF);
  tls.setTicketKeys([]);
});

test('a ticket that is taken, and not any more when it comes with another key share: a certificate is shown', () => {
  const SET_GROUPS_LIST = 92;
  const context = ssl.ctxNew(ssl.tlsClientMethod());
  const groups = Buffer.from('P-521:X25519\0');
  const raws: bigint[] = [];
  /** A client that is OpenSSL's alone, whose first share is of a group that the server likes less than the other. */
  const strange = (session: number): Pair & { readonly raw: number } => {
    const p = pair({ certificates: [] });
    tls.close(p.client);
    const raw = ssl.sslNew(context);
    raws.push(BigInt(raw));
    ssl.sslSetFd(raw, io.fdOf(p.sockets[1]));
    ssl.sslSetConnectState(raw);
    io.mem.set(groups, at);
    assert.equal(ssl.sslCtrl(raw, SET_GROUPS_LIST, 0, io.arena.base + at), 1);
    if (session !== 0) ssl.sslSetSession(raw, session);
    return { ...p, raw };
  };
  const hello = ({ raw, server, sockets }: ReturnType<typeof strange>): number => {
    assert.equal(ssl.sslDoHandshake(raw), -1);
    return tls.handshakeWith(server, at, io.recv(sockets[0], at, 65_536));
  };
  const finish = ({ raw, server }: ReturnType<typeof strange>): void => {
    let said = -ERRNO.EAGAIN;
    for (let i = 0; i < 4 && said !== 1; i++) {
      ssl.sslDoHandshake(raw);
      said = tls.handshake(server);
    }
    assert.equal(said, 1);
  };
  const key = newKey(5);
  tls.setTicketKeys([key]);
  const first = strange(0);
  assert.equal(tls.use(first.server, certificate), 0);
  assert.equal(hello(first), -ERRNO.EAGAIN);
  finish(first);
  write(first.server, 'x');
  assert.equal(ssl.sslRead(BigInt(first.raw), BigInt(io.arena.base + at), 100n), 1);
  const session = ssl.sslGet1Session(first.raw);
  for (const gone of [false, true]) {
    const p = strange(session);
    assert.equal(tls.offered(p.server, nameOf(key)), true);
    assert.equal(hello(p), TLS_ASKS, 'who knows what its second ClientHello says');
    assert.equal(tls.use(p.server, certificate), 0);
    assert.equal(tls.handshakeOn(p.server), -ERRNO.EAGAIN);
    if (gone) tls.setTicketKeys([newKey(6)]);
    finish(p);
    assert.equal(tls.resumed(p.server), !gone);
    tls.close(p.server);
    for (const socket of p.sockets) io.close(socket);
  }
  tls.close(first.server);
  for (const socket of first.sockets) io.close(socket);
  for (const raw of raws) ssl.sslFree(raw, 0n);
  ssl.sessionFree(session);
  ssl.ctxFree(context);
  tls.setTicketKeys([]);
});
