// What a client of HTTP/2 may do to make work that leads to nothing (RFC 9113 section 10.5): each kind has a limit that
// is counted, the connection is told, and a neighbour is served meanwhile.

import assert from 'node:assert/strict';
import { LIMITS } from '../../src/base/limits.ts';
import { FLAG, TYPE } from '../../src/proxy/http2/frames.ts';
import { type LimitedName, limitCell } from '../../src/telemetry/layout.ts';
import { answering, ok, Rig } from '../proxy/rig.ts';
import type { Field } from '../support/hpack.ts';
import { ask, block, data, frame, Http2Client, head, PREFACE, settings, windowUpdate, word } from '../support/http2.ts';
import { plainly, type TestNet } from '../support/net.ts';

const { onBoth, simOnly } = plainly('what is above TLS is the same: h2spec is run over both');

/** Sends `frames` of each n until the connection is over; how it ended. */
async function flood(client: Http2Client, most: number, frames: (n: number) => readonly Uint8Array[]): Promise<string> {
  const sending = (async (): Promise<void> => {
    for (let n = 0; n < most; n += 64) {
      await client.send(...Array.from({ length: 64 }, (_, i) => frames(n + i)).flat());
    }
  })().catch(() => {});
  const ended = await client.ended();
  await sending;
  return ended ?? 'no GOAWAY';
}

/** The rig, one that attacks and one that does not. */
async function sides(
  net: TestNet,
): Promise<{ rig: Rig; client: Http2Client; victim: Http2Client; asked: () => number }> {
  let asked = 0;
  const app = answering(net, () => {
    asked++;
    return ok('served');
  });
  const rig = new Rig(net, [app]);
  const client = await Http2Client.open(await rig.connect());
  const victim = await Http2Client.open(await rig.connect());
  return { rig, client, victim, asked: () => asked };
}

const PATIENT = Number.MAX_SAFE_INTEGER;
const FLOODS: readonly (readonly [string, LimitedName, (n: number) => readonly Uint8Array[]])[] = [
  ['rapid reset', 'HTTP2_RESETS', (n) => [head(2 * n + 1, ask()), frame(TYPE.RST_STREAM, 0, 2 * n + 1, word(8))]],
  [
    'made-you-reset by an empty window update',
    'HTTP2_RESETS',
    (n) => [head(2 * n + 1, ask()), windowUpdate(2 * n + 1, 0)],
  ],
  [
    'made-you-reset by PRIORITY',
    'HTTP2_RESETS',
    (n) => [head(2 * n + 1, ask()), frame(TYPE.PRIORITY, 0, 2 * n + 1, 'x')],
  ],
  ['made-you-reset by a window', 'HTTP2_RESETS', (n) => [head(2 * n + 1, ask()), windowUpdate(2 * n + 1, 0x7fffffff)]],
  ['made-you-reset by content behind the end', 'HTTP2_RESETS', (n) => [head(2 * n + 1, ask()), data(2 * n + 1, 'x')]],
  ['malformed requests', 'HTTP2_RESETS', (n) => [head(2 * n + 1, ask('no slash'))]],
  ['PING', 'HTTP2_CONTROL_FRAMES', () => [frame(TYPE.PING, 0, 0, '12345678')]],
  ['PING answers', 'HTTP2_CONTROL_FRAMES', () => [frame(TYPE.PING, FLAG.ACK, 0, '12345678')]],
  ['SETTINGS', 'HTTP2_CONTROL_FRAMES', () => [settings()]],
  ['SETTINGS answers', 'HTTP2_CONTROL_FRAMES', () => [frame(TYPE.SETTINGS, FLAG.ACK, 0)]],
  ['SETTINGS with much in them', 'HTTP2_CONTROL_FRAMES', () => [settings(Array.from({ length: 100 }, () => [6, 1]))]],
  ['PRIORITY', 'HTTP2_CONTROL_FRAMES', (n) => [frame(TYPE.PRIORITY, 0, 2 * n + 1, '\0\0\0\0\x10')]],
  ['windows in small steps', 'HTTP2_CONTROL_FRAMES', () => [windowUpdate(0, 1)]],
  ['frames that nobody knows', 'HTTP2_CONTROL_FRAMES', () => [frame(0xbe, 0, 0, 'x')]],
  ['GOAWAY', 'HTTP2_CONTROL_FRAMES', () => [frame(TYPE.GOAWAY, 0, 0, '\0\0\0\0\0\0\0\0')]],
  [
    'empty DATA',
    'HTTP2_CONTROL_FRAMES',
    (n) => (n === 0 ? [head(1, ask('/', [], 'POST'), false)] : [frame(TYPE.DATA, 0, 1)]),
  ],
  [
    'DATA that is all padding',
    'HTTP2_CONTROL_FRAMES',
    (n) => (n === 0 ? [head(1, ask('/', [], 'POST'), false)] : [frame(TYPE.DATA, FLAG.PADDED, 1, '\0')]),
  ],
];

