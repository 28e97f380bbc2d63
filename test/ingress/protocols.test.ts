// In what backends of Ingresses are spoken to where annotations say so (ADR 34), by backends that speak nothing else.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { connect, createSecureServer, createServer, type Http2ServerResponse } from 'node:http2';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { test } from 'node:test';
import { authority, leaf } from '../../tools/certificates.ts';
import { certPem, configMap, keyPem } from '../gateway-api/certificates.ts';
import { answers, ask, backend, becomes, echo, heldPort, type Made, made, Site, service } from '../gateway-api/site.ts';
import { ingress, prefix } from './site.ts';

const OWN = 'rauta.io/backend-protocol';
const NGINX = 'nginx.ingress.kubernetes.io/backend-protocol';
const port = heldPort();
const ca = authority('Backends');
const own = leaf(ca, ['backend.example']);
const keys = { cert: certPem(own), key: keyPem(own) };

async function listening(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  server.unref();
  return (server.address() as AddressInfo).port;
}

/** Of HTTP/2: echoes, and answers calls of gRPC with the content they had. */
function answer(name: string): (incoming: unknown, response: unknown) => void {
  return (incoming, response) => {
    const request = incoming as IncomingMessage;
    if (request.headers['content-type'] !== 'application/grpc') {
      echo(name, request, response as ServerResponse);
      return;
    }
    const call = response as Http2ServerResponse;
    call.addTrailers({ 'grpc-status': '0', 'x-backend': name });
    call.writeHead(200, { 'content-type': 'application/grpc' });
    request.pipe(call);
  };
}

function policy(name: string): Made {
  const validation = {
    caCertificateRefs: [{ group: '', kind: 'ConfigMap', name: 'ca' }],
    hostname: 'backend.example',
  };
  return made('BackendTLSPolicy', name, { spec: { targetRefs: [{ group: '', kind: 'Service', name }], validation } });
}

/** An Ingress of that name and host, for the Service. */
function to(name: string, of: string, annotations: Readonly<Record<string, string>> = {}): Made {
  return ingress(name, { [`${name}.test`]: [prefix('/', of)] }, { annotations });
}

function annotated([own, ...rest]: readonly Made[], value: string): Made[] {
  const { metadata, ...object } = own as Made;
  return [{ ...object, metadata: { ...metadata, annotations: { [OWN]: value } } as Made['metadata'] } as Made, ...rest];
}

const site = new Site(async () => {
  const [plain, h2c] = [await backend('plain'), await listening(createServer(answer('h2c')))];
  const https = await listening(createHttpsServer(keys, (incoming, response) => echo('https', incoming, response)));
  const h2 = await listening(createSecureServer(keys, answer('h2')));
  return [
    configMap('ca', ca),
    ...['https', 'h2'].map(policy),
    ...service('plain', plain),
    ...service('h2c', h2c),
    ...service('plain-said-h2c', plain, { appProtocol: 'kubernetes.io/h2c' }),
    ...annotated(service('h2c-annotated', h2c), 'h2c'),
    ...annotated(service('plain-said-http', plain, { appProtocol: 'http' }), 'H2C'),
    ...service('https', https),
    ...service('h2', h2),
    ...service('nobody-trusts', https),
    to('http', 'plain', { [NGINX]: 'HTTP' }),
    to('own-h2c', 'h2c', { [OWN]: 'H2C' }),
    to('http2', 'h2c', { [OWN]: 'HTTP2' }),
    to('grpc', 'h2c', { [NGINX]: 'GRPC' }),
    to('tls', 'https', { [NGINX]: 'HTTPS' }),
    to('grpcs', 'h2', { [NGINX]: 'grpcs' }),
    to('untrusted', 'nobody-trusts', { [NGINX]: 'HTTPS' }),
    to('wrong', 'plain', { [NGINX]: 'FCGI' }),
    to('own-first', 'plain', { [OWN]: 'HTTP', [NGINX]: 'GRPC' }),
    to('before-app-protocol', 'plain-said-h2c', { [NGINX]: 'HTTP' }),
    to('of-the-service', 'h2c-annotated'),
    to('app-protocol-first', 'plain-said-http'),
    to('before-the-service', 'plain-said-http', { [OWN]: 'HTTP' }),
    to('changed', 'h2c', { [OWN]: 'HTTP' }),
  ];
}, ['--port-map', `80=${port}`]);

test('HTTP, H2C, HTTP2 and GRPC are spoken in the clear, HTTPS and GRPCS over TLS', () =>
  answers(
    port,
    ...([
      ['http.test/', 'plain'],
      ['own-h2c.test/', 'h2c'],
      ['http2.test/', 'h2c'],
      ['POST grpc.test/', 'h2c'],
      ['tls.test/', 'https'],
      ['grpcs.test/', 'h2'],
    ] as const),
  ));

test('calls of gRPC get through to GRPC and GRPCS, trailers and all', async () => {
  for (const [host, name] of [
    ['grpc.test', 'h2c'],
    ['grpcs.test', 'h2'],
  ] as const) {
    const client = connect(`http://127.0.0.1:${port}`);
    const call = client.request({
      ...{ ':method': 'POST', ':path': '/a.B/C', ':authority': host },
      ...{ 'content-type': 'application/grpc', te: 'trailers' },
    });
    const [ended, answered] = [once(call, 'trailers'), once(call, 'response')];
    call.end(Buffer.from([0, 0, 0, 0, 1, 7]));
    const [head] = (await answered) as [Record<string, string>];
    assert.equal(head['grpc-status'], undefined, head['grpc-message']);
    const parts: Buffer[] = [];
    for await (const part of call) parts.push(part as Buffer);
    assert.deepEqual([...Buffer.concat(parts)], [0, 0, 0, 0, 1, 7]);
    const [fields] = (await ended) as [Record<string, string>];
    assert.deepEqual([fields['grpc-status'], fields['x-backend']], ['0', name]);
    client.close();
  }
});

test('TLS without a policy is spoken to nobody, and what is not spoken here is refused; both are said', async () => {
  assert.equal((await ask(port, 'untrusted.test/')).status, 503);
  assert.equal((await ask(port, 'wrong.test/')).status, 500);
  const { body } = await site.rauta.ask('/config/problems');
  assert.match(body, /nobody-trusts port 80: annotation [^ ]+: \\"HTTPS\\" needs a BackendTLSPolicy/);
  assert.match(body, /must be one of HTTP, HTTPS, H2C, HTTP2, GRPC, GRPCS, not \\"FCGI\\"/);
  assert.doesNotMatch(body, /has no effect/, 'policies that only Ingresses have to do with have one');
});

test('the Ingress comes before appProtocol, and that before the Service; of two of the Ingress ours is first', () =>
  answers(
    port,
    ...([
      ['own-first.test/', 'plain'],
      ['before-app-protocol.test/', 'plain'],
      ['of-the-service.test/', 'h2c'],
      ['app-protocol-first.test/', 'plain'],
      ['before-the-service.test/', 'plain'],
    ] as const),
  ));

test('a changed annotation is a changed protocol', async () => {
  const asked = async (): Promise<number> => (await ask(port, 'changed.test/')).status;
  assert.equal(await asked(), 502, 'HTTP/1.1 to a backend of HTTP/2');
  site.put(to('changed', 'h2c', { [OWN]: 'H2C' }));
  await becomes(asked, 200);
});
