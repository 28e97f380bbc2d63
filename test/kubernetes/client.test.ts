// The client over real sockets: TLS both ways, rotated tokens, limits, times, and every way an answer can be none.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { test } from 'node:test';
import { Client } from '../../src/source/kubernetes/client.ts';
import { Credentials } from '../../src/source/kubernetes/credentials.ts';
import type { Access } from '../../src/source/kubernetes/kubeconfig.ts';
import { Transport } from '../../src/source/kubernetes/transport.ts';
import { type Authority, authority, leaf, pem } from '../../tools/certificates.ts';
import { FakeApi } from './fake-api.ts';
import { fastTime, HandTimers, PLAIN, rig } from './support.ts';

type Test = { after(done: () => Promise<void>): void };

function clientOf(t: Test, access: Access, read: () => string = () => ''): Client {
  const { timers, now } = fastTime(1);
  const credentials = new Credentials(access, { read, run: () => Promise.reject(new Error('none')), now, wall: now });
  const options = { userAgent: 'rauta/test', qps: 1_000, burst: 1_000, now, timers };
  const client = new Client(new Transport(access), credentials, options);
  t.after(() => client.stop());
  return client;
}

async function server(t: Test, tls?: ConstructorParameters<typeof FakeApi>[0]): Promise<{ api: FakeApi; url: string }> {
  const api = new FakeApi(tls);
  api.define('v1', 'Service', 'services');
  const url = await api.listen();
  t.after(() => api.close());
  return { api, url };
}

const LIST = { verb: 'list', kind: 'Service', path: '/api/v1/services' } as const;
const reason = (reply: Awaited<ReturnType<Client['ask']>>): string => (reply.ok ? 'ok' : reply.failure.reason);

/** For a server of this name, or a client; PEM. */
function issued(ca: Authority, name: string, client = false): { readonly cert: string; readonly key: string } {
  const { der, keyDer } = leaf(ca, [name], { client });
  return { cert: pem('CERTIFICATE', der), key: pem('PRIVATE KEY', keyDer) };
}

test('TLS: the server is checked, we show our certificate, a name may be another than the host', async (t) => {
  const ca = authority('cluster');
  const cert = issued(ca, 'kubernetes');
  const { url } = await server(t, {
    ...cert,
    ca: pem('CERTIFICATE', ca.der),
    requestCert: true,
    rejectUnauthorized: true,
  });
  const mine = issued(ca, 'admin', true);
  const access: Access = {
    ...PLAIN,
    server: url,
    ca: { text: pem('CERTIFICATE', ca.der) },
    serverName: 'kubernetes',
    certificate: { cert: { text: mine.cert }, key: { text: mine.key } },
  };
  const right = await clientOf(t, access).ask(LIST);
  assert.equal(right.ok ? 'ok' : right.failure.message, 'ok');
  const wrong = async (change: Partial<Access>): Promise<string> => {
    const reply = await clientOf(t, { ...access, ...change }).ask(LIST);
    return reply.ok ? 'ok' : `${reply.failure.reason}: ${reply.failure.message}`;
  };
  assert.match(await wrong({ serverName: 'other' }), /^Unreachable: Hostname\/IP does not match/);
  assert.match(
    await wrong({ ca: { text: pem('CERTIFICATE', authority('stranger').der) } }),
    /^Unreachable: .*(certificate|self)/i,
  );
  assert.match(await wrong({ certificate: null }), /^(Unreachable|Broken): /);
  assert.equal(await wrong({ ca: null, insecure: true }), 'ok');
});

test('a token that was rotated is read again when the old one is refused, once', async (t) => {
  const { api, url } = await server(t);
  let valid = 'Bearer one';
  api.fault = (seen) => (seen.headers.authorization === valid ? null : { status: 401, reason: 'Unauthorized' });
  let token = 'one';
  const access: Access = { ...PLAIN, server: url, auth: { kind: 'tokenFile', file: '/token' } };
  const client = clientOf(t, access, () => token);
  assert.equal(reason(await client.ask(LIST)), 'ok');
  token = 'two';
  valid = 'Bearer two';
  assert.equal(reason(await client.ask(LIST)), 'ok');
  valid = 'Bearer three';
  assert.equal(reason(await client.ask(LIST)), 'Unauthorized');
  assert.equal(api.requests.length, 4);
  assert.deepEqual(
    [...client.counts()],
    [
      { verb: 'list', kind: 'Service', code: '200', count: 2 },
      { verb: 'list', kind: 'Service', code: '401', count: 2 },
    ],
  );
});

