// Clients that leave, dawdle or come in thousands: nothing hangs, nothing is kept, and the others are served.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { LIMITS } from '../../src/base/limits.ts';
import {
  answering,
  get,
  ok,
  pause,
  residentMb,
  responsesOf,
  statusesOf,
  Target,
  until,
  type Wire,
  within,
} from './support.ts';

let target: Target;
/** Slow heads, begun before everything else: they end when LIMITS.HEAD_MS is over. */
let slow: { client: Wire; ended: Promise<{ how: string; text: string; ms: number }> }[] = [];
let dripping: NodeJS.Timeout | undefined;

before(async () => {
  target = await Target.start();
  const heads = [
    'GET / HTTP/1.1\r\nHost: a.example\r\nX: ',
    'G',
    '\r\n',
    'GET / HTTP/1.1\r\nHost: a.example\r\n',
    '\x16\x03\x01',
  ];
  slow = await Promise.all(
    heads.map(async (head) => {
      const client = await target.connect();
      const start = performance.now();
      client.trySend(head);
      return { client, ended: client.over(30_000).then((end) => ({ ...end, ms: performance.now() - start })) };
    }),
  );
  let n = 0;
  dripping = setInterval(() => {
    n++;
    // Each byte is progress of a kind: a value, a field a second, never an end.
    slow[0]?.client.trySend('y');
    if (n % 10 === 0) slow[3]?.client.trySend(`X-${n}: y\r\n`);
  }, 100);
});
after(async () => {
  clearInterval(dripping);
  await target.end();
});

async function workerPid(): Promise<number> {
  return (await target.rauta.workers())[0]?.pid as number;
}

/** Waits until nothing is under way but the slow heads. */
async function quiet(): Promise<void> {
  const left = async (): Promise<string> =>
    `${await target.rauta.metric('rauta_requests_active')} requests, ${(await target.rauta.metric('rauta_connections')) - slow.filter((s) => !s.client.socket.destroyed).length} connections`;
  let last = '';
  await until(async () => {
    last = await left();
    return /^0 requests, (-\d+|0) connections$/.test(last);
  }, 'quiet').catch((error) => assert.fail(`${last}: ${error}`));
}

const POST = 'POST / HTTP/1.1\r\nHost: a.example\r\n';
/** How far a client gets before it leaves, and what the backend does meanwhile. */
const stages: readonly (readonly [name: string, sent: string, backend: 'answers' | 'waits' | 'streams'])[] = [
  ['before anything', '', 'answers'],
  ['in the request line', 'GET /x', 'answers'],
  ['in the fields', 'GET / HTTP/1.1\r\nHost: a.ex', 'answers'],
  ['behind a request', get('/'), 'answers'],
  ['while the backend thinks', get('/'), 'waits'],
  ['while the answer comes', get('/'), 'streams'],
  ['before the body', `${POST}Content-Length: 10\r\n\r\n`, 'answers'],
  ['in the body', `${POST}Content-Length: 10\r\n\r\nhello`, 'answers'],
  ['in a chunk size', `${POST}Transfer-Encoding: chunked\r\n\r\n5`, 'answers'],
  ['in a chunk', `${POST}Transfer-Encoding: chunked\r\n\r\n5\r\nhe`, 'answers'],
  ['before the last chunk', `${POST}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n`, 'answers'],
  ['in the trailers', `${POST}Transfer-Encoding: chunked\r\n\r\n0\r\nX: y`, 'answers'],
  ['behind an expectation', `${POST}Expect: 100-continue\r\nContent-Length: 10\r\n\r\n`, 'answers'],
  ['with half a request behind a full one', `${get('/')}GET /ha`, 'waits'],
  ['with a pipeline behind', get('/').repeat(50), 'waits'],
];

