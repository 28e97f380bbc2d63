// A worker that leaves does not wait forever: requests have one time, tunnels and sessions of layer 4 another.

import assert from 'node:assert/strict';
import { FAULTS } from '../../src/base/errors.ts';
import { LIMITS } from '../../src/base/limits.ts';
import { faultCell } from '../../src/proxy/counts.ts';
import { TYPE } from '../../src/proxy/http2/frames.ts';
import { tunnelCell } from '../../src/telemetry/layout.ts';
import type { Field } from '../support/hpack.ts';
import { ask, data, Http2Client, head } from '../support/http2.ts';
import type { Peer, TestNet } from '../support/net.ts';
import { plainly } from '../support/net.ts';
import { switched } from '../support/websocket.ts';
import { get, LISTENER, Rig, rule } from './rig.ts';

const { simOnly } = plainly('what leaves is the same over TLS');

const UPGRADE = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
const WEBSOCKET: readonly Field[] = [
  ...[[':method', 'CONNECT'] as const, [':protocol', 'websocket'] as const, [':scheme', 'http'] as const],
  ...[[':authority', 'a.example'] as const, [':path', '/chat'] as const],
];

/** /chat is switched (once `opens` allows it) and echoed; /begun never ends; all else is never answered. */
function app(net: TestNet, opens: Promise<void> = Promise.resolve()) {
  return net.serve(async (peer) => {
    const { target, head: asked } = await peer.readHead();
    if (target === '/begun') await peer.send('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nsome');
    if (target === '/chat') {
      await opens;
      await peer.send(`${switched(asked)}hello`).catch(() => {});
    }
    for (;;) {
      const bytes = await peer.read().catch(() => null);
      if (bytes === null) break;
      await peer.send(bytes);
    }
    peer.end();
  });
}

interface Stage {
  readonly rig: Rig;
  /** A tunnel over HTTP/1.1; one over HTTP/2 as stream 1, beside requests that wait (3) or have begun (5). */
  readonly tunnel: Peer;
  readonly client: Http2Client;
  readonly waits: Peer;
  readonly begun: Peer;
  readonly over: () => boolean;
  readonly ended: string[];
}

async function leaving(net: TestNet, requestsMs: number, tunnelsMs: number): Promise<Stage> {
  const rig = new Rig(net, [app(net)]);
  const tunnel = await rig.connect();
  await tunnel.send(get('/chat', UPGRADE));
  assert.equal((await tunnel.readHead()).status, 101);
  await tunnel.readExactly(5);
  const client = await Http2Client.open(await rig.connect());
  await client.send(head(1, WEBSOCKET, false), head(3, ask('/waits')), head(5, ask('/begun')));
  while (client.body(1).length < 5 || client.body(5).length < 4) await client.read();
  const [waits, begun] = [await rig.connect(), await rig.connect()];
  await waits.send(get('/waits'));
  await begun.send(get('/begun'));
  await begun.readUntil('some');
  while (rig.engine.stats().requests < 6) await net.advance(1);
  assert.equal(rig.get(tunnelCell('websocket')), 2);
  let over = false;
  const ended: string[] = [];
  rig.engine.removeSocket(LISTENER);
  rig.engine.drain(
    () => {
      over = true;
    },
    { requestsMs, tunnelsMs, onOver: (tunnels, count) => ended.push(`${tunnels ? 'tunnels' : 'requests'} ${count}`) },
  );
  return { rig, tunnel, client, waits, begun, over: () => over, ended };
}

/** Both tunnels still carry bytes. */
async function carries({ tunnel, client }: Stage, text: string): Promise<void> {
  await tunnel.send(text);
  assert.equal(Buffer.from(await tunnel.readExactly(text.length)).toString(), text);
  const before = client.body(1).length;
  await client.send(data(1, text));
  while (client.body(1).length < before + text.length) await client.read();
}

async function requestsEnded({ client, waits, begun, rig }: Stage): Promise<void> {
  const answer = await waits.readHead();
  assert.deepEqual([answer.status, answer.headers.get('connection')], [503, ['close']]);
  await assert.rejects(begun.readAll(), { code: 'ECONNRESET' });
  assert.equal((await client.outcome(3)).status, 503);
  assert.equal((await client.outcome(5)).reset, 'CANCEL');
  const requests = rig.records.all.filter(({ upgrade }) => upgrade === '');
  assert.deepEqual(requests.map(({ status, flags }) => `${status} ${flags}`).sort(), [
    '200 LR',
    '200 LR',
    '503 LR',
    '503 LR',
  ]);
}

