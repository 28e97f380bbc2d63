// Configuration changes under traffic: swapped between two requests, all or nothing, nobody in flight is disturbed.

import assert from 'node:assert/strict';
import type { Match } from '../../src/ir/ir.ts';
import { ApplyError } from '../../src/proxy/engine.ts';
import { FIRST_FREE_CELL } from '../../src/telemetry/layout.ts';
import { onBoth, type Peer } from '../support/net.ts';
import { answering, bodyText, cluster, clusterKey, endpoint, get, LISTENER, listener, ok, Rig, rule } from './rig.ts';

async function ask(client: Peer, target = '/'): Promise<string> {
  await client.send(get(target));
  const answer = await client.readMessage();
  return answer.status === 200 ? bodyText(answer) : String(answer.status);
}

onBoth('rules come, change and go between two requests of a connection', async (net) => {
  const one = answering(net, () => ok('one'));
  const two = answering(net, () => ok('two'));
  const rig = new Rig(net, [one], []);
  const client = await rig.connect();
  assert.equal(await ask(client), '404');
  rig.apply({ upserts: [rule({})], removals: [] });
  assert.equal(await ask(client), 'one');
  rig.apply({ upserts: [rule({ to: ['other'] }), cluster('other', [endpoint(two)])], removals: [] });
  assert.equal(await ask(client), 'two');
  rig.apply({ upserts: [], removals: [clusterKey('other')] });
  assert.equal(await ask(client), '500');
  rig.apply({ upserts: [cluster('other', [endpoint(two)])], removals: [] });
  assert.equal(await ask(client), 'two');
  rig.apply({ upserts: [], removals: [rule({}).key] });
  assert.equal(await ask(client), '404');
  client.close();
  await rig.end();
});

onBoth('a request in flight keeps what it started with, on an endpoint that leaves', async (net) => {
  let release = (): void => {};
  let begun = false;
  const old = net.serve(async (peer) => {
    await peer.readMessage();
    begun = true;
    await new Promise<void>((resolve) => {
      release = resolve;
    });
    await peer.send(ok('old'));
    assert.equal(await peer.read(), null, 'its connection is not kept');
  });
  const fresh = answering(net, () => ok('new'));
  const rig = new Rig(net, [old]);
  const first = await rig.connect();
  await first.send(get());
  while (!begun) await net.advance(1);
  rig.apply({ upserts: [cluster('app', [endpoint(fresh)])], removals: [] });
  const second = await rig.connect();
  assert.equal(await ask(second), 'new');
  rig.apply({ upserts: [], removals: [rule({}).key, clusterKey('app')] });
  release();
  assert.equal(bodyText(await first.readMessage()), 'old');
  assert.equal(await ask(first), '404');
  first.close();
  second.close();
  await rig.end();
});

onBoth('an endpoint that stays keeps its connections', async (net) => {
  let connections = 0;
  const backend = net.serve(async (peer) => {
    connections++;
    for (;;) {
      if ((await peer.readMessage().catch(() => null)) === null) return;
      await peer.send(ok('x'));
    }
  });
  const other = answering(net, () => ok('x'));
  const rig = new Rig(net, [backend]);
  const client = await rig.connect();
  await ask(client);
  rig.apply({ upserts: [cluster('app', [endpoint(other, { weight: 0 }), endpoint(backend)])], removals: [] });
  await ask(client);
  assert.equal(connections, 1);
  client.close();
  await rig.end();
});

onBoth('a revision that cannot be applied changes nothing', async (net) => {
  const rig = new Rig(net, [answering(net, () => ok('one'))]);
  const client = await rig.connect();
  assert.equal(await ask(client), 'one');
  const bad: Partial<Match> = { path: { type: 'RegularExpression', value: '(' } };
  const delta = {
    upserts: [
      rule({ action: { type: 'respond', status: 500 } }),
      rule({ name: 'extra', path: '/extra', action: { type: 'respond', status: 500 } }),
      cluster('app', []),
      rule({ name: 'bad', match: bad }),
    ],
    removals: [],
  };
  assert.throws(
    () => rig.apply(delta),
    (error) => error instanceof ApplyError && error.key === 'rule/HTTPRoute/default/bad/0',
  );
  assert.equal(await ask(client), 'one');
  assert.equal(await ask(client, '/extra'), 'one');
  assert.equal(rig.engine.stats().rules, 1);
  const filters = [{ type: 'requestHeaders' as const, edits: { set: [], add: [], remove: ['host'] } }];
  assert.throws(() => rig.apply({ upserts: [cluster('app', []), rule({ filters })], removals: [] }), ApplyError);
  assert.equal(await ask(client), 'one');
  client.close();
  await rig.end();
});

