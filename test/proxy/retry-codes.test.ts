// What a rule says about repeating (HTTPRouteRetry, GEP-1731): which statuses are failures, how often, and no more.

import assert from 'node:assert/strict';
import { LIMITS } from '../../src/base/limits.ts';
import type { Retry } from '../../src/ir/ir.ts';
import { limitCell } from '../../src/telemetry/layout.ts';
import { onBoth, type Peer, simOnly, type TestNet } from '../support/net.ts';
import { answering, bodyText, cluster, endpoint, get, ok, Rig, rule } from './rig.ts';

const UNAVAILABLE = 'HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy';

/** A backend that is unavailable `times` times. */
function busy(net: TestNet, times: number): { backend: ReturnType<typeof answering>; seen: string[] } {
  const seen: string[] = [];
  const backend = answering(net, ({ method, body }) => {
    seen.push(`${method} ${Buffer.from(body).toString('latin1')}`.trim());
    return seen.length > times ? ok('fine') : UNAVAILABLE;
  });
  return { backend, seen };
}

function retry(more: Partial<Retry>): Retry {
  return { attempts: 2, codes: [503], backoffMs: 0, ...more };
}

async function ask(net: TestNet, rig: Rig, request = get()): Promise<string> {
  const client = await rig.connect();
  await client.send(request);
  const [answer] = await Promise.all([client.readMessage(), net.advance(net.kind === 'native' ? 100 : 5_000)]);
  client.close();
  return `${answer.status} ${bodyText(answer)}`;
}

onBoth('a status that the rule takes for a failure is asked again', async (net) => {
  const { backend, seen } = busy(net, 2);
  const rig = new Rig(net, [backend], [rule({ retry: retry({}) })]);
  assert.equal(await ask(net, rig), '200 fine');
  assert.equal(seen.length, 3);
  await rig.end();
  assert.equal(rig.records.last.attempts, 3);
});

onBoth('not more often than it says, and the client gets the last answer', async (net) => {
  const { backend, seen } = busy(net, 2);
  const rig = new Rig(net, [backend], [rule({ retry: retry({ attempts: 1 }) })]);
  assert.equal(await ask(net, rig), '503 busy');
  assert.equal(seen.length, 2);
  await rig.end();
});

onBoth('a rule may have only idempotent methods asked again', async (net) => {
  const post = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi';
  for (const [request, idempotent, status] of [
    [get(), true, '200 fine'],
    [post, true, '503 busy'],
    [post, undefined, '200 fine'],
  ] as const) {
    const { backend, seen } = busy(net, 1);
    const rig = new Rig(net, [backend], [rule({ retry: retry(idempotent === undefined ? {} : { idempotent }) })]);
    assert.equal(await ask(net, rig, request), status);
    assert.equal(seen.length, status === '200 fine' ? 2 : 1);
    await rig.end();
  }
});

onBoth('other statuses, and rules that say nothing, are not asked again', async (net) => {
  for (const options of [{ retry: retry({ codes: [502, 504] }) }, {}]) {
    const { backend, seen } = busy(net, 1);
    const rig = new Rig(net, [backend], [rule(options)]);
    assert.equal(await ask(net, rig), '503 busy');
    assert.equal(seen.length, 1);
    await rig.end();
  }
});

/** A backend that closes the connection on its first `times` requests instead of an answer; what it saw. */
function closing(net: TestNet, times: number): { backend: ReturnType<TestNet['serve']>; seen: string[] } {
  const seen: string[] = [];
  const backend = net.serve(async (peer) => {
    for (;;) {
      const request = await peer.readMessage().catch(() => null);
      if (request === null) return;
      seen.push(bodyText(request));
      if (seen.length > times) await peer.send(ok('fine'));
      else {
        peer.close();
        return;
      }
    }
  });
  return { backend, seen };
}

const POST = 'POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 4\r\n\r\nbody';

onBoth('a rule that says how to repeat means connections that end without an answer, too', async (net) => {
  for (const [times, options, answer, asked] of [
    [2, { retry: retry({ codes: [] }) }, '200 fine', 3],
    [3, { retry: retry({ codes: [] }) }, '502', 3],
    [1, {}, '502', 1],
  ] as const) {
    const { backend, seen } = closing(net, times);
    const rig = new Rig(net, [backend], [rule(options)]);
    assert.equal((await ask(net, rig, POST)).slice(0, answer.length), answer);
    assert.deepEqual(
      seen,
      Array.from({ length: asked }, () => 'body'),
    );
    await rig.end();
    assert.equal(rig.records.last.attempts, asked);
  }
});