async function tunnelsEnded({ client, tunnel, rig }: Stage): Promise<void> {
  await assert.rejects(tunnel.readAll(), { code: 'ECONNRESET' });
  assert.equal((await client.outcome(1)).reset, 'CANCEL');
  assert.equal(rig.get(tunnelCell('websocket')), 0);
  const tunnels = rig.records.all.filter(({ upgrade }) => upgrade === 'websocket');
  assert.deepEqual(
    tunnels.map(({ status, flags, end }) => [status, flags, end]),
    [
      [101, 'LR', 'drain'],
      [101, 'LR', 'drain'],
    ],
  );
}

simOnly('requests have their time, tunnels go on beside them, then have theirs', async (net) => {
  const stage = await leaving(net, 5_000, 60_000);
  await net.advance(4_900);
  await carries(stage, 'while requests go on');
  assert.deepEqual(stage.ended, []);
  await net.advance(200);
  await requestsEnded(stage);
  assert.deepEqual(stage.ended, ['requests 4']);
  // The connection of HTTP/2 takes nothing new, and carries its tunnel.
  await stage.client.send(head(7, ask('/')));
  assert.equal((await stage.client.outcome(7)).reset, 'REFUSED_STREAM');
  await net.advance(50_000);
  await carries(stage, 'when all else is over');
  assert.equal(stage.over(), false);
  await net.advance(5_000);
  await tunnelsEnded(stage);
  assert.deepEqual(stage.ended, ['requests 4', 'tunnels 2']);
  await net.advance(LIMITS.LINGER_MS);
  assert.equal(stage.over(), true);
  assert.equal(stage.rig.get(faultCell(FAULTS.leaving)), 6);
  await stage.rig.end();
});

simOnly('tunnels may have less time than requests', async (net) => {
  const stage = await leaving(net, 60_000, 2_000);
  await net.advance(1_900);
  await carries(stage, 'not yet');
  await net.advance(200);
  await tunnelsEnded(stage);
  assert.deepEqual(stage.ended, ['tunnels 2']);
  assert.equal(stage.rig.records.all.length, 2, 'requests go on');
  await net.advance(58_000);
  await requestsEnded(stage);
  await net.advance(LIMITS.LINGER_MS);
  assert.equal(stage.over(), true);
  await stage.rig.end();
});

simOnly('a tunnel that is asked for when their time is over is refused, in HTTP/1.1 and HTTP/2', async (net) => {
  const opens = Promise.withResolvers<void>();
  const rig = new Rig(net, [app(net, opens.promise)]);
  const tunnel = await rig.connect();
  await tunnel.send(get('/chat', UPGRADE));
  const client = await Http2Client.open(await rig.connect());
  await client.send(head(1, WEBSOCKET, false));
  while (rig.engine.stats().requests < 2) await net.advance(1);
  rig.engine.removeSocket(LISTENER);
  rig.engine.drain(() => {}, { requestsMs: 60_000, tunnelsMs: 0, onOver: () => assert.fail('there was none') });
  await net.advance(100);
  opens.resolve();
  assert.equal((await tunnel.readHead()).status, 503);
  assert.equal((await client.outcome(1)).status, 503);
  assert.deepEqual(
    rig.records.all.map(({ status, flags }) => [status, flags]),
    [
      [503, 'LR'],
      [503, 'LR'],
    ],
  );
  await rig.end();
});

simOnly('who has not asked yet, or has not taken its answer, is no reason to wait', async (net) => {
  const rig = new Rig(net, [app(net)], [rule({})]);
  const idle = await rig.connect();
  const half = await rig.connect();
  await half.send('GET / HTTP/1.1\r\nHost: a');
  const http2 = await Http2Client.open(await rig.connect());
  await net.settle();
  let over = false;
  rig.engine.removeSocket(LISTENER);
  const onOver = (): void => assert.fail('nothing was under way');
  const onDone = (): void => {
    over = true;
  };
  rig.engine.drain(onDone, { requestsMs: 100, tunnelsMs: 60_000, onOver });
  await net.advance(200);
  assert.equal(await idle.read(), null);
  assert.equal(await half.read(), null);
  await http2.until(TYPE.GOAWAY);
  assert.equal(await http2.ended(), 'NO_ERROR');
  await net.advance(LIMITS.LINGER_MS);
  assert.equal(over, true);
  await rig.end();
});
