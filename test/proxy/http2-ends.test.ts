// How streams and connections of HTTP/2 clients end, whoever ends them.

import assert from 'node:assert/strict';
import { LIMITS } from '../../src/base/limits.ts';
import { FLAG, TYPE } from '../../src/proxy/http2/frames.ts';
import { CELL, http2Cell } from '../../src/telemetry/layout.ts';
import { ask, data, frame, Http2Client, head, settings, word } from '../support/http2.ts';
import { plainly } from '../support/net.ts';
import { answering, LISTENER, ok, Rig } from './rig.ts';

const { onBoth, simOnly } = plainly('over TLS the protocol is agreed on by ALPN: http2-clients.test.ts');

onBoth('an answer before the request is complete, then NO_ERROR; the connection goes on', async (net) => {
  const app = net.serve(async (peer) => {
    await peer.readHead();
    await peer.send('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno');
    await peer.readAll().catch(() => null);
  });
  const rig = new Rig(net, [app, app]);
  const client = await Http2Client.open(await rig.connect());
  await client.send(head(1, ask('/', [], 'POST'), false), data(1, 'some'));
  const first = await client.outcome(1);
  assert.deepEqual([first.status, first.body.toString(), first.reset], [403, 'no', null]);
  const reset = await client.until(TYPE.RST_STREAM);
  assert.deepEqual([reset.stream, reset.payload.readUInt32BE()], [1, 0]);
  assert.equal(rig.get(http2Cell('resets', 'downstream', 0)), 1);
  // What was on its way is no fault, and neither is its end.
  await client.send(data(1, 'more'), data(1, 'end', true), frame(TYPE.RST_STREAM, 0, 1, word(8)));
  await client.send(head(3, ask('/', [], 'POST'), false));
  assert.equal((await client.outcome(3)).status, 403);
  client.peer.close();
  await rig.end();
  assert.deepEqual(
    rig.records.all.map(({ status, flags }) => [status, flags]),
    [
      [403, ''],
      [403, ''],
    ],
  );
});

onBoth('a response that breaks off is a reset, whatever was said of its length', async (net) => {
  const answers = ['Content-Length: 10\r\n\r\nabc', 'Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n'];
  const app = net.serve(async (peer) => {
    await peer.readMessage();
    await peer.send(`HTTP/1.1 200 OK\r\n${answers.shift()}`);
    peer.reset();
  });
  const rig = new Rig(net, [app]);
  const client = await Http2Client.open(await rig.connect());
  for (const id of [1, 3]) {
    await client.send(head(id, ask('/', [], 'POST'), true));
    const { status, reset } = await client.outcome(id);
    if (status === 200) assert.equal(reset, 'INTERNAL_ERROR');
    else assert.equal(status, 502);
    assert.equal(rig.records.last.flags, 'UC');
  }
  client.peer.close();
  await rig.end();
});

onBoth('interim responses go first; one that is answered by nobody is 502', async (net) => {
  const app = net.serve(async (peer) => {
    const { headers } = await peer.readHead();
    if (headers.has('x-die')) {
      peer.reset();
      return;
    }
    await peer.send('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n');
    assert.equal(Buffer.from(await peer.readExactly(2)).toString(), 'hi');
    await peer.send(ok('done', 'Connection: close\r\n'));
  });
  const rig = new Rig(net, [app]);
  const client = await Http2Client.open(await rig.connect());
  await client.send(
    head(
      1,
      ask(
        '/',
        [
          ['expect', '100-continue'],
          ['content-length', '2'],
        ],
        'PUT',
      ),
      false,
    ),
  );
  await client.until(TYPE.HEADERS);
  await client.send(data(1, 'hi', true));
  const { interim, status, body } = await client.outcome(1);
  assert.deepEqual([interim, status, body.toString()], [[100, 103], 200, 'done']);
  await client.send(head(3, ask('/', [['x-die', '1']], 'POST')));
  assert.equal((await client.outcome(3)).status, 502);
  client.peer.close();
  await rig.end();
});

