// Backends that refuse, are silent, reset or leave at the worst moment. What must hold: a request is answered exactly
// once, one that is not idempotent reaches a backend at most once, nothing hangs, and the pool comes back (RFC 9110
// section 9.2.2).

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { routeYaml } from '../process/support.ts';
import { answering, get, ok, pause, Target, type Wire } from './support.ts';

let target: Target;
before(async () => {
  target = await Target.start({
    routes: () => routeYaml('slow', '/slow', 'app', '      timeouts: { request: 700ms }\n'),
  });
});
after(() => target.end());

const SECONDS = Number(process.env['ATTACK_SECONDS'] ?? 0);

interface Sent {
  readonly id: string;
  readonly status: number;
  readonly body: string;
}

/** One request after the other on one connection. */
async function ask(client: Wire, method: string, id: string, mayClose = false): Promise<Sent> {
  const body = method === 'POST' ? 'Content-Length: 4\r\n\r\nbody' : '\r\n';
  client.trySend(`${method} /${id} HTTP/1.1\r\nHost: a.example\r\n${body}`);
  const answer = await client.readMessage();
  if (!mayClose && answer.headers.get('connection')?.[0] === 'close')
    throw new Error(`${id}: ${answer.status} and close`);
  return { id, status: answer.status, body: Buffer.from(answer.body).toString() };
}

const leaving: readonly (readonly [how: string, leave: (wire: Wire) => void])[] = [
  ['FIN', (wire) => wire.end()],
  ['close', (wire) => wire.close()],
  ['RST', (wire) => wire.reset()],
];

for (const [how, leave] of leaving) {
  test(`a backend that leaves its idle connections by ${how} just as they are used again`, async () => {
    const { backend } = target;
    backend.reset(async (wire) => {
      // One to three requests, then an end at a moment that wanders around the arrival of the next one.
      const served = 1 + (backend.wires.length % 3);
      for (let i = 0; i < served; i++) {
        const request = await backend.request(wire);
        await wire.send(ok(request.target));
      }
      await pause(backend.wires.length % 2);
      leave(wire);
    });
    const sent: Sent[] = [];
    const until = Date.now() + SECONDS * 1000;
    await Promise.all(
      Array.from({ length: 16 }, async (_, n) => {
        const client = await target.connect();
        for (let i = 0; i < 60 || Date.now() < until; i++) {
          const method = i % 3 === 0 ? 'POST' : 'GET';
          sent.push(await ask(client, method, `${method}/${n}/${i}`));
          if (i % 7 === 0) await pause(1);
        }
        client.close();
      }),
    );
    const seen = new Map<string, number>();
    for (const r of backend.requests) seen.set(r.target, (seen.get(r.target) ?? 0) + 1);
    for (const { id, status, body } of sent) {
      if (id.startsWith('GET')) assert.equal(status, 200, id);
      else assert.ok(status === 200 || status === 502, `${id}: ${status}`);
      if (status === 200) assert.equal(body, `/${id}`);
      if (id.startsWith('POST'))
        assert.ok((seen.get(`/${id}`) ?? 0) <= 1, `${id} was sent ${seen.get(`/${id}`)} times`);
    }
    assert.deepEqual(backend.violations, []);
  });
}

test('those were found out by retries', async () => {
  assert.ok((await target.rauta.metric('rauta_upstream_retries_total')) > 20);
});

test('a backend that resets at once', async () => {
  target.backend.reset((wire) => wire.reset());
  for (let i = 0; i < 20; i++) {
    // The reset may be found while connecting, when nothing of the content was read yet: then the connection ends, too.
    const client = await target.connect();
    const { status } = await ask(client, i % 2 === 0 ? 'GET' : 'POST', `r${i}`, true);
    assert.ok(status === 502 || status === 503, String(status));
    client.close();
  }
});

test('a backend that reads the request and resets is not asked again', async () => {
  target.backend.reset(async (wire, backend) => {
    await backend.request(wire);
    wire.reset();
  });
  const client = await target.connect();
  for (const method of ['GET', 'POST', 'GET', 'POST']) {
    assert.equal((await ask(client, method, `once-${method}`)).status, 502);
  }
  client.close();
  assert.equal(target.backend.requests.length, 4);
});

test('a backend that accepts and says nothing: 504 in time, its connection is reset, the client goes on', async () => {
  const gone: Promise<unknown>[] = [];
  target.backend.reset(async (wire, backend) => {
    gone.push(wire.closed);
    await backend.request(wire);
  });
  const clients = await Promise.all(Array.from({ length: 20 }, () => target.connect()));
  const answers = await Promise.all(clients.map((client, i) => ask(client, i % 2 === 0 ? 'GET' : 'POST', `slow/${i}`)));
  assert.ok(answers.every((a) => a.status === 504));
  await Promise.all(gone);
  target.backend.script = answering();
  for (const client of clients) {
    assert.equal((await ask(client, 'GET', 'after')).status, 200);
    client.close();
  }
});

test('a response head that trickles is not waited for beyond the limit', async () => {
  target.backend.reset(async (wire, backend) => {
    await backend.request(wire);
    await wire.trickle(`HTTP/1.1 200 OK\r\nX: ${'y'.repeat(2_000)}`, 10);
  });
  const client = await target.connect();
  assert.equal((await ask(client, 'GET', 'slow/trickle')).status, 504);
  client.close();
});

test('a backend that speaks before it is asked', async () => {
  target.backend.reset(async (wire) => {
    await wire.send(ok('POISON'));
    await pause(20);
    wire.close();
  });
  for (let i = 0; i < 10; i++) {
    const client = await target.connect();
    client.trySend(get(`/first/${i}`));
    const answer = await client.readMessage();
    // Once both are under way nobody can tell who was first; but never is it used again.
    assert.ok([200, 502, 503].includes(answer.status));
    client.close();
  }
  target.backend.reset(answering());
  await target.alive();
});
