// The PROXY protocol on both sides: from load balancers in front of HTTP, TLS and TCP, and to backends.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createSecureContext, TLSSocket } from 'node:tls';
import type { SocketEntry } from '../../src/ir/ir.ts';
import { NativeTls } from '../../src/native/tls.ts';
import { proxyHeader } from '../../src/proxy/proxy-header.ts';
import { authority, leaf, pem } from '../../tools/certificates.ts';
import type { NativeNet } from '../support/native-net.ts';
import { nativeOnly, plainly } from '../support/net.ts';
import { answering, cluster, endpoint, get, listener, ok, Rig, relay, tcpListener } from './rig.ts';

const plain = plainly('a PROXY header stands in front of TLS, which the clients of the net begin with');

const TO = { family: 'ipv4', address: '198.51.100.1', port: 443 } as const;
const HEADERS = [proxyHeader('v1', '192.0.2.7', 51_234, TO), proxyHeader('v2', '192.0.2.7', 51_234, TO)];
const TCP = { protocol: 'tcp' } as const;

function from(entry: SocketEntry, ...trusted: string[]): SocketEntry {
  return { ...entry, proxyProtocol: { trusted } };
}

plain.onBoth('in front of HTTP: the client is who the header names, in X-Forwarded-For and in the log', async (net) => {
  const heads: string[] = [];
  const backend = answering(net, ({ head }) => {
    heads.push(/^x-forwarded-for: (.*)$/im.exec(head)?.[1] ?? '');
    return ok('x');
  });
  const rig = new Rig(net, [backend]);
  rig.apply({ upserts: [from(listener(), '127.0.0.7', '10.0.0.0/8')], removals: [] });
  for (const header of HEADERS) {
    const client = await rig.connect('127.0.0.7');
    await client.send(header);
    await client.send(get());
    assert.equal((await client.readMessage()).status, 200);
    await client.send(get());
    assert.equal((await client.readMessage()).status, 200);
    client.close();
  }
  const own = await rig.connect('127.0.0.8');
  await own.send(get());
  assert.equal((await own.readMessage()).status, 200, 'who is not trusted needs none');
  await own.send(Buffer.concat([HEADERS[0] as Uint8Array, Buffer.from(get())]));
  assert.equal((await own.readMessage()).status, 400, 'and is not believed');
  own.close();
  const itself = await rig.connect('127.0.0.7');
  await itself.send('PROXY UNKNOWN\r\n');
  await itself.send(get());
  assert.equal((await itself.readMessage()).status, 200);
  itself.close();
  await rig.end();
  assert.deepEqual(heads, ['192.0.2.7', '192.0.2.7', '192.0.2.7', '192.0.2.7', '127.0.0.8', '127.0.0.7']);
  const [first] = rig.records.all;
  assert.deepEqual([first?.client, first?.connection], ['192.0.2.7', '"peer":"127.0.0.7"']);
});

plain.onBoth('who is to send a header and does not is closed, and the log says so', async (net) => {
  const rig = new Rig(net, [answering(net, () => ok('x'))]);
  rig.apply({ upserts: [from(listener(), '127.0.0.0/8')], removals: [] });
  for (const bad of [get(), 'PROXY TCP4 1 2 3 4\r\n', '\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0']) {
    const client = await rig.connect();
    await client.send(Buffer.from(bad, 'latin1')).catch(() => {});
    await assert.rejects(client.readAll(), { code: 'ECONNRESET' });
    await net.settle();
    const { flags, end, session } = rig.records.last;
    assert.deepEqual([flags, end, session], ['DPE', 'refused', 0]);
  }
  await rig.end();
  assert.equal(rig.records.all.length, 3);
});

