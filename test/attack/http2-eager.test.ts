// Peers of HTTP/2 that do nothing wrong, but much of it: what they say in return for what they get is no flood, and
// what one client had thrown away costs no other its connection to a backend.

import assert from 'node:assert/strict';
import { LIMITS } from '../../src/base/limits.ts';
import { CODE, TYPE } from '../../src/proxy/http2/frames.ts';
import { SETTING } from '../../src/proxy/http2/settings.ts';
import { limitCell } from '../../src/telemetry/layout.ts';
import { answering, bodyText, cluster, endpoint, Rig, rule } from '../proxy/rig.ts';
import { ask, data, frame, Http2Client, head, windowUpdate, word } from '../support/http2.ts';
import { type Asked, type BackendOptions, type Http2Backend, serveHttp2 } from '../support/http2-backend.ts';
import { plainly, type TestNet } from '../support/net.ts';

const { simOnly } = plainly('what is above TLS is the same');
const PING = frame(TYPE.PING, 0, 0, '12345678');
const MANY = LIMITS.HTTP2_CONTROL_FRAMES;

function proxy(
  net: TestNet,
  onRequest: (asked: Asked) => Promise<void> | void,
  options: BackendOptions | ((connection: number) => BackendOptions) = {},
): { app: Http2Backend; rig: Rig } {
  const app = serveHttp2(net, onRequest, options);
  const entries = [
    rule({ to: ['h2'], requestTimeoutMs: 0 }),
    cluster('h2', [endpoint(app.address)], { protocol: 'http2' }),
  ];
  return { app, rig: new Rig(net, [], entries) };
}

simOnly(
  'a client that opens its windows, and asks how far away we are, for each frame of content',
  async (net) => {
    const { rig } = proxy(net, async (asked) => {
      await asked.head([[':status', '200']]);
      for (let n = 0; n < MANY; n++) await asked.data('x');
      await asked.data('', true);
    });
    const client = await Http2Client.open(await rig.connect());
    await client.send(head(1, ask()));
    while (client.body(1).length < MANY) {
      const { type } = await client.read();
      if (type === TYPE.DATA) await client.send(PING);
    }
    const { reset, body } = await client.outcome(1);
    assert.deepEqual([reset, body.length], [null, MANY]);
    assert.equal(rig.get(limitCell('HTTP2_CONTROL_FRAMES')), 0);
    client.peer.close();
    await rig.end();
  },
  { seeds: 0 },
);

simOnly(
  'a backend that asks how far away we are for each frame of content',
  async (net) => {
    const { app, rig } = proxy(net, async (asked) => {
      for (let had = 0; !asked.whole; had = asked.body.length) {
        await asked.until(() => asked.whole || asked.body.length > had);
        for (let n = had; n < asked.body.length; n++) await asked.connection.send(PING);
      }
      await asked.respond('took it');
    });
    const client = await Http2Client.open(await rig.connect());
    await client.send(head(1, ask('/', [], 'POST'), false));
    for (let n = 0; n < MANY; n += 64) {
      await client.send(...Array.from({ length: 64 }, () => data(1, 'x')));
      await net.settle();
    }
    await client.send(data(1, '', true));
    assert.deepEqual([(await client.outcome(1)).status, app.connections.length], [200, 1]);
    client.peer.close();
    await rig.end();
  },
  { seeds: 0 },
);

simOnly(
  'windows byte by byte earn nothing',
  async (net) => {
    const { rig } = proxy(net, (asked) => asked.respond('x'.repeat(20_000)));
    const client = await Http2Client.open(await rig.connect(), [[SETTING.INITIAL_WINDOW_SIZE, 0]]);
    client.grants = false;
    await client.send(head(1, ask()));
    const sending = (async (): Promise<void> => {
      for (let n = 0; n < 2 * MANY; n += 64) {
        await client.send(...Array.from({ length: 64 }, () => windowUpdate(1, 1)));
        await net.settle();
      }
    })().catch(() => {});
    assert.equal(await client.ended(), 'ENHANCE_YOUR_CALM');
    await sending;
    await rig.end();
  },
  { seeds: 0 },
);

simOnly(
  'content of hundreds of streams that were thrown away, on its way still: others on the connection go on',
  async (net) => {
    const left: Asked[] = [];
    const all = Promise.withResolvers<void>();
    const { app, rig } = proxy(net, async (asked) => {
      if (asked.path === '/left') {
        await asked.head([[':status', '200']]);
        left.push(asked);
        return;
      }
      await asked.head([[':status', '200']]);
      await all.promise;
      // What it sent before it knew.
      for (const one of left) await asked.connection.send(data(one.id, 'x'.repeat(100)));
      await asked.data('still here', true);
    });
    const victim = await Http2Client.open(await rig.connect());
    await victim.send(head(1, ask()));
    for (let n = 0; n < 4; n++) {
      const client = await Http2Client.open(await rig.connect());
      for (let id = 1; id < 200; id += 2) {
        const before = left.length;
        await client.send(head(id, ask('/left')));
        while (left.length === before) await net.settle();
        await client.send(frame(TYPE.RST_STREAM, 0, id, word(CODE.CANCEL)));
        await net.settle();
      }
      client.peer.close();
    }
    all.resolve();
    const { status, body, reset } = await victim.outcome(1);
    assert.deepEqual([status, body.toString(), reset], [200, 'still here', null]);
    assert.equal(app.connections.length, 1);
    victim.peer.close();
    await rig.end();
  },
  { seeds: 0 },
);