simOnly('a worker leaves in two steps; a client that does not answer the PING has a second', async (net) => {
  const rig = new Rig(net, [answering(net, () => ok('x'))]);
  const quick = await Http2Client.open(await rig.connect());
  const deaf = await Http2Client.open(await rig.connect());
  deaf.acknowledges = false;
  for (const client of [quick, deaf]) {
    await client.send(head(1, ask()));
    assert.equal((await client.outcome(1)).status, 200);
    await client.send(head(3, ask('/', [], 'POST'), false));
  }
  while (rig.engine.stats().requests < 2) await net.advance(1);
  let over = false;
  rig.engine.removeSocket(LISTENER);
  rig.engine.drain(() => {
    over = true;
  });
  for (const client of [quick, deaf]) {
    await client.until(TYPE.GOAWAY);
    assert.deepEqual([client.goaway, client.lastStream], ['NO_ERROR', 0x7fffffff]);
    // It was on its way.
    await client.send(head(5, ask()));
    assert.equal((await client.outcome(5)).status, 200);
  }
  await net.advance(2 * LIMITS.DRAIN_PONG_MS);
  while (quick.lastStream !== 5) await quick.read();
  assert.equal(rig.get(http2Cell('goaways', 'downstream', 0)), 3);
  await quick.send(head(7, ask()));
  assert.equal((await quick.outcome(7)).reset, 'REFUSED_STREAM');
  await net.advance(LIMITS.DRAIN_IDLE_MS + 100);
  while (deaf.lastStream !== 5) await deaf.read();
  assert.equal(over, false);
  for (const client of [quick, deaf]) {
    await client.send(data(3, 'end', true));
    assert.equal((await client.outcome(3)).status, 200);
    assert.equal(await client.ended(), 'NO_ERROR');
    client.peer.close();
  }
  await net.settle();
  assert.equal(over, true);
  await rig.end();
});

onBoth('what a client had asked for before it knew that it should leave may stand behind its PONG', async (net) => {
  const rig = new Rig(net, [answering(net, () => ok('x'))]);
  const client = await Http2Client.open(await rig.connect());
  client.acknowledges = false;
  await client.send(head(1, ask()));
  assert.equal((await client.outcome(1)).status, 200);
  rig.engine.removeSocket(LISTENER);
  rig.engine.drain(() => {});
  const { payload } = await client.until(TYPE.PING);
  await client.send(frame(TYPE.PING, FLAG.ACK, 0, payload), head(3, ask()));
  assert.equal((await client.outcome(3)).status, 200);
  if (net.kind === 'sim') await net.advance(2 * LIMITS.DRAIN_PONG_MS);
  assert.equal(await client.ended(), 'NO_ERROR');
  client.peer.close();
  await rig.end();
});

onBoth('a client that leaves takes its requests with it', async (net) => {
  const asked = Promise.withResolvers<void>();
  const left = Promise.withResolvers<void>();
  const app = net.serve(async (peer) => {
    await peer.readMessage();
    asked.resolve();
    await peer.readAll().catch(() => null);
    left.resolve();
  });
  const rig = new Rig(net, [app]);
  const client = await Http2Client.open(await rig.connect());
  await client.send(head(1, ask()), head(3, ask('/', [], 'POST'), false));
  await asked.promise;
  assert.equal(rig.get(CELL.HTTP2_STREAMS), 2);
  client.peer.reset();
  await left.promise;
  assert.equal(rig.get(CELL.HTTP2_STREAMS), 0);
  await rig.end();
  assert.deepEqual(
    rig.records.all.map(({ status, flags }) => [status, flags]),
    [
      [499, 'DC'],
      [499, 'DC'],
    ],
  );
});

simOnly('streams take turns: a small response does not wait for a large one', async (net) => {
  const app = answering(net, ({ target }) =>
    ok((target === '/big' ? 'b' : 's').repeat(target === '/big' ? 400_000 : 20_000)),
  );
  const rig = new Rig(net, [app]);
  const client = await Http2Client.open(await rig.connect(), [[4, 1_000_000]]);
  client.grants = false;
  await client.send(head(1, ask('/big')));
  while (client.body(1).length < 65_535) await client.read();
  await client.send(head(3, ask('/small')));
  await client.until(TYPE.HEADERS);
  await client.send(frame(TYPE.WINDOW_UPDATE, 0, 0, word(100_000)));
  assert.equal((await client.outcome(3)).body.length, 20_000);
  assert.ok(client.body(1).length > 65_535 + 10_000, 'the large one had its turns too');
  client.peer.close();
  await rig.end();
});

onBoth('unknown frames, padding, priorities and settings in between change nothing', async (net) => {
  const rig = new Rig(net, [answering(net, ({ target }) => ok(target))]);
  const client = await Http2Client.open(await rig.connect());
  const block = head(1, ask('/padded')).subarray(9);
  const padded = Buffer.concat([Buffer.of(4), Buffer.from([0, 0, 0, 0, 16]), block, Buffer.alloc(4)]);
  await client.send(
    frame(0x50, 0xff, 0, 'whatever'),
    frame(TYPE.PRIORITY, 0, 9, '\0\0\0\x03\x10'),
    frame(TYPE.HEADERS, FLAG.END_HEADERS | FLAG.END_STREAM | FLAG.PADDED | FLAG.PRIORITY, 1, padded),
    settings([
      [1, 0],
      [3, 100],
      [99, 1],
    ]),
    head(3, ask('/next')),
  );
  assert.equal((await client.outcome(1)).body.toString(), '/padded');
  assert.equal((await client.outcome(3)).body.toString(), '/next');
  client.peer.close();
  await rig.end();
});
