// Both windows of a connection are whole again, whatever became of the streams whose content was counted in them (RFC
// 9113 sections 5.1 and 6.9): who lost some with each stream that is refused would hold all others up in the end.

import assert from 'node:assert/strict';
import { LIMITS } from '../../src/base/limits.ts';
import { TYPE } from '../../src/proxy/http2/frames.ts';
import { SETTING } from '../../src/proxy/http2/settings.ts';
import { ask, data, frame, Http2Client, head } from '../support/http2.ts';
import { type Asked, serveHttp2 } from '../support/http2-backend.ts';
import { plainly, type TestNet } from '../support/net.ts';
import { answering, cluster, endpoint, ok, Rig, rule } from './rig.ts';

const { onBoth } = plainly('what is above TLS is the same');

const PIECE = Buffer.alloc(16_384, 'p');
/** More than a connection's window, a frame of each stream. */
const STREAMS = LIMITS.HTTP2_CONNECTION_WINDOW_BYTES / PIECE.length + 8;
/** More than networks and windows hold. */
const ENDLESS = 100_000_000;
const ROUNDS = 20;
const LARGE = Buffer.alloc(300_000, 'l');

/** What a backend says that is no response, with a frame of content. */
const FAULTS: Readonly<Record<string, (asked: Asked) => Promise<void>>> = {
  'more than was announced': async (asked) => {
    await asked.head([
      [':status', '200'],
      ['content-length', '3'],
    ]);
    await asked.data(PIECE);
  },
  'content in front of a head': (asked) => asked.data(PIECE),
  'content of 204': async (asked) => {
    await asked.head([[':status', '204']]);
    await asked.data(PIECE);
  },
  'less than was announced': async (asked) => {
    await asked.head([
      [':status', '200'],
      ['content-length', '20000'],
    ]);
    await asked.data(PIECE, true);
  },
};

function proxy(net: TestNet, onRequest: (asked: Asked) => Promise<void> | void) {
  const app = serveHttp2(net, onRequest, { settings: [[SETTING.MAX_CONCURRENT_STREAMS, 1000]] });
  const entries = [rule({ to: ['h2'] }), cluster('h2', [endpoint(app.address)], { protocol: 'http2' })];
  return { app, rig: new Rig(net, [], entries) };
}

for (const [name, says] of Object.entries(FAULTS)) {
  onBoth(`a backend's connection, of whose streams many are refused: ${name}`, async (net) => {
    const { app, rig } = proxy(net, async (asked) => {
      if (asked.path !== '/') await says(asked);
      else await asked.respond();
    });
    const client = await Http2Client.open(await rig.connect());
    let id = 1;
    for (let n = 0; n < STREAMS; n++, id += 2) {
      await client.send(head(id, ask('/bad')));
      const { status, reset } = await client.outcome(id);
      assert.ok(status === 502 || reset !== null, `${status}`);
    }
    assert.equal(app.connections.length, 1);
    await client.send(head(id, ask('/')));
    assert.equal((await client.outcome(id)).status, 200);
    // All of the window may be on its way at once.
    const [connection] = app.connections;
    await net.settle();
    assert.ok((connection?.window ?? 0) > LIMITS.HTTP2_CONNECTION_WINDOW_BYTES / 2, `${connection?.window}`);
    client.peer.close();
    await rig.end();
  });
}