test('what went wrong has a reason, and when to come again', async (t) => {
  const { api, url } = await server(t);
  const time = new HandTimers();
  const { client } = rig(t, url, 1, 10_000, time);
  const failed = async (fault: ReturnType<FakeApi['fault']>) => {
    api.fault = () => fault;
    api.onRequest = () => {
      if (fault?.silent) time.fire();
    };
    const reply = await client.ask(LIST);
    assert.equal(reply.ok, false);
    return reply.ok ? null : reply.failure;
  };
  assert.deepEqual(await failed({ status: 429, retryAfter: 7 }), {
    code: 429,
    reason: 'TooManyRequests',
    message: 'injected',
    retryAfterMs: 7_000,
  });
  assert.equal((await failed({ status: 403, reason: 'Forbidden' }))?.reason, 'Forbidden');
  assert.equal((await failed({ silent: true }))?.reason, 'Timeout');
  assert.equal((await failed({ truncate: 10 }))?.reason, 'Broken');
  assert.equal((await failed({ body: '<html>' }))?.reason, 'Broken');
  api.fault = () => null;
  await api.close();
  assert.equal(reason(await client.ask(LIST)), 'Unreachable');
  assert.deepEqual(
    [...client.counts()].map(({ code, count }) => [code, count]),
    [
      ['429', 1],
      ['403', 1],
      ['0', 2],
      ['200', 2],
    ],
  );
});

test('a watch: each line an event, silence and half an event are failures, an end is none', async (t) => {
  const { api, url } = await server(t);
  const time = new HandTimers();
  const { client } = rig(t, url, 1, 10_000, time);
  const watch = {
    verb: 'watch',
    kind: 'Service',
    path: '/api/v1/services',
    query: { watch: 'true', resourceVersion: '100' },
  } as const;
  const run = async (then: () => void): Promise<[string, number]> => {
    let events = 0;
    const reply = await client.watch(watch, 60_000, () => {
      events++;
      then();
    });
    return [reason(reply), events];
  };
  api.put('Service', { metadata: { name: 'a', namespace: 'n' } });
  assert.deepEqual(await run(() => api.cut('end')), ['ok', 1]);
  assert.deepEqual(await run(() => api.cut('half')), ['Broken', 1]);
  assert.deepEqual(await run(() => api.cut('reset')), ['Broken', 1]);
  assert.deepEqual(await run(() => time.fire()), ['Silent', 1]);
});

test('what is no longer to be sent when its turn comes is not sent', async (t) => {
  const { api, url } = await server(t);
  const { client } = rig(t, url);
  let may = true;
  const asking = client.ask({ ...LIST, mayStart: () => may });
  // There is no connection yet, so nothing is written before the next turn.
  may = false;
  assert.equal(reason(await asking), 'NotSent');
  assert.equal(api.requests.length, 0);
  may = true;
  assert.equal(reason(await client.ask({ ...LIST, mayStart: () => may })), 'ok');
  assert.equal(api.requests.length, 1);
});

test('no more questions at once than the gate lets in', async (t) => {
  const { api, url } = await server(t);
  const time = new HandTimers();
  const { client } = rig(t, url, 1, 10_000, time);
  api.fault = () => ({ silent: true });
  const seen = (n: number): Promise<void> =>
    new Promise((resolve) => {
      api.onRequest = () => {
        if (api.requests.length === n) resolve();
      };
    });
  const first = seen(16);
  const all = Array.from({ length: 20 }, () => client.ask(LIST));
  await first;
  const rest = seen(20);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(api.requests.length, 16);
  time.fire();
  await rest;
  time.fire();
  assert.deepEqual([...new Set((await Promise.all(all)).map(reason))], ['Timeout']);
});

test('through a proxy, as the kubeconfig says', async (t) => {
  const ca = authority('cluster');
  const { url } = await server(t, issued(ca, '127.0.0.1'));
  const asked: string[] = [];
  const proxy = createServer().on('connect', (request, socket) => {
    asked.push(request.url ?? '');
    const [host = '', port = ''] = (request.url ?? '').split(':');
    const up = connect(Number(port), host, () => socket.write('HTTP/1.1 200 OK\r\n\r\n'));
    up.pipe(socket).pipe(up);
    up.on('error', () => socket.destroy());
    socket.on('error', () => up.destroy());
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  t.after(async () => {
    proxy.closeAllConnections();
    proxy.close();
  });
  const proxyUrl = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  const client = clientOf(t, { ...PLAIN, server: url, ca: { text: pem('CERTIFICATE', ca.der) }, proxyUrl });
  assert.equal(reason(await client.ask(LIST)), 'ok');
  assert.deepEqual(asked, [url.replace('https://', '')]);
});