for (const [name, limit, frames] of FLOODS) {
  simOnly(
    `flood: ${name}`,
    async (net) => {
      const { rig, client, victim, asked } = await sides(net);
      if (name === 'GOAWAY') await client.send(head(1, ask('/', [], 'POST'), false));
      const ended = flood(client, PATIENT, frames);
      for (let id = 1; id < 20; id += 2) {
        await victim.send(head(id, ask()));
        assert.equal((await victim.outcome(id)).body.toString(), 'served');
      }
      assert.equal(await ended, 'ENHANCE_YOUR_CALM');
      assert.equal(rig.get(limitCell(limit)), 1);
      assert.ok(asked() <= 10 + LIMITS.HTTP2_RESETS + LIMITS.HTTP2_STREAMS, `${asked()} requests reached a backend`);
      victim.peer.close();
      await rig.end();
    },
    { seeds: 1 },
  );
}

simOnly('a section that never ends: empty frames, full ones, one that stops', async (net) => {
  const begin = frame(TYPE.HEADERS, FLAG.END_STREAM, 1, block(ask()));
  for (const [limit, payload] of [
    ['HTTP2_CONTINUATIONS', ''],
    ['HEAD_BYTES', block(Array.from({ length: 160 }, (_, i) => [`x-${i}`, 'y'.repeat(90)]))],
  ] as const) {
    const { rig, client, victim } = await sides(net);
    await client.send(begin);
    assert.equal(await flood(client, PATIENT, () => [frame(TYPE.CONTINUATION, 0, 1, payload)]), 'ENHANCE_YOUR_CALM');
    assert.equal(rig.get(limitCell(limit)), 1);
    victim.peer.close();
    await rig.end();
  }
  const { rig, client, victim } = await sides(net);
  await client.send(begin);
  await net.advance(LIMITS.HEAD_MS + 100);
  assert.equal(await client.ended(), 'ENHANCE_YOUR_CALM');
  assert.equal(rig.get(limitCell('HEAD_MS')), 1);
  victim.peer.close();
  await rig.end();
});

simOnly('a head that expands: it is not kept, and one that stands for more ends the connection', async (net) => {
  const { rig, client, victim } = await sides(net);
  // An entry of nearly the whole table, then its index (62) over and over.
  const entry = Buffer.concat([Buffer.of(0x40), block([['x-bomb', 'b'.repeat(4000)]]).subarray(1)]);
  const bomb = (times: number): Buffer => Buffer.concat([block(ask()), entry, Buffer.alloc(times, 0xbe)]);
  await client.send(frame(TYPE.HEADERS, FLAG.END_STREAM | FLAG.END_HEADERS, 1, bomb(30)));
  assert.equal((await client.outcome(1)).status, 431);
  assert.deepEqual([rig.records.last.limit, rig.records.last.flags], ['HEAD_BYTES', 'DPE']);
  await client.send(head(3, ask()));
  assert.equal((await client.outcome(3)).status, 200);
  await client.send(frame(TYPE.HEADERS, FLAG.END_STREAM | FLAG.END_HEADERS, 5, bomb(9000)));
  assert.equal(await client.ended(), 'ENHANCE_YOUR_CALM');
  assert.equal(rig.get(limitCell('HEAD_BYTES')), 2);
  victim.peer.close();
  await rig.end();
});