for (const how of ['FIN', 'RST', 'FIN, then RST'] as const) {
  test(`a client leaves by ${how} at every stage`, async () => {
    for (const [name, sent, does] of stages) {
      target.backend.reset(async (wire, backend) => {
        for (;;) {
          await backend.request(wire);
          if (does === 'answers') await wire.send(ok('x'));
          else if (does === 'waits') {
            await pause(30);
            await wire.send(ok('x'));
          } else {
            wire.trySend('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
            for (let i = 0; i < 20 && !wire.socket.destroyed; i++) {
              wire.trySend('5\r\nhello\r\n');
              await pause(2);
            }
            wire.trySend('0\r\n\r\n');
          }
        }
      });
      const client = await target.connect();
      await client.send(sent);
      await pause(5);
      if (how !== 'RST') client.end();
      if (how === 'FIN, then RST') await pause(2);
      if (how !== 'FIN') client.reset();
      if (how === 'FIN') {
        const { text } = await client.over();
        // A whole request is answered although no more can come (RFC 9112 section 9.6).
        const whole = sent.startsWith('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n');
        assert.equal(statusesOf(await responsesOf(text))[0], whole ? 200 : undefined, name);
      }
      assert.deepEqual(target.backend.violations, [], name);
    }
    await quiet();
    target.backend.reset(answering());
    await target.alive();
  });
}

test('30,000 chunks of a byte, in writes of odd sizes', async () => {
  target.backend.reset(answering((r) => ok(String(r.body.length))));
  const client = await target.connect();
  const text = '1\r\nx\r\n'.repeat(30_000);
  client.trySend(`${POST}Transfer-Encoding: chunked\r\n\r\n`);
  for (let at = 0; at < text.length; at += 7919) await client.send(text.slice(at, at + 7919));
  client.trySend('0\r\n\r\n');
  assert.equal(Buffer.from((await client.readMessage()).body).toString(), '30000');
  client.close();
});

test('a reader that takes nothing stops the backend, not the proxy', async () => {
  let sent = 0;
  target.backend.reset(async (wire, backend) => {
    await backend.request(wire);
    wire.trySend(`HTTP/1.1 200 OK\r\nContent-Length: ${1 << 30}\r\n\r\n`);
    const piece = Buffer.alloc(1 << 16);
    while (!wire.socket.destroyed && sent < 1 << 27) {
      if (!wire.socket.write(piece)) await Promise.race([pause(400), new Promise((r) => wire.socket.once('drain', r))]);
      if (wire.socket.writableLength > 1 << 20) return;
      sent += piece.length;
    }
  });
  const pid = await workerPid();
  const before = residentMb(pid);
  const clients = await Promise.all(Array.from({ length: 8 }, () => target.connect()));
  for (const client of clients) {
    client.socket.pause();
    client.trySend(get('/'));
  }
  await pause(600);
  const after = residentMb(pid);
  // What the kernels hold on both sides of eight connections is not the proxy's.
  assert.ok(sent < 1 << 27, `${sent} bytes went nowhere`);
  assert.ok(after - before < 24, `${before.toFixed(0)} MB became ${after.toFixed(0)}`);
  for (const client of clients) client.reset();
  await quiet();
});

test('thousands of idle connections, and all of them are served', async (t) => {
  target.backend.reset(answering());
  const pid = await workerPid();
  const before = residentMb(pid);
  const clients: Wire[] = [];
  t.after(() => {
    for (const client of clients) client.reset();
  });
  for (let i = 0; i < 20; i++)
    clients.push(...(await Promise.all(Array.from({ length: 100 }, () => target.connect()))));
  const after = residentMb(pid);
  assert.ok(after - before < 40, `${before.toFixed(0)} MB became ${after.toFixed(0)} by 2,000 connections`);
  for (const client of clients) client.trySend(get('/idle'));
  await Promise.all(clients.map(async (client) => assert.equal((await client.readMessage()).status, 200)));
  for (const client of clients) client.reset();
  await quiet();
});

test('more connections than descriptors: no worker dies, and when some leave the others are served', () =>
  Target.with({ descriptors: 128 }, async (small) => {
    await small.alive();
    const clients = await Promise.all(Array.from({ length: 300 }, () => small.connect()));
    for (const client of clients) client.trySend(get('/many'));
    // The worker looks after itself once a second.
    await pause(2_200);
    // Clients cannot take the descriptors that backends need; those too many are told so.
    const begun = (line: string): number => clients.filter((client) => client.received.startsWith(line)).length;
    await until(() => begun('HTTP/1.1 200') > 15, 'those that are served');
    await small.unharmed();
    // A refused one holds its descriptor while it lingers (2 s, nobody here closes): the next ones are told when it is
    // free.
    await until(() => begun('HTTP/1.1 503') > 50, 'those that are refused');
    for (const client of clients) client.reset();
    await until(async () => (await small.rauta.metric('rauta_connections')) === 0, 'their ends');
    await small.alive();
  }));

test('a flood of connections that are gone at once', async () => {
  for (let i = 0; i < 20; i++) {
    await Promise.all(
      Array.from({ length: 50 }, async (_, k) => {
        const client = await target.connect();
        if (k % 3 === 0) client.reset();
        else if (k % 3 === 1) client.close();
        else {
          client.trySend(get('/flood').slice(0, k));
          client.reset();
        }
      }),
    );
  }
  await target.alive();
  await quiet();
});

test('more requests than connections to a backend: those that wait are served, those whose client left are not', async () => {
  const MOST = LIMITS.UPSTREAM_CONNECTIONS_PER_ENDPOINT;
  const waiting: Wire[] = [];
  let hold = true;
  target.backend.reset(async (wire, backend) => {
    for (;;) {
      const request = await backend.request(wire);
      if (hold) waiting.push(wire);
      else await wire.send(ok(request.target));
    }
  });
  const clients = await Promise.all(Array.from({ length: MOST + 100 }, () => target.connect()));
  for (const [i, client] of clients.entries()) client.trySend(get(`/w/${i}`));
  const active = (count: number) => async () => (await target.rauta.metric('rauta_requests_active')) === count;
  await until(() => waiting.length >= MOST, 'all connections');
  await until(active(MOST + 100), 'those that wait for one');
  assert.equal(waiting.length, MOST);
  const seen = new Set(target.backend.requests.map((r) => r.target));
  const queued = [...clients.keys()].filter((i) => !seen.has(`/w/${i}`));
  assert.equal(queued.length, 100);
  // Half of those that wait leave; then the backend goes on.
  const left = queued.filter((_, k) => k % 2 === 0);
  for (const i of left) clients[i]?.reset();
  await until(active(MOST + 100 - left.length), 'those that leave');
  hold = false;
  for (const wire of waiting) wire.trySend(ok('held'));
  const stays = [...clients.keys()].filter((i) => !left.includes(i));
  await within(
    Promise.all(stays.map(async (i) => assert.equal((await clients[i]?.readMessage())?.status, 200, `${i}`))),
    'answers',
  );
  const reached = new Set(target.backend.requests.map((r) => r.target));
  for (const i of left) assert.ok(!reached.has(`/w/${i}`), `${i} reached the backend without its client`);
  for (const client of clients) client.close();
  await quiet();
});

test('uploads whose clients leave while the backend is being connected, or is retried', async () => {
  target.backend.reset((wire) => wire.reset());
  const clients = await Promise.all(Array.from({ length: 100 }, () => target.connect()));
  await Promise.all(
    clients.map(async (client, i) => {
      client.trySend(`${POST}Content-Length: 100000\r\n\r\n${'x'.repeat(1_000 * (i % 50))}`);
      await pause(i % 5);
      client.reset();
    }),
  );
  await quiet();
  target.backend.reset(answering());
  await target.alive();
});

test('the last answer reaches a client that goes on sending', async () => {
  target.backend.reset(answering((r) => ok('y'.repeat(r.target === '/big' ? 300_000 : 1))));
  for (const first of [get('/big', 'Connection: close\r\n'), get('/big', 'X\r\n'), 'GET /big HTTP/1.0\r\n\r\n']) {
    const client = await target.connect();
    client.trySend(first);
    for (let i = 0; i < 20; i++) {
      client.trySend(get('/more').repeat(20));
      await pause(0);
    }
    const { how, text } = await client.over();
    assert.equal(how, 'fin', first);
    const answers = await responsesOf(text);
    assert.equal(answers.length, 1);
    assert.equal(answers[0]?.body.length, answers[0]?.status === 400 ? 18 : 300_000);
  }
});

test('slow heads are answered 408 after ten seconds, whatever comes meanwhile', async () => {
  const ends = await Promise.all(slow.map((s) => s.ended));
  for (const [i, { text, ms }] of ends.entries()) {
    // What can be no request is refused at once.
    const wrong = i === 4;
    assert.equal(statusesOf(await responsesOf(text))[0], wrong ? 400 : 408, `${i}`);
    assert.ok(wrong ? ms < 5_000 : ms > 9_000 && ms < 20_000, `${i}: ${ms} ms`);
  }
  clearInterval(dripping);
});
