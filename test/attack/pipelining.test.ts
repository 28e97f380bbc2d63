// Pipelines (RFC 9112 section 9.3.2): answered in order, one for one, whatever stands between two requests.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { answering, get, ok, pause, responsesOf, statusesOf, Target, until, within } from './support.ts';

let target: Target;
before(async () => {
  target = await Target.start({
    routes: () => `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: moved }
spec:
  parentRefs: [{ name: web }]
  rules:
    - matches: [{ path: { value: /moved } }]
      filters: [{ type: RequestRedirect, requestRedirect: { hostname: b.example } }]
---
`,
  });
});
after(() => target.end());

const bodies = (text: Awaited<ReturnType<typeof responsesOf>>): string[] =>
  text.map((m) => Buffer.from(m.body).toString('latin1'));

// Answers that need no backend come at once, so that many are answered in one turn of the reactor.
for (const n of [15, 16, 17, 33, 400, 10_000]) {
  test(`${n} requests in one write, answered by the proxy itself`, async () => {
    const client = await target.connect();
    client.trySend(get('/moved').repeat(n));
    for (let i = 0; i < n; i++) assert.equal((await client.readMessage()).status, 302, `request ${i}`);
    client.close();
  });
}

test('2,000 requests in one write, to the backend and not, and half of one behind them', async () => {
  target.backend.reset(answering());
  const n = 2_000;
  const text = Array.from({ length: n }, (_, i) => get(i % 3 === 0 ? '/moved' : `/${i}`)).join('');
  const half = get('/half');
  const client = await target.connect();
  client.trySend(text + half.slice(0, 20));
  for (let i = 0; i < n; i++) {
    const answer = await client.readMessage();
    if (i % 3 === 0) assert.equal(answer.status, 302);
    else assert.equal(Buffer.from(answer.body).toString(), `GET /${i}`);
  }
  client.trySend(half.slice(20));
  assert.equal(Buffer.from((await client.readMessage()).body).toString(), 'GET /half');
  client.close();
  assert.equal(target.backend.requests.length, n - Math.ceil(n / 3) + 1);
});

const post = (fields: string, body: string): string => `POST /post HTTP/1.1\r\nHost: a.example\r\n${fields}\r\n${body}`;

const behind: readonly (readonly [name: string, first: string, seen: readonly string[]])[] = [
  ['a body', post('Content-Length: 5\r\n', 'hello'), ['POST /post hello', 'GET /next']],
  [
    'chunks with trailers',
    post('Transfer-Encoding: chunked\r\n', '5\r\nhello\r\n0\r\nX: y\r\n\r\n'),
    ['POST /post hello', 'GET /next'],
  ],
  ['an expectation', post('Expect: 100-continue\r\nContent-Length: 5\r\n', 'hello'), ['POST /post hello', 'GET /next']],
  ['Connection: close', get('/last', 'Connection: close\r\n'), ['GET /last']],
  ['HTTP/1.0', 'GET /last HTTP/1.0\r\nHost: a.example\r\n\r\n', ['GET /last']],
  ['HTTP/1.0 kept alive', 'GET /1.0 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n', ['GET /1.0', 'GET /next']],
  [
    'a redirect of a request with a body',
    post('Content-Length: 5\r\n', 'hello').replace('/post', '/moved'),
    ['GET /next'],
  ],
  // The end of those chunks was not looked for, so nothing behind them is a request.
  [
    'a redirect of chunks',
    post('Transfer-Encoding: chunked\r\n', '5\r\nhello\r\n0\r\n\r\n').replace('/post', '/moved'),
    [],
  ],
  [
    'a redirect of an expectation',
    post('Expect: 100-continue\r\nContent-Length: 5\r\n', '').replace('/post', '/moved'),
    [],
  ],
  ['a refused request', get('/bad', 'X\r\n'), []],
];
test('what stands behind a request is the next one, or nothing', async () => {
  for (const [name, first, seen] of behind) {
    target.backend.reset(answering());
    const answers = await responsesOf(await target.exchange(first + get('/next')));
    assert.deepEqual(target.backend.violations, [], name);
    assert.deepEqual(target.backend.labels(), seen, name);
    assert.deepEqual(
      bodies(answers).filter((b) => b.startsWith('GET /next')),
      seen.includes('GET /next') ? ['GET /next'] : [],
      name,
    );
  }
});

test('an early answer ends a connection whose request is not complete: the rest is nobody’s request', async () => {
  target.backend.reset(async (wire) => {
    await wire.readHead();
    await wire.send(ok('early'));
  });
  const client = await target.connect();
  await client.send(post('Content-Length: 500\r\n', 'x'));
  const answer = await client.readMessage();
  assert.deepEqual(answer.headers.get('connection'), ['close']);
  client.trySend(`${get('/smuggled')}${'x'.repeat(600)}${get('/smuggled')}`);
  client.end();
  const { text } = await client.over();
  assert.equal((await responsesOf(text)).length, 1);
  assert.ok(!target.backend.wires.some((w) => w.received.includes('GET /smuggled HTTP/1.1\r\nHost: a.example\r\nX-')));
  await target.alive();
});

test('answers keep their order when backends do not', async () => {
  // The first request of the pipeline takes long; nothing of the second may come before.
  target.backend.reset(async (wire, backend) => {
    for (;;) {
      const request = await backend.request(wire);
      if (request.target === '/slow') await pause(150);
      await wire.send(ok(request.target));
    }
  });
  const client = await target.connect();
  client.trySend(get('/slow') + get('/fast') + get('/moved') + get('/fast2'));
  client.end();
  const answers = await responsesOf((await client.over()).text);
  assert.deepEqual(statusesOf(answers), [200, 200, 302, 200]);
  assert.deepEqual(bodies(answers), ['/slow', '/fast', '', '/fast2']);
});

test('a pipeline whose client leaves is not served on', async () => {
  target.backend.reset(answering());
  const client = await target.connect();
  client.trySend(get('/p').repeat(5_000));
  await client.readMessage();
  client.reset();
  await until(async () => (await target.rauta.metric('rauta_connections')) === 0, 'its end');
  const seen = target.backend.requests.length;
  await within(target.alive(), 'another client');
  await pause(100);
  assert.ok(target.backend.requests.length <= seen + 2, `${target.backend.requests.length} after ${seen}`);
});