plain.onBoth(
  'in front of bytes: behind the header the server may speak first, and addresses are hashed',
  async (net) => {
    const backends = ['a', 'b', 'c', 'd', 'e'].map((name) =>
      endpoint(
        net.serve(async (peer) => {
          await peer.send(`${name}\n`);
          await peer.readAll().catch(() => null);
          peer.end();
        }),
      ),
    );
    const balancer = { type: 'maglev', key: 'clientAddress', name: '' } as const;
    const rig = new Rig(
      net,
      [],
      [from(tcpListener(), '127.0.0.0/8'), relay(), cluster('app', backends, { ...TCP, balancer })],
    );
    const nameFor = async (address: string): Promise<string> => {
      const client = await rig.connect();
      await client.send(proxyHeader('v2', address, 1, TO));
      const name = await client.readUntil('\n');
      client.end();
      await client.readAll();
      client.close();
      return name;
    };
    const names = new Set<string>();
    for (let i = 0; i < 12; i++) names.add(await nameFor(`192.0.2.${i}`));
    assert.ok(names.size > 1, 'not all are of the load balancer');
    assert.equal(await nameFor('192.0.2.1'), await nameFor('192.0.2.1'));
    await rig.end();
    assert.equal(rig.records.last.client, '192.0.2.1');
  },
);

plain.onBoth('a backend is told whom a session is of, before all else', async (net) => {
  for (const version of ['v1', 'v2'] as const) {
    const lines: Buffer[] = [];
    const backend = net.serve(async (peer) => {
      lines.push(Buffer.from(await peer.readExactly(version === 'v2' ? 28 : 'PROXY TCP4 127.0.0.9 127.0.0.1 '.length)));
      if (version === 'v1') await peer.readUntil('\r\n');
      assert.equal(await peer.readUntil('\n'), 'hello\n');
      await peer.send('hi\n');
      peer.end();
    });
    const app = cluster('app', [endpoint(backend)], { ...TCP, proxyProtocol: version });
    const rig = new Rig(net, [], [tcpListener(), relay(), app]);
    const client = await rig.connect('127.0.0.9');
    await client.send('hello\n');
    assert.equal(await client.readUntil('\n'), 'hi\n');
    client.end();
    await client.readAll();
    client.close();
    await rig.end();
    assert.equal(rig.records.last.requestBytes, 6, 'the header is not of the client');
    if (version === 'v1') assert.equal(lines[0]?.toString(), 'PROXY TCP4 127.0.0.9 127.0.0.1 ');
    else assert.deepEqual([...(lines[0] as Buffer).subarray(12, 24)], [0x21, 0x11, 0, 12, 127, 0, 0, 9, 127, 0, 0, 1]);
  }
});

nativeOnly('the header stands in front of TLS to a backend', async (net) => {
  const root = authority('Root');
  const own = leaf(root, ['app.example']);
  const heads: Buffer[] = [];
  const context = createSecureContext({ cert: pem('CERTIFICATE', own.der), key: pem('PRIVATE KEY', own.keyDer) });
  const server = createServer((socket) => {
    socket.once('readable', () => {
      heads.push(socket.read(28) as Buffer);
      const secured = new TLSSocket(socket, { isServer: true, secureContext: context });
      secured.on('error', () => {});
      secured.end('secret\n');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const trust = {
    kind: 'trust',
    key: 'trust/default/app',
    authorities: [root.der.toString('base64')],
    revoked: [],
  } as const;
  const tls = { trust: trust.key, hostname: 'app.example', subjectAltNames: [], certificate: null, alpn: [] };
  const app = cluster('app', [endpoint({ family: 'ipv4', address: '127.0.0.1', port })], {
    ...TCP,
    proxyProtocol: 'v2',
    tls: { ...tls, minVersion: 'TLSv1.2' },
  });
  const opened: NativeTls[] = [];
  const rig = new Rig(net, [], [trust, tcpListener(), relay(), app], {}, () => {
    opened.push(new NativeTls((net as NativeNet).io));
    return opened[0] as NativeTls;
  });
  const client = await rig.connect('127.0.0.9');
  assert.equal(Buffer.from(await client.readAll()).toString(), 'secret\n');
  client.close();
  await net.settle();
  rig.engine.stop();
  opened[0]?.dispose();
  server.close();
  await rig.end();
  assert.deepEqual([...(heads[0] as Buffer).subarray(12, 20)], [0x21, 0x11, 0, 12, 127, 0, 0, 9]);
});
