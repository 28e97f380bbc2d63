// TLSRoute: TLS that passes through by the name that is asked for, TLS that ends here, and HTTPS, on one port.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp, createServer as createPlain, type Server as NetServer } from 'node:net';
import { createServer, type TlsOptions } from 'node:tls';
import type { IpAddress } from '../../src/io/io.ts';
import type { Entry, SocketHost } from '../../src/ir/ir.ts';
import { handshakeCell, sessionsCell, tlsRefusalCell } from '../../src/telemetry/layout.ts';
import { authority, type Leaf, leaf, pem } from '../../tools/certificates.ts';
import { nativeOnly, type TestNet } from '../support/net.ts';
import { cluster, endpoint, LISTENER, relay } from './rig.ts';
import { certificate, certificates, middle, socket, TlsRig, tls } from './tls-rig.ts';

const TCP = { protocol: 'tcp' } as const;

/** A server of TLS that says its name and whom the client asked for, then returns what it hears. */
async function tlsServer(name: string, own: Leaf, options: TlsOptions = {}): Promise<NetServer> {
  const server = createServer(
    {
      cert: pem('CERTIFICATE', own.der) + pem('CERTIFICATE', middle.der),
      key: pem('PRIVATE KEY', own.keyDer),
      ...options,
    },
    (peer) => {
      const shown = peer.getPeerCertificate()?.subject?.CN ?? 'nobody';
      peer.write(`${name} for ${(peer as { servername?: string }).servername} and ${shown}\n`);
      peer.on('error', () => {});
      peer.pipe(peer);
    },
  );
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

function addressOf(server: NetServer): IpAddress {
  const { port } = server.address() as { port: number };
  return { family: 'ipv4', address: '127.0.0.1', port };
}

function host(hostname: string, protocol: SocketHost['protocol'], settings: SocketHost['tls'] = null): SocketHost {
  return { hostname, gateway: 'gateway/default/gw', listener: hostname, port: 443, protocol, tls: settings };
}

/** A TLSRoute at one host of the listener. */
function route(name: string, at: string, hostnames: readonly string[], to: string, created = 0): Entry {
  return {
    ...relay({ name, to: [to], created }),
    key: `relay/TLSRoute/default/${name}/0`,
    routeKind: 'TLSRoute',
    attachments: [{ socket: LISTENER, host: at, hostnames }],
  };
}

function rigOf(net: TestNet, hosts: readonly SocketHost[], entries: readonly (Entry | readonly Entry[])[]): TlsRig {
  return new TlsRig(net, [certificate('a', certificates.a), { ...socket({}), hosts }, ...entries.flat()]);
}

async function firstLine(rig: TlsRig, servername: string, options = {}): Promise<string> {
  const client = rig.client(servername, options);
  let text = '';
  for await (const chunk of client) {
    text += chunk;
    if (text.includes('\n')) break;
  }
  client.destroy();
  return text.trim();
}

/** How a client that is nobody's is told: reset or closed, and never by an alert. */
async function rejection(rig: TlsRig, servername: string): Promise<string> {
  const client = rig.client(servername);
  const [error] = (await once(client, 'error')) as [NodeJS.ErrnoException];
  return String(error.code);
}

nativeOnly('TLS passes through by name: exact, wildcard, the more specific first; else nobody answers', async (net) => {
  const [one, two] = [await tlsServer('one', certificates.a), await tlsServer('two', certificates.wild)];
  const rig = rigOf(
    net,
    [host('*.example', 'TLS'), host('deep.wild.example', 'TLS')],
    [
      route('exact', '*.example', ['a.example'], 'one'),
      route('wide', '*.example', ['*.example'], 'two'),
      route('young', '*.example', ['a.example'], 'two', 5),
      cluster('one', [endpoint(addressOf(one))], TCP),
      cluster('two', [endpoint(addressOf(two))], TCP),
    ],
  );
  assert.equal(await firstLine(rig, 'a.example'), 'one for a.example and nobody');
  assert.equal(await firstLine(rig, 'shop.wild.example'), 'two for shop.wild.example and nobody');
  await net.settle();
  const logged = rig.records.all.find(({ connection }) => connection.includes('shop'));
  assert.equal(logged?.connection, '"sni":"shop.wild.example"');
  assert.equal(logged?.listener, '"gateway":"default/gw","listener":"*.example"');
  assert.equal(logged?.route, '"kind":"TLSRoute","route":"default/wide","rule":"0"');
  for (const name of ['other.org', '', 'deep.wild.example']) assert.equal(await rejection(rig, name), 'ECONNRESET');
  await net.settle();
  assert.deepEqual(
    rig.records.all.slice(-3).map(({ flags, end }) => `${flags} ${end}`),
    ['NR refused', 'NR refused', 'NR refused'],
    'a name of no listener, none, and one whose listener has no route: it is no wider one’s',
  );
  assert.equal(rig.get(tlsRefusalCell('no_name')), 0);
  assert.equal(rig.get(sessionsCell(1)), 0);
  one.close();
  two.close();
  await rig.end();
});

nativeOnly('certificates of clients come through, and the backend says who is let in', async (net) => {
  const clients = authority('Clients');
  const known = leaf(clients, ['alice'], { client: true });
  const server = await tlsServer('strict', certificates.a, {
    requestCert: true,
    rejectUnauthorized: true,
    ca: pem('CERTIFICATE', clients.der),
  });
  const rig = rigOf(
    net,
    [host('*', 'TLS')],
    [route('r', '*', ['a.example'], 'app'), cluster('app', [endpoint(addressOf(server))], TCP)],
  );
  const shown = { cert: pem('CERTIFICATE', known.der), key: pem('PRIVATE KEY', known.keyDer) };
  assert.equal(await firstLine(rig, 'a.example', shown), 'strict for a.example and alice');
  await assert.rejects(firstLine(rig, 'a.example'), /certificate required|ECONNRESET/i);
  server.close();
  await rig.end();
});

nativeOnly('a ClientHello in any pieces finds its way, and what comes before one is refused', async (net) => {
  const server = await tlsServer('app', certificates.a);
  const rig = rigOf(
    net,
    [host('*', 'TLS')],
    [route('r', '*', ['a.example'], 'app'), cluster('app', [endpoint(addressOf(server))], TCP)],
  );
  // A middleman that passes on what the client says first in pieces: the head of the record byte by byte.
  const middleman = createPlain((from) => {
    const to = connectTcp(Number(rig.address.port), '127.0.0.1');
    to.setNoDelay(true);
    from.once('data', async (hello: Buffer) => {
      from.pause();
      for (let at = 0; at < hello.length; at += at < 12 ? 1 : 97) {
        to.write(hello.subarray(at, at < 12 ? at + 1 : at + 97));
        await new Promise((resolve) => setImmediate(resolve));
      }
      from.pipe(to);
    });
    to.pipe(from);
    for (const side of [from, to]) side.on('error', () => {});
  });
  middleman.listen(0, '127.0.0.1');
  await once(middleman, 'listening');
  const { port } = middleman.address() as { port: number };
  assert.equal(await firstLine(rig, 'a.example', { port }), 'app for a.example and nobody');
  middleman.close();
  const http = connectTcp(Number(rig.address.port), '127.0.0.1');
  http.write('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n');
  let text = '';
  for await (const chunk of http) text += chunk;
  assert.match(text, /this port speaks TLS/);
  server.close();
  await rig.end();
});

nativeOnly('one port: TLS that passes through, TLS that ends here, and HTTPS, each by its name', async (net) => {
  const server = await tlsServer('through', certificates.wild);
  const plain = net.serve(async (peer) => {
    await peer.send('plain\n');
    await peer.readAll().catch(() => null);
    peer.end();
  });
  const ends = tls(['a'], { alpn: [] });
  const rig = rigOf(
    net,
    [host('a.example', 'HTTPS', tls(['a'])), host('b.example', 'TLS', ends), host('c.example', 'TLS')],
    [
      route('ends', 'b.example', ['b.example'], 'plain'),
      route('through', 'c.example', ['c.example'], 'through'),
      cluster('plain', [endpoint(plain)], TCP),
      cluster('through', [endpoint(addressOf(server))], TCP),
    ],
  );
  assert.equal((await rig.ask('a.example', { ALPNProtocols: ['http/1.1'] })).status, 200);
  const checked = { rejectUnauthorized: true };
  assert.equal(await firstLine(rig, 'b.example', { ...checked, ALPNProtocols: ['postgresql'] }), 'plain');
  assert.equal(await firstLine(rig, 'c.example', checked), 'through for c.example and nobody');
  assert.equal(rig.get(handshakeCell('downstream', true, false)), 2, 'the third is none of ours');
  await net.settle();
  const ended = rig.records.all.find(({ route: r }) => r.includes('default/ends'));
  assert.match(String(ended?.connection), /"tls":"TLSv1.3","cipher":"\w+","sni":"b.example"/);
  assert.equal(ended?.session, 1);
  server.close();
  await rig.end();
});