simOnly('and a backend that takes longer than the rule gives it; the whole has its own time', async (net) => {
  const timed = { backendTimeoutMs: 100 };
  for (const [silent, options, answer, asked, most] of [
    [2, { retry: retry({ backoffMs: 20 }), ...timed }, '200 fine', 3, 5_000],
    [9, { retry: retry({ backoffMs: 20 }), ...timed }, '504', 3, 450],
    [9, { retry: retry({ attempts: 50 }), requestTimeoutMs: 350, ...timed }, '504', 4, 400],
    [1, timed, '504', 1, 150],
  ] as const) {
    let seen = 0;
    const backend = net.serve(async (peer) => {
      while ((await peer.readMessage().catch(() => null)) !== null) if (++seen > silent) await peer.send(ok('fine'));
    });
    const rig = new Rig(net, [backend], [rule(options)]);
    assert.equal((await ask(net, rig, POST)).slice(0, answer.length), answer);
    // A connection that takes its time costs the last one.
    assert.ok(seen === asked || (seen === asked - 1 && answer === '504'), `${seen} requests`);
    await rig.end();
    assert.ok(rig.records.last.durationUs <= most * 1_000, `${rig.records.last.durationUs} us`);
  }
});

for (const [what, budget, again, refused] of [
  ['a share of the requests', { percent: 50, count: 1 }, 5, 5],
  ['so many in any case', { percent: 0, count: 3 }, 3, 7],
] as const) {
  simOnly(`a policy's budget is ${what}, and who is beyond it is told 503`, async (net) => {
    const failing = answering(net, () => 'HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno');
    const retryBudget = { ...budget, intervalMs: 10_000, countMs: 10_000 };
    const app = cluster('app', [endpoint(failing)], { retryBudget });
    const rig = new Rig(net, [failing], [app, rule({ retry: retry({ attempts: 1, codes: [500] }) })]);
    // Half of what came before has to be there first.
    const client = await rig.connect();
    const statuses: number[] = [];
    for (let i = 0; i < 10; i++) {
      await client.send(get());
      const [answer] = await Promise.all([client.readMessage(), net.advance(50)]);
      statuses.push(answer.status);
    }
    assert.equal(statuses.filter((status) => status === 500).length, again, statuses.join());
    assert.equal(statuses.filter((status) => status === 503).length, refused);
    assert.equal(rig.records.last.limit, statuses.at(-1) === 503 ? 'RETRY_BUDGET_PERCENT' : '');
    // It is of a time: after that there is more.
    await net.advance(30_000);
    client.close();
    assert.equal((await ask(net, rig)).slice(0, 3), '500');
    await rig.end();
  });
}

onBoth('a request with content is sent again whole, after the time the rule says', async (net) => {
  const { backend, seen } = busy(net, 1);
  const rig = new Rig(net, [backend], [rule({ retry: retry({ backoffMs: 20 }) })]);
  assert.equal(await ask(net, rig, POST), '200 fine');
  assert.deepEqual(seen, ['POST body', 'POST body']);
  await rig.end();
  assert.ok(rig.records.last.durationUs >= 20_000, `${rig.records.last.durationUs}`);
});

for (const clients of [40, 4]) {
  simOnly(`where all fail, few are asked again: of ${clients} at once a fifth, or three`, async (net) => {
    const waiting: Peer[] = [];
    let fails = true;
    const backend = net.serve(async (peer) => {
      while ((await peer.readMessage().catch(() => null)) !== null) {
        waiting.push(peer);
        if (!fails) await peer.send(ok('fine'));
      }
    });
    const rig = new Rig(net, [backend], [rule({ retry: retry({ attempts: 3 }) })]);
    const peers = await Promise.all(Array.from({ length: clients }, () => rig.connect()));
    for (const client of peers) await client.send(get());
    await net.settle();
    assert.equal(waiting.length, clients);
    fails = false;
    for (const peer of waiting.splice(0)) await peer.send(UNAVAILABLE);
    const [answers] = await Promise.all([Promise.all(peers.map((c) => c.readMessage())), net.advance(100)]);
    const again = waiting.length;
    const most = Math.max(LIMITS.RETRY_BUDGET_LEAST, (clients * LIMITS.RETRY_BUDGET_PERCENT) / 100);
    assert.ok(again >= LIMITS.RETRY_BUDGET_LEAST && again <= most, `${again} again`);
    assert.equal(answers.filter(({ status }) => status === 200).length, again);
    assert.equal(rig.get(limitCell('RETRY_BUDGET_PERCENT')), clients - again);
    const limited = rig.records.all.filter(({ limit }) => limit === 'RETRY_BUDGET_PERCENT');
    assert.equal(limited.length, clients - again);
    // What was taken of the budget is given back.
    fails = true;
    waiting.length = 0;
    await (peers[0] as Peer).send(get());
    await net.settle();
    fails = false;
    await (waiting[0] as Peer).send(UNAVAILABLE);
    const [late] = await Promise.all([(peers[0] as Peer).readMessage(), net.advance(100)]);
    assert.equal(late.status, 200);
    for (const client of peers) client.close();
    await rig.end();
  });
}
