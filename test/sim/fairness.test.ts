// What one connection causes in one turn is bounded by work, not only by bytes: whoever floods the worker with the
// smallest pieces there are makes nobody else wait for more than a few short turns. Counted, not timed.

import assert from 'node:assert/strict';
import { LIMITS } from '../../src/base/limits.ts';
import { CELL, limitCell } from '../../src/telemetry/layout.ts';
import { answering, cluster, endpoint, get, ok, Rig, rule } from '../proxy/rig.ts';
import { simOnly } from '../support/net.ts';
import type { Peer } from '../support/peer.ts';
import type { SimNet } from '../support/sim-net.ts';

/** Turns that a request and its answer take without anybody else, and then as many again. */
const VICTIM_TURNS = 20;
const CHUNK = '1\r\nx\r\n';
const REQUEST = 'GET /none HTTP/1.1\r\nHost: a\r\n\r\n';
const FIELDS = Array.from({ length: LIMITS.FIELDS - 5 }, (_, i) => `x${i}:y\r\n`).join('');

interface Flood {
  readonly name: string;
  /** What the client sends again and again, after `begin`. */
  readonly begin: string;
  readonly piece: string;
  /** What the backend sends again and again. */
  readonly answer?: string;
  /** A counter, and how much it may rise in a turn. */
  readonly cell: number;
  readonly most: number;
}

const FLOODS: readonly Flood[] = [
  {
    name: 'an upload in chunks of one byte',
    begin: 'POST /flood HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n',
    piece: CHUNK,
    cell: CELL.BYTES_UPSTREAM_WRITTEN,
    most: LIMITS.WORK_PER_TURN * CHUNK.length,
  },
  {
    name: 'a download in chunks of one byte',
    begin: get('/flood'),
    piece: '',
    answer: CHUNK,
    cell: CELL.BYTES_DOWNSTREAM_WRITTEN,
    most: LIMITS.WORK_PER_TURN * CHUNK.length,
  },
  {
    name: 'chunks of one byte with long lines',
    begin: 'POST /flood HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n',
    piece: `1;x=${'y'.repeat(LIMITS.CHUNK_LINE_BYTES - 100)}\r\nx\r\n`,
    cell: CELL.BYTES_UPSTREAM_WRITTEN,
    most: 10 * CHUNK.length,
  },
  {
    name: 'many small requests at once',
    begin: '',
    piece: REQUEST,
    cell: CELL.REQUESTS_TOTAL,
    most: LIMITS.WORK_PER_TURN / 32,
  },
  {
    name: 'empty lines in front of every request',
    begin: '',
    piece: `${'\r\n'.repeat(LIMITS.LEADING_EMPTY_LINES)}${REQUEST}`,
    cell: CELL.REQUESTS_TOTAL,
    most: LIMITS.WORK_PER_TURN / 32,
  },
  {
    name: 'requests with as many fields as are allowed',
    begin: '',
    piece: `GET /none HTTP/1.1\r\nHost: a\r\n${FIELDS}\r\n`,
    cell: CELL.REQUESTS_TOTAL,
    most: 1 + LIMITS.WORK_PER_TURN / (32 + LIMITS.FIELDS - 5),
  },
  {
    name: 'requests with as many trailers as are allowed',
    begin: '',
    piece: `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n${FIELDS}\r\n`,
    cell: CELL.REQUESTS_TOTAL,
    most: 4,
  },
];

/** Sends `piece` again and again, as much as is taken, until the other end is gone. */
async function pour(net: SimNet, peer: Peer, piece: string, until: () => boolean): Promise<void> {
  const bytes = Buffer.from(piece.repeat(Math.ceil(30_000 / piece.length)));
  let at = 0;
  while (!until()) {
    const n = peer.trySend(bytes.subarray(at));
    at = (at + n) % bytes.length;
    if (n === 0) await net.sleep(0.01);
  }
}

/** Reads and forgets. */
async function swallow(peer: Peer): Promise<void> {
  while ((await peer.read()) !== null) {}
}

/** The worker with a backend for the flood and one for its victim. */
function worker(net: SimNet, flood: Flood, over: () => boolean): Rig {
  const floodsBackend = net.serve(async (peer) => {
    if (flood.answer === undefined && flood.begin !== '') return swallow(peer);
    for (;;) {
      await peer.readMessage();
      await peer.send(flood.answer === undefined ? ok('') : 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
      if (flood.answer !== undefined) await pour(net, peer, flood.answer, over);
    }
  });
  const victimsBackend = answering(net, () => ok('answer'));
  return new Rig(
    net,
    [floodsBackend],
    [
      ...cluster('victim', [endpoint(victimsBackend)]),
      rule({}),
      rule({ name: 'none', path: '/none', action: { type: 'respond', status: 404 } }),
      rule({ name: 'victim', path: '/victim', to: ['victim'] }),
    ],
  );
}

/** The most turns that one of some requests took. */
async function victimTurns(net: SimNet, rig: Rig): Promise<number> {
  const victim = await rig.connect();
  let worst = 0;
  for (let i = 0; i < 5; i++) {
    const began = net.sim.turns;
    await victim.send(get('/victim'));
    assert.equal((await victim.readMessage()).status, 200);
    worst = Math.max(worst, net.sim.turns - began);
  }
  victim.close();
  return worst;
}

for (const flood of FLOODS) {
  simOnly(
    `${flood.name}: the work of a turn is bounded, and another client waits for a few turns only`,
    async (net) => {
      net.patient = true;
      let over = false;
      const rig = worker(net, flood, () => over);
      let before = 0;
      let most = 0;
      net.io.onTurn(() => {
        const now = rig.get(flood.cell);
        most = Math.max(most, now - before);
        before = now;
      });
      const attacker = await rig.connect();
      if (flood.begin !== '') await attacker.send(flood.begin);
      const attack = [swallow(attacker)];
      if (flood.piece !== '') attack.push(pour(net, attacker, flood.piece, () => over));
      for (const part of attack) part.catch(() => {});
      while (net.sim.turns < 60) await net.sleep(0.01);
      const turns = await victimTurns(net, rig);
      over = true;
      attacker.reset();
      await Promise.allSettled(attack);
      await rig.end();
      assert.ok(turns <= VICTIM_TURNS, `${turns} turns`);
      // What the victim itself adds to a turn.
      const own = flood.cell === CELL.REQUESTS_TOTAL ? 1 : 2000;
      assert.ok(most > 0 && most <= flood.most + own, `${most} in one turn, ${flood.most} are allowed`);
      if (flood.most > 4) assert.ok(rig.get(limitCell('WORK_PER_TURN')) > 0, 'the flood met its limit');
    },
    { seeds: 0 },
  );
}
