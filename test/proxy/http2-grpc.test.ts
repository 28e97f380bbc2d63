// gRPC through the proxy: calls of all four kinds, deadlines, and answers as a status (RFC 9113; PROTOCOL-HTTP2 of
// gRPC).

import assert from 'node:assert/strict';
import { LIMITS } from '../../src/base/limits.ts';
import { CODE } from '../../src/proxy/http2/frames.ts';
import type { Field } from '../support/hpack.ts';
import { ask, data, Http2Client, head } from '../support/http2.ts';
import { type Asked, serveHttp2 } from '../support/http2-backend.ts';
import { plainly, type TestNet } from '../support/net.ts';
import { cluster, endpoint, Rig, type RuleOptions, rule } from './rig.ts';

const { onBoth } = plainly('over TLS clients agree on the protocol by ALPN');

const HEAD: readonly Field[] = [
  [':status', '200'],
  ['content-type', 'application/grpc'],
];

function call(method: string, more: readonly Field[] = []): readonly Field[] {
  return ask(`/pkg.Echo/${method}`, [['content-type', 'application/grpc+proto'], ['te', 'trailers'], ...more], 'POST');
}

/** A message with its prefix: not compressed, and its length. */
function message(text: string): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(text.length, 1);
  return Buffer.concat([prefix, Buffer.from(text)]);
}

function messages(bytes: Buffer): string[] {
  const out: string[] = [];
  for (let at = 0; at + 5 <= bytes.length; ) {
    const end = at + 5 + bytes.readUInt32BE(at + 1);
    if (end > bytes.length) break;
    out.push(bytes.toString('latin1', at + 5, end));
    at = end;
  }
  return out;
}

function proxy(net: TestNet, onCall: (asked: Asked) => Promise<void> | void, options: RuleOptions = {}): Rig {
  const app = serveHttp2(net, onCall);
  const entry = rule({ to: ['grpc'], ...options });
  return new Rig(net, [], [entry, cluster('grpc', [endpoint(app.address)], { protocol: 'http2' })]);
}

/**
 * The deadline that a call gives itself, in ms, and in its head. On the real network its server has to have it, and
 * answer where it does, before that.
 */
function limit(net: TestNet): { ms: number; fields: readonly Field[] } {
  const ms = net.kind === 'native' ? 2_000 : 50;
  return { ms, fields: [['grpc-timeout', `${ms}m`]] };
}

async function ended(asked: Asked, status: string): Promise<void> {
  await asked.head([['grpc-status', status]], true);
}

onBoth('the four kinds of calls', async (net) => {
  const rig = proxy(net, async (asked) => {
    await asked.head(HEAD);
    const all = (): string[] => messages(Buffer.concat(asked.body));
    const kind = asked.path.split('/')[2];
    if (kind === 'Server') {
      await asked.end();
      for (let i = 0; i < 10; i++) await asked.data(message(`${all()[0]} ${i}`));
    } else if (kind === 'Both') {
      for (let i = 0; i < 10; i++) {
        await asked.until(() => all().length > i);
        await asked.data(message(`back ${all()[i]}`));
      }
    }
    await asked.end();
    if (kind === 'Unary' || kind === 'Client') await asked.data(message(all().join('+')));
    await ended(asked, '0');
  });
  const client = await Http2Client.open(await rig.connect());
  await client.send(head(1, call('Unary'), false), data(1, message('one'), true));
  await client.send(head(3, call('Server'), false), data(3, message('go'), true));
  await client.send(head(5, call('Client'), false));
  for (const text of ['a', 'b', 'c']) await client.send(data(5, message(text)));
  await client.send(data(5, '', true));
  await client.send(head(7, call('Both'), false));
  for (let i = 0; i < 10; i++) {
    await client.send(data(7, message(`${i}`)));
    while (messages(client.body(7)).length <= i) await client.read();
  }
  await client.send(data(7, '', true));
  const found = [];
  for (const id of [1, 3, 5, 7]) {
    const { body, trailers, status } = await client.outcome(id);
    assert.deepEqual([status, trailers?.get('grpc-status')], [200, '0']);
    found.push(messages(body));
  }
  const ten = Array.from({ length: 10 }, (_, i) => i);
  assert.deepEqual(found, [['one'], ten.map((i) => `go ${i}`), ['a+b+c'], ten.map((i) => `back ${i}`)]);
  client.peer.close();
  await rig.end();
  assert.deepEqual(
    rig.records.all.map(({ grpcStatus }) => grpcStatus),
    [0, 0, 0, 0],
  );
});

onBoth("a status in the head is the call's, and is logged", async (net) => {
  const rig = proxy(net, (asked) => asked.head([...HEAD, ['grpc-status', '7'], ['grpc-message', 'no']], true));
  const client = await Http2Client.open(await rig.connect());
  await client.send(head(1, call('Denied')));
  const { fields, trailers, body } = await client.outcome(1);
  assert.deepEqual(
    [fields.get('grpc-status'), fields.get('grpc-message'), trailers, body.length],
    ['7', 'no', null, 0],
  );
  assert.equal(rig.records.last.grpcStatus, 7);
  client.peer.close();
  await rig.end();
});