onBoth("a client's connection, of whose streams many are refused", async (net) => {
  const app = answering(net, ({ body }) => ok(String(body.length)));
  const rig = new Rig(net, [app]);
  const client = await Http2Client.open(await rig.connect());
  let id = 1;
  for (let n = 0; n < STREAMS; n++, id += 2) {
    await client.send(head(id, ask('/', [['content-length', '3']], 'POST'), false), data(id, PIECE));
    assert.equal((await client.outcome(id)).reset, 'PROTOCOL_ERROR');
  }
  // Of the connection, and of the stream.
  let all = 65_535 - STREAMS * PIECE.length;
  let own = client.settings.get(SETTING.INITIAL_WINDOW_SIZE) ?? 65_535;
  await client.send(head(id, ask('/', [], 'POST'), false));
  for (let at = 0; at < LARGE.length; ) {
    for (const { stream, bytes } of client.granted.splice(0)) {
      if (stream === 0) all += bytes;
      else if (stream === id) own += bytes;
    }
    const n = Math.min(PIECE.length, LARGE.length - at, all, own);
    if (n > 0) {
      await client.send(data(id, LARGE.subarray(at, at + n)));
      at += n;
      all -= n;
      own -= n;
    } else await client.read();
  }
  await client.send(data(id, '', true));
  assert.equal((await client.outcome(id)).body.toString(), String(LARGE.length));
  client.peer.close();
  await rig.end();
});

/** What a client may still send, by what it was told. */
class Windows {
  readonly #client: Http2Client;
  readonly #own = new Map<number, number>();
  connection = 65_535;

  constructor(client: Http2Client) {
    this.#client = client;
  }

  #note(): void {
    for (const { stream, bytes } of this.#client.granted.splice(0)) {
      if (stream === 0) this.connection += bytes;
      else this.#own.set(stream, this.of(stream) + bytes);
    }
  }

  of(stream: number): number {
    return this.#own.get(stream) ?? this.#client.settings.get(SETTING.INITIAL_WINDOW_SIZE) ?? 65_535;
  }

  /** Reads what the proxy says for as long as it says something: an answered PING stands behind what it had to say. */
  async #listen(net: TestNet): Promise<void> {
    for (let n = 0; n < ROUNDS && this.#client.granted.length === 0; n++) {
      await net.settle();
      await this.#client.send(frame(TYPE.PING, 0, 0, Buffer.alloc(8)));
      await this.#client.until(TYPE.PING);
    }
  }

  /** Sends up to `bytes` of content of `stream`, as far as windows go without anybody saying more. */
  async send(net: TestNet, stream: number, bytes: number): Promise<number> {
    let sent = 0;
    while (sent < bytes) {
      this.#note();
      const n = Math.min(PIECE.length, bytes - sent, this.connection, this.of(stream));
      if (n > 0) {
        await this.#client.send(data(stream, PIECE.subarray(0, n)));
        sent += n;
        this.connection -= n;
        this.#own.set(stream, this.of(stream) - n);
        continue;
      }
      await this.#listen(net);
      if (this.#client.granted.length === 0) break;
    }
    return sent;
  }
}

/** A backend that reads so much of each request, and no more until `over`. */
function stuckAfter(net: TestNet, bytes: number, over: Promise<void>) {
  return net.serve(async (peer) => {
    for (let read = 0; read < bytes; ) read += (await peer.read())?.length ?? bytes;
    await over;
  });
}

for (const taken of [1, 4_000_000]) {
  onBoth(`uploads that stand still leave the connection's window to others, after ${taken} bytes`, async (net) => {
    const over = Promise.withResolvers<void>();
    const rig = new Rig(net, [stuckAfter(net, taken, over.promise)]);
    const client = await Http2Client.open(await rig.connect());
    const windows = new Windows(client);
    const left: number[] = [];
    for (const id of [1, 3, 5]) {
      await client.send(head(id, ask('/', [], 'POST'), false));
      left.push(ENDLESS - (await windows.send(net, id, ENDLESS)), windows.of(id));
    }
    over.resolve();
    client.peer.close();
    await rig.end();
    for (let n = 0; n < left.length; n += 2) {
      assert.ok((left[n] as number) > 0, 'it stands still');
      assert.equal(left[n + 1], 0, 'all of its own window is used');
    }
    assert.ok(windows.connection > LIMITS.HTTP2_CONNECTION_WINDOW_BYTES / 2, `${windows.connection}`);
  });
}
