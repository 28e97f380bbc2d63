// A PROXY header in front of TLS from clients: HTTPS, TLS that ends here, and TLS that passes through.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect, createServer } from 'node:tls';
import type { Entry, SocketEntry, SocketHost } from '../../src/ir/ir.ts';
import { proxyHeader } from '../../src/proxy/proxy-header.ts';
import { pem } from '../../tools/certificates.ts';
import { nativeOnly } from '../support/net.ts';
import { cluster, endpoint, LISTENER, relay } from './rig.ts';
import { CA, certificate, certificates, middle, refusal, socket, TlsRig, tls } from './tls-rig.ts';

const TO = { family: 'ipv4', address: '198.51.100.1', port: 443 } as const;
const HEADERS = [proxyHeader('v1', '192.0.2.7', 51_234, TO), proxyHeader('v2', '192.0.2.7', 51_234, TO)];
const TCP = { protocol: 'tcp' } as const;

function host(hostname: string, protocol: SocketHost['protocol'], settings: SocketHost['tls']): SocketHost {
  return { hostname, gateway: 'gateway/default/gw', listener: hostname, port: 443, protocol, tls: settings };
}

function route(at: string, to: string): Entry {
  return {
    ...relay({ name: to, to: [to] }),
    key: `relay/TLSRoute/default/${to}/0`,
    routeKind: 'TLSRoute',
    attachments: [{ socket: LISTENER, host: at, hostnames: [at] }],
  };
}

/** One that sends what it is given a piece at a time, so that header and ClientHello are cut anywhere. */
async function inPieces(port: number, header: Uint8Array, size: number): Promise<Socket> {
  const raw = connectTcp(port, '127.0.0.1');
  await once(raw, 'connect');
  raw.setNoDelay(true);
  for (let at = 0; at < header.length; at += size)
    await new Promise((resolve) => raw.write(header.subarray(at, at + size), resolve));
  return raw;
}

nativeOnly(
  'in front of HTTPS, TLS that ends here and TLS that passes: the client is who the header names',
  async (net) => {
    const server = createServer(
      {
        cert: pem('CERTIFICATE', certificates.wild.der) + pem('CERTIFICATE', middle.der),
        key: pem('PRIVATE KEY', certificates.wild.keyDer),
      },
      (peer) => peer.end('behind\n'),
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const plain = net.serve(async (peer) => {
      await peer.send('within\n');
      peer.end();
      await peer.readAll();
    });
    const { port } = server.address() as { port: number };
    const hosts = [
      host('a.example', 'HTTPS', tls(['a'])),
      host('any.example', 'TLS', tls(['any'])),
      host('*.wild.example', 'TLS', null),
    ];
    const entry: SocketEntry = { ...socket({}), hosts, proxyProtocol: { trusted: ['127.0.0.0/8'] } };
    const rig = new TlsRig(net, [
      certificate('a', certificates.a),
      certificate('any', certificates.any),
      entry,
      route('any.example', 'plain'),
      route('*.wild.example', 'tls'),
      ...cluster('plain', [endpoint(plain)], TCP),
      ...cluster('tls', [endpoint({ family: 'ipv4', address: '127.0.0.1', port })], TCP),
    ]);
    const spoken = async (servername: string, header: Uint8Array, size: number, said: string): Promise<string> => {
      const raw = await inPieces(rig.address.port, header, size);
      const client = connect({ socket: raw, servername, ca: CA });
      if (said !== '') client.write(said);
      let text = '';
      for await (const chunk of client) text += chunk;
      return text;
    };
    const request = 'GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n';
    for (const header of HEADERS) {
      for (const size of [1, header.length]) {
        assert.match(await spoken('a.example', header, size, request), /^HTTP\/1.1 200 /);
        assert.match(rig.heads.at(-1) as string, /^x-forwarded-for: 192\.0\.2\.7\r$/im);
        assert.equal(await spoken('any.example', header, size, ''), 'within\n');
        assert.equal(await spoken('shop.wild.example', header, size, ''), 'behind\n');
      }
    }
    await net.settle();
    assert.equal(rig.records.all.length, 12);
    assert.deepEqual([...new Set(rig.records.all.map(({ client }) => client))], ['192.0.2.7']);

    const without = rig.client('a.example');
    assert.match(await refusal(without), /ECONNRESET/);
    await net.settle();
    assert.equal(rig.records.last.flags, 'DPE', 'a ClientHello is no header');
    server.close();
    await rig.end();
  },
);