/** What a call gets, and what is logged of it. */
async function answered(rig: Rig, fields: readonly Field[]): Promise<readonly unknown[]> {
  const client = await Http2Client.open(await rig.connect());
  await client.send(head(1, fields, false), data(1, message('x'), true));
  const { status, fields: got, trailers, body } = await client.outcome(1);
  assert.deepEqual([trailers, body.length, got.get('content-type')], [null, 0, 'application/grpc']);
  client.peer.close();
  await rig.end();
  const { last } = rig.records;
  assert.deepEqual([last.status, `${last.grpcStatus}`], [200, got.get('grpc-status')]);
  return [status, got.get('grpc-status'), got.get('grpc-message'), last.flags];
}

onBoth('what the proxy answers itself is a status in the head', async (net) => {
  assert.deepEqual(
    await answered(
      proxy(net, () => {}, { path: '/elsewhere' }),
      call('Unary'),
    ),
    [200, '12', 'no route', 'NR'],
  );
  assert.deepEqual(
    await answered(
      proxy(net, (asked) => asked.refuse(CODE.INTERNAL_ERROR)),
      call('Unary'),
    ),
    [200, '14', 'upstream closed the connection', 'UC'],
  );
  const forbidden = proxy(net, () => {}, { action: { type: 'respond', status: 403 } });
  assert.deepEqual(await answered(forbidden, call('Unary')), [200, '7', 'forbidden', '']);
});

onBoth('grpc-timeout is a deadline: the backend is told, the client gets 4', async (net) => {
  const requests: Asked[] = [];
  const rig = proxy(net, async (asked) => {
    requests.push(asked);
    await asked.end();
  });
  const client = await Http2Client.open(await rig.connect());
  const { ms, fields: limited } = limit(net);
  await client.send(head(1, call('Slow', limited)));
  await net.advance(ms + 150);
  const { fields } = await client.outcome(1);
  assert.deepEqual([fields.get('grpc-status'), fields.get('grpc-message')], ['4', 'deadline exceeded']);
  assert.equal(requests[0]?.fields.get('grpc-timeout'), `${ms}m`);
  await requests[0]?.until(() => requests[0]?.reset !== null);
  assert.equal(requests[0]?.reset, 'CANCEL');
  assert.deepEqual([rig.records.last.flags, rig.records.last.grpcStatus], ['UT', 4]);
  client.peer.close();
  await rig.end();
});

onBoth('a call that is being answered is left to its ends past its deadline, and then reset', async (net) => {
  const requests: Asked[] = [];
  const rig = proxy(net, async (asked) => {
    requests.push(asked);
    await asked.head(HEAD);
    await asked.data(message('first'));
  });
  const client = await Http2Client.open(await rig.connect());
  const { ms, fields } = limit(net);
  await client.send(head(1, call('Told', fields)));
  await client.send(head(3, call('Silent', fields)));
  await net.advance(ms + 50);
  await requests[0]?.until(() => requests.length === 2);
  // Its server says so itself, somewhat late.
  await requests[0]?.head([['grpc-status', '4']], true);
  const told = await client.outcome(1);
  assert.deepEqual([told.reset, told.trailers?.get('grpc-status')], [null, '4']);
  await net.advance(1100);
  assert.equal((await client.outcome(3)).reset, 'CANCEL');
  await requests[1]?.until(() => requests[1]?.reset !== null);
  assert.equal(requests[1]?.reset, 'CANCEL');
  assert.equal(rig.records.last.flags, 'UT');
  assert.ok(
    rig.records.last.durationUs >= (ms + LIMITS.GRPC_DEADLINE_GRACE_MS) * 1000,
    String(rig.records.last.durationUs),
  );
  client.peer.close();
  await rig.end();
});

onBoth("past a call's own deadline its rule's still holds", async (net) => {
  const { ms, fields } = limit(net);
  const rig = proxy(net, async (asked) => asked.head(HEAD), { requestTimeoutMs: ms + 150 });
  const client = await Http2Client.open(await rig.connect());
  await client.send(head(1, call('Silent', fields)));
  await net.advance(ms + 200);
  assert.equal((await client.outcome(1)).reset, 'CANCEL');
  const { flags, durationUs } = rig.records.last;
  assert.deepEqual([flags, durationUs >= (ms + 150) * 1000], ['UT', true]);
  client.peer.close();
  await rig.end();
});

onBoth('what is no call is answered as ever', async (net) => {
  const rig = proxy(net, () => {}, { path: '/elsewhere' });
  const client = await Http2Client.open(await rig.connect());
  for (const [id, type] of [
    [1, 'application/json'],
    [3, 'application/grpc-web+proto'],
    [5, 'application/grpcx'],
  ] as const) {
    await client.send(head(id, ask('/', [['content-type', type]], 'POST')));
    assert.equal((await client.outcome(id)).status, 404, type);
  }
  assert.equal(rig.records.last.grpcStatus, -1);
  client.peer.close();
  await rig.end();
});