simOnly(
  'a head that is too large on the wire is answered 431 by itself: others on its connection go on',
  async (net) => {
    const { rig, client, victim } = await sides(net);
    const large = (n: number): readonly Field[] =>
      Array.from({ length: n }, (_, i): Field => [`x-${i}`, 'y'.repeat(10_000)]);
    await client.send(head(1, ask('/', [], 'POST'), false));
    let id = 3;
    for (const n of [7, 15, 24]) {
      await client.send(head(id, ask('/', large(n))));
      const { status, reset } = await client.outcome(id);
      assert.deepEqual([status, reset], [431, null]);
      assert.deepEqual([rig.records.last.limit, rig.records.last.flags], ['HEAD_BYTES', 'DPE']);
      id += 2;
    }
    // What the client's encoder has put into the table meanwhile counts.
    const entry = Buffer.concat([Buffer.of(0x40), block([['x-known', 'k']]).subarray(1)]);
    const indexed = Buffer.concat([block(ask('/', large(8))), entry]);
    const flags = FLAG.END_STREAM;
    const frames: Buffer[] = [frame(TYPE.HEADERS, flags, id, indexed.subarray(0, 16_384))];
    for (let at = 16_384; at < indexed.length; at += 16_384) {
      const last = at + 16_384 >= indexed.length ? FLAG.END_HEADERS : 0;
      frames.push(frame(TYPE.CONTINUATION, last, id, indexed.subarray(at, at + 16_384)));
    }
    await client.send(...frames);
    assert.equal((await client.outcome(id)).status, 431);
    const known = Buffer.concat([block(ask()), Buffer.of(0xbe)]);
    await client.send(frame(TYPE.HEADERS, flags | FLAG.END_HEADERS, id + 2, known));
    assert.equal((await client.outcome(id + 2)).status, 200);
    // Trailers are part of a request that goes on elsewhere: that one is reset.
    await client.send(head(1, large(7)));
    assert.equal((await client.outcome(1)).reset, 'PROTOCOL_ERROR');
    await client.send(head(id + 4, ask()));
    assert.equal((await client.outcome(id + 4)).body.toString(), 'served');
    victim.peer.close();
    client.peer.close();
    await rig.end();
  },
);

simOnly(
  'a client that reads nothing is not read on and on',
  async (net) => {
    const { rig, client, victim } = await sides(net);
    const many = Buffer.concat(
      Array.from({ length: 200 }, (_, n) =>
        Buffer.concat([head(2 * n + 1, ask()), frame(TYPE.PING, 0, 0, '12345678')]),
      ),
    );
    // Responses fill what the network takes; then nothing more is read, and nothing more is answered.
    await client.send(settings([[4, 1]]));
    const sending = client.peer.send(Buffer.concat(Array.from({ length: 50 }, () => many))).catch(() => {});
    await net.settle();
    await victim.send(head(1, ask()));
    assert.equal((await victim.outcome(1)).status, 200);
    client.peer.reset();
    await sending;
    victim.peer.close();
    await rig.end();
  },
  { seeds: 0 },
);