simOnly(
  'a backend that takes no streams is asked once an attempt, and another endpoint has the request',
  async (net) => {
    const none = [[SETTING.MAX_CONCURRENT_STREAMS, 0]] as const;
    const { app, rig } = proxy(net, () => {}, { settings: none });
    const client = await Http2Client.open(await rig.connect());
    for (let id = 1; id < 40; id += 2) await client.send(head(id, ask()));
    for (let id = 1; id < 40; id += 2) assert.equal((await client.outcome(id)).status, 503);
    assert.ok(app.connections.length <= LIMITS.UPSTREAM_ATTEMPTS * 20, `${app.connections.length} connections`);
    const other = serveHttp2(net, (asked) => asked.respond('other'));
    rig.apply({
      upserts: [cluster('h2', [endpoint(app.address), endpoint(other.address)], { protocol: 'http2' })],
      removals: [],
    });
    for (let id = 41; id < 60; id += 2) {
      await client.send(head(id, ask()));
      assert.equal((await client.outcome(id)).body.toString(), 'other');
    }
    client.peer.close();
    await rig.end();
  },
  { seeds: 0 },
);

simOnly(
  'a server of gRPC that ends who asks for a sign of life too often: a call that rests for an hour',
  async (net) => {
    const calls: Asked[] = [];
    const { app, rig } = proxy(net, async (asked) => {
      calls.push(asked);
      if (asked.path === '/rests') await asked.head([[':status', '200']]);
      if (asked.path === '/answered') await asked.respond('ok');
    });
    const client = await Http2Client.open(await rig.connect());
    let id = -1;
    const begin = async (path: string): Promise<number> => {
      id += 2;
      await client.send(head(id, ask(path)));
      await net.settle();
      return id;
    };
    const rests = await begin('/rests');
    const [connection] = app.connections;
    assert.ok(connection !== undefined);
    /** PINGs in so many minutes, looked at each of them. */
    const asked = async (minutes: number, each: () => Promise<unknown> = async () => {}): Promise<number[]> => {
      const counts: number[] = [];
      for (let m = 0; m < minutes; m++) {
        const before = connection.pings;
        await each();
        await net.advance(60_000);
        counts.push(connection.pings - before);
      }
      return counts;
    };
    // Nothing in between: once, and then each five minutes and a little more.
    const quiet = await asked(60);
    assert.equal(quiet[0], 1);
    assert.ok(quiet.reduce((all, n) => all + n) <= 12, quiet.join());
    // Something of a response each time: nothing is counted against us.
    assert.deepEqual(await asked(3, () => (calls[0] as Asked).data('x')), [1, 1, 1]);
    assert.deepEqual(await asked(3, () => begin('/answered')), [1, 1, 1]);
    // Requests without an answer: twice, since the third would be one too many.
    const opened = await asked(4, () => begin('/waits'));
    assert.ok(opened.reduce((all, n) => all + n) <= 2, opened.join());
    await (calls[0] as Asked).data('y', true);
    assert.deepEqual([(await client.outcome(rests)).body.toString(), app.connections.length], ['xxxy', 1]);
    client.peer.close();
    await rig.end();
  },
  { seeds: 0 },
);

simOnly(
  'trailers of which none may go on are no section: browsers take an empty one for a fault',
  async (net) => {
    const cut = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nSet-Cookie: a=b\r\n\r\n';
    const rig = new Rig(net, [answering(net, () => cut)]);
    const client = await Http2Client.open(await rig.connect());
    await client.send(head(1, ask()));
    const { body, trailers } = await client.outcome(1);
    assert.deepEqual([body.toString(), trailers], ['ok', null]);
    client.peer.close();
    await rig.end();
    const other = proxy(net, async (asked) => {
      await asked.end();
      await asked.respond(`${asked.content} ${asked.trailers === null}`);
    });
    const old = await other.rig.connect();
    await old.send('POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n');
    await old.send('2\r\nab\r\n0\r\nAuthorization: x\r\n\r\n');
    assert.equal(bodyText(await old.readMessage()), 'ab true');
    old.close();
    await other.rig.end();
  },
  { seeds: 1 },
);

simOnly(
  'a client that gives up calls whose time is over, hundreds of them',
  async (net) => {
    const { rig } = proxy(net, (asked) => (asked.path === '/now' ? asked.respond('ok') : undefined));
    const client = await Http2Client.open(await rig.connect());
    const given = (rounds: number, ms: number, first: number): Promise<void> =>
      (async (): Promise<void> => {
        for (let id = first, round = 0; round < rounds; round++) {
          const ids = Array.from({ length: 100 }, (_, i) => id + 2 * i);
          await client.send(...ids.map((one) => head(one, ask('/waits'))));
          await net.advance(ms);
          await client.send(...ids.map((one) => frame(TYPE.RST_STREAM, 0, one, word(CODE.CANCEL))));
          id += 200;
        }
      })();
    await given(10, LIMITS.HTTP2_RAPID_MS, 1);
    await client.send(head(5001, ask('/now')));
    assert.equal((await client.outcome(5001)).status, 200);
    assert.equal(rig.get(limitCell('HTTP2_RESETS')), 0);
    // Those that nobody waited for are a flood as ever.
    await given(10, 10, 6001).catch(() => {});
    assert.equal(await client.ended(), 'ENHANCE_YOUR_CALM');
    await rig.end();
  },
  { seeds: 0 },
);
