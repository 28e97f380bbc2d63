// How long connections of clients stay, how they are moved when the worker is going to leave, and when the clock of a
// request begins.

import assert from 'node:assert/strict';
import { LIMITS } from '../../src/base/limits.ts';
import { limitCell } from '../../src/telemetry/layout.ts';
import { onBoth, simOnly } from '../support/net.ts';
import { answering, bodyText, get, ok, Rig } from './rig.ts';

simOnly('a client may come back after as long as load balancers keep a connection, 60 s and more', async (net) => {
  const rig = new Rig(net, [answering(net, () => ok('x'))]);
  const client = await rig.connect();
  for (const pauseMs of [0, 60_000, 75_000, LIMITS.IDLE_MS - 1000]) {
    await net.advance(pauseMs);
    await client.send(get());
    assert.equal(bodyText(await client.readMessage()), 'x');
  }
  client.close();
  await rig.end();
});

for (const clientIdleMs of [5_000, 620_000]) {
  simOnly(
    `--client-idle-timeout ${clientIdleMs / 1000}s: an idle connection stays so long, and no longer`,
    async (net) => {
      const rig = new Rig(net, [answering(net, () => ok('x'))], undefined, { clientIdleMs });
      const client = await rig.connect();
      await client.send(get());
      await client.readMessage();
      await net.advance(clientIdleMs - 1000);
      await client.send(get());
      await client.readMessage();
      const end = client.read();
      await net.advance(clientIdleMs + 1000);
      assert.equal(await end, null);
      await rig.end();
      assert.equal(rig.get(limitCell('IDLE_MS')), 1);
    },
  );
}

onBoth('a worker that will leave says so in its answers, and closes nobody before it does', async (net) => {
  const rig = new Rig(net, [answering(net, (r) => ok(r.target))]);
  const asks = await rig.connect();
  const idles = await rig.connect();
  await asks.send(get('/1'));
  assert.equal((await asks.readMessage()).headers.get('connection'), undefined);
  rig.engine.leaveSoon();
  // One that comes now is served too, once; requests sent together are each answered by its own rule.
  const late = await rig.connect();
  for (const client of [asks, late]) {
    await client.send(get('/2'));
    const answer = await client.readMessage();
    assert.equal(bodyText(answer), '/2');
    assert.deepEqual(answer.headers.get('connection'), ['close']);
    assert.equal(await client.read(), null);
  }
  if (net.kind === 'sim') await net.advance(LIMITS.DRAIN_IDLE_MS + 100);
  await idles.send(get('/3'));
  assert.deepEqual((await idles.readMessage()).headers.get('connection'), ['close']);
  assert.equal(await idles.read(), null);
  await rig.end();
});

simOnly('the time of a request begins with its first byte, not with the end of its head', async (net) => {
  const rig = new Rig(net, [answering(net, () => ok('x'))]);
  const client = await rig.connect();
  await net.advance(500);
  await client.send('GET / HTTP/1.1\r\nHo');
  await net.advance(2000);
  await client.send('st: a\r\n\r\n');
  await client.readMessage();
  await net.settle();
  const { durationUs } = rig.records.last;
  assert.ok(durationUs >= 2_000_000 && durationUs < 2_400_000, `${durationUs}`);
  // The next one has a clock of its own.
  await net.advance(700);
  await client.send(get());
  await client.readMessage();
  await net.settle();
  assert.ok(rig.records.last.durationUs < 400_000, `${rig.records.last.durationUs}`);
  client.close();
  await rig.end();
});

simOnly('a request that is refused, or too slow, is timed from its first byte too', async (net) => {
  const rig = new Rig(net, []);
  const client = await rig.connect();
  await client.send('GET / HTTP/1.1\r\nHo');
  await net.advance(1500);
  await client.send('st : a\r\n\r\n');
  assert.equal((await client.readMessage()).status, 400);
  assert.ok(rig.records.last.durationUs >= 1_500_000, `${rig.records.last.durationUs}`);
  const slow = await rig.connect();
  await slow.send('G');
  const [answer] = await Promise.all([slow.readMessage(), net.advance(LIMITS.HEAD_MS + 100)]);
  assert.equal(answer.status, 408);
  // Timers count whole milliseconds, of which the first had begun.
  assert.ok(rig.records.last.durationUs >= (LIMITS.HEAD_MS - 1) * 1000, `${rig.records.last.durationUs}`);
  client.close();
  slow.close();
  await rig.end();
});

simOnly('a pipelined request is timed from when its first byte was here', async (net) => {
  let answer = (): void => {};
  const backend = net.serve(async (peer) => {
    for (const body of ['one', 'two']) {
      await peer.readMessage();
      if (body === 'one')
        await new Promise<void>((resolve) => {
          answer = resolve;
        });
      await peer.send(ok(body));
    }
  });
  const rig = new Rig(net, [backend]);
  const client = await rig.connect();
  await client.send(get('/1') + get('/2'));
  await net.advance(3000);
  answer();
  assert.equal(bodyText(await client.readMessage()), 'one');
  assert.equal(bodyText(await client.readMessage()), 'two');
  await net.settle();
  const [first, second] = rig.records.all;
  assert.ok(first !== undefined && first.durationUs >= 2_900_000);
  assert.ok(second !== undefined && second.durationUs >= 2_900_000, `${second?.durationUs}`);
  client.close();
  await rig.end();
});