onBoth('who opens many streams before it can know how many it may is refused, and no attacker', async (net) => {
  const { rig, client: other, victim } = await sides(net);
  const OPENED = 1_000;
  const ids = Array.from({ length: OPENED }, (_, n) => 2 * n + 1);
  const client = new Http2Client(await rig.connect());
  // As clients of gRPC do: heads of all calls, then their messages, and only then they read.
  await client.send(
    Buffer.from(PREFACE),
    settings(),
    ...ids.map((id) => head(id, ask('/', [], 'POST'), false)),
    ...ids.map((id) => data(id, 'message', true)),
  );
  const ends = new Map<string, number>();
  for (const id of ids) {
    const { status, reset } = await client.outcome(id);
    const end = reset ?? String(status);
    ends.set(end, (ends.get(end) ?? 0) + 1);
  }
  assert.equal(client.goaway, null);
  assert.equal(
    [...ends.values()].reduce((sum, n) => sum + n, 0),
    OPENED,
  );
  assert.ok((ends.get('200') ?? 0) >= LIMITS.HTTP2_STREAMS, JSON.stringify([...ends]));
  assert.ok((ends.get('REFUSED_STREAM') ?? 0) > LIMITS.HTTP2_RESETS, JSON.stringify([...ends]));
  // It knows now: what it opens beyond that is its fault.
  const more = 2 * OPENED + 1;
  const held = Array.from({ length: LIMITS.HTTP2_STREAMS }, (_, n) => head(more + 2 * n, ask('/', [], 'POST'), false));
  await client.send(...held);
  const excess = LIMITS.HTTP2_RESETS / 2;
  for (let n = 0; n < excess; n++)
    await client.send(head(more + 2 * (held.length + n), ask('/', [], 'POST'), false)).catch(() => {});
  assert.equal(await client.ended(), 'ENHANCE_YOUR_CALM');
  for (const one of [client, other, victim]) one.peer.close();
  await rig.end();
});

onBoth('more streams than may be open are refused, and may be sent again', async (net) => {
  const { rig, client, victim } = await sides(net);
  for (let n = 0; n < LIMITS.HTTP2_STREAMS; n++) await client.send(head(2 * n + 1, ask('/', [], 'POST'), false));
  const id = 2 * LIMITS.HTTP2_STREAMS + 1;
  await client.send(head(id, ask()));
  assert.equal((await client.outcome(id)).reset, 'REFUSED_STREAM');
  assert.equal(rig.get(limitCell('HTTP2_STREAMS')), 1);
  await client.send(data(1, '', true));
  assert.equal((await client.outcome(1)).status, 200);
  await client.send(head(id + 2, ask()));
  assert.equal((await client.outcome(id + 2)).status, 200);
  await victim.send(head(1, ask()));
  assert.equal((await victim.outcome(1)).status, 200);
  client.peer.close();
  victim.peer.close();
  await rig.end();
});

simOnly(
  'streams that are opened and left end by the time in which nothing moved',
  async (net) => {
    const { rig, client, victim } = await sides(net);
    for (let n = 0; n < 10; n++) await client.send(head(2 * n + 1, ask('/', [], 'POST'), false));
    await net.advance(LIMITS.STREAM_IDLE_MS + 2000);
    for (let n = 0; n < 10; n++) assert.equal((await client.outcome(2 * n + 1)).status, 504);
    assert.equal(rig.get(limitCell('STREAM_IDLE_MS')), 10);
    client.peer.close();
    victim.peer.close();
    await rig.end();
  },
  { seeds: 0 },
);

simOnly(
  'content that was announced comes in time, where the client may send it; streams of unknown length may rest',
  async (net) => {
    const { rig, client, victim } = await sides(net);
    const post = (id: number, more: readonly Field[]): Buffer => head(id, ask('/', more, 'POST'), false);
    await client.send(
      ...[post(1, [['content-length', '5']]), data(1, 'ab')],
      ...[post(3, []), data(3, 'ab')],
      post(5, [
        ['content-length', '5'],
        ['expect', '100-continue'],
      ]),
    );
    await net.advance(LIMITS.BODY_PROGRESS_MS + 1000);
    assert.equal((await client.outcome(1)).status, 408);
    assert.deepEqual([rig.records.all.length, rig.records.last.limit], [1, 'BODY_PROGRESS_MS']);
    await client.send(data(3, '', true), data(5, 'abcde', true));
    assert.equal((await client.outcome(3)).status, 200);
    assert.equal((await client.outcome(5)).status, 200);
    client.peer.close();
    victim.peer.close();
    await rig.end();
  },
  { seeds: 0 },
);