onBoth('cells that the controller assigns count the route, before and after', async (net) => {
  const rig = new Rig(net, [answering(net, () => ok('x'))]);
  const client = await rig.connect();
  await ask(client);
  rig.apply({
    upserts: [{ kind: 'cells', key: 'cells/HTTPRoute/default/r', blocks: { route: FIRST_FREE_CELL } }],
    removals: [],
  });
  await ask(client);
  client.close();
  await rig.end();
  assert.deepEqual(
    rig.records.blocks.map((block) => block === FIRST_FREE_CELL),
    [false, true],
  );
});

onBoth('a listener that leaves the configuration ends its connections in order', async (net) => {
  const rig = new Rig(net, [answering(net, () => ok('x'))]);
  const client = await rig.connect();
  const idle = await rig.connect();
  assert.equal(await ask(client), 'x');
  assert.equal(await ask(idle), 'x');
  rig.engine.removeSocket(LISTENER);
  rig.apply({ upserts: [], removals: [LISTENER] });
  await client.send(get());
  const answer = await client.readMessage();
  assert.equal(answer.status, 404);
  assert.deepEqual(answer.headers.get('connection'), ['close']);
  assert.equal(await client.read(), null);
  const [end] = await Promise.all([idle.read(), net.advance(1100)]);
  assert.equal(end, null);
  await rig.end();
});

onBoth('rules may come before their listener does', async (net) => {
  const rig = new Rig(net, [answering(net, () => ok('x'))]);
  rig.apply({ upserts: [], removals: [LISTENER] });
  rig.apply({ upserts: [rule({ name: 'later', path: '/later' })], removals: [] });
  rig.apply({ upserts: [listener()], removals: [] });
  const client = await rig.connect();
  assert.equal(await ask(client, '/later'), 'x');
  client.close();
  await rig.end();
});

onBoth('draining: answers say close, nothing in flight is lost, the last one ends it', async (net) => {
  let release = (): void => {};
  let begun = false;
  const backend = net.serve(async (peer) => {
    for (;;) {
      const request = await peer.readMessage().catch(() => null);
      if (request === null) return;
      if (request.target === '/slow') {
        begun = true;
        await new Promise<void>((resolve) => {
          release = resolve;
        });
      }
      await peer.send(ok(request.target));
    }
  });
  const rig = new Rig(net, [backend]);
  const busy = await rig.connect();
  const idle = await rig.connect();
  const late = await rig.connect();
  assert.equal(await ask(idle, '/1'), '/1');
  assert.equal(await ask(late, '/1'), '/1');
  await busy.send(get('/slow'));
  while (!begun) await net.advance(1);
  let drained = false;
  rig.engine.drain(() => {
    drained = true;
  });
  await late.send(get('/2'));
  const answer = await late.readMessage();
  assert.equal(bodyText(answer), '/2');
  assert.deepEqual(answer.headers.get('connection'), ['close']);
  assert.equal(await late.read(), null);
  late.close();
  rig.engine.removeSocket(LISTENER);
  const [end] = await Promise.all([idle.read(), net.advance(1100)]);
  assert.equal(end, null);
  assert.equal(drained, false);
  release();
  const last = await busy.readMessage();
  assert.equal(bodyText(last), '/slow');
  assert.deepEqual(last.headers.get('connection'), ['close']);
  assert.equal(await busy.read(), null);
  busy.close();
  idle.close();
  while (!drained) await net.advance(1);
  await rig.end();
});