simOnly(
  'windows that stay empty: what waits for them is given up',
  async (net) => {
    const { rig, client, victim } = await sides(net);
    await client.send(settings([[4, 0]]));
    for (let n = 0; n < 10; n++) await client.send(head(2 * n + 1, ask()));
    await net.advance(LIMITS.STREAM_IDLE_MS + 2000);
    for (let n = 0; n < 10; n++) {
      const { status, reset, body } = await client.outcome(2 * n + 1);
      assert.deepEqual([status, reset, body.length], [200, 'CANCEL', 0]);
      assert.deepEqual(rig.records.all.map(({ limit, responseBytes }) => [limit, responseBytes])[n], [
        'STREAM_IDLE_MS',
        0,
      ]);
    }
    client.peer.close();
    victim.peer.close();
    await rig.end();
  },
  { seeds: 0 },
);

simOnly(
  'windows beyond their end, and content beyond a window',
  async (net) => {
    const ends: readonly (readonly [readonly Uint8Array[], string])[] = [
      [[windowUpdate(0, 0x7fffffff)], 'FLOW_CONTROL_ERROR'],
      [[settings([[4, 0x7fffffff]]), head(1, ask('/', [], 'POST'), false), windowUpdate(1, 1)], 'RST'],
      [[head(1, ask('/', [], 'POST'), false), windowUpdate(1, 10), settings([[4, 0x7fffffff]])], 'FLOW_CONTROL_ERROR'],
      [[windowUpdate(0, 0)], 'PROTOCOL_ERROR'],
    ];
    for (const [frames, wanted] of ends) {
      const { rig, client, victim } = await sides(net);
      await client.send(...frames);
      if (wanted === 'RST') assert.equal((await client.outcome(1)).reset, 'FLOW_CONTROL_ERROR');
      else assert.equal(await client.ended(), wanted);
      client.peer.reset();
      victim.peer.close();
      await rig.end();
    }
    // Nobody takes it: the backend reads nothing.
    const left = Promise.withResolvers<void>();
    const rig = new Rig(net, [net.serve(() => left.promise)]);
    const client = await Http2Client.open(await rig.connect());
    const piece = Buffer.alloc(16_384);
    await client.send(head(1, ask('/', [], 'POST'), false));
    const over = client.outcome(1);
    let done = false;
    void over.then(() => {
      done = true;
    });
    for (let sent = 0; !done; sent++) {
      assert.ok(sent < 1000, 'all of it was taken');
      await client.send(data(1, piece));
      await net.settle();
    }
    assert.equal((await over).reset, 'FLOW_CONTROL_ERROR');
    left.resolve();
    client.peer.reset();
    await rig.end();
  },
  { seeds: 0 },
);

simOnly(
  'settings that are not acknowledged, a connection without a preface, one that rests',
  async (net) => {
    const { rig, client, victim } = await sides(net);
    const silent = new Http2Client(await rig.connect());
    silent.acknowledges = false;
    await silent.send(Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), settings());
    const mute = await rig.connect();
    await mute.send('PRI * HTTP/2.0\r\n\r\nSM');
    await net.advance(LIMITS.HTTP2_SETTINGS_MS + 100);
    assert.equal(await silent.ended(), 'SETTINGS_TIMEOUT');
    assert.equal(rig.get(limitCell('HTTP2_SETTINGS_MS')), 1);
    assert.equal(await new Http2Client(mute).ended(), 'ENHANCE_YOUR_CALM');
    await net.advance(LIMITS.IDLE_MS);
    assert.equal(await client.ended(), 'NO_ERROR');
    assert.equal(await victim.ended(), 'NO_ERROR');
    assert.equal(rig.get(limitCell('IDLE_MS')), 2);
    await rig.end();
  },
  { seeds: 1 },
);
