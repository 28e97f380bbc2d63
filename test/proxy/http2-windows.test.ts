// A long link: 50 ms there and back. Content is not held back by windows of 64 KB, which would be 1.3 MB a second.

import assert from 'node:assert/strict';
import { SETTING } from '../../src/proxy/http2/settings.ts';
import { NO_FAULTS } from '../../src/sim/faults.ts';
import { ask, data, Http2Client, head } from '../support/http2.ts';
import { serveHttp2 } from '../support/http2-backend.ts';
import { plainly } from '../support/net.ts';
import type { SimNet } from '../support/sim-net.ts';
import { cluster, endpoint, get, ok, Rig, rule } from './rig.ts';

const { simOnly } = plainly('over TLS clients agree on the protocol by ALPN');

const SIZE = 100_000_000;
const FRAME = 16_384;
/** What goes over at 64 KB for each round trip takes 76 s; the windows that are granted here allow 20 MB/s. */
const MOST_MS = 7_000;
const LINK = {
  seeds: 1,
  faults: { ...NO_FAULTS, delayMs: [25, 25] as const },
  // TCP's own windows are not what is asked about.
  sim: { sendBufferBytes: 8_000_000, receiveBufferBytes: 8_000_000 },
};

/** Virtual ms that `work` takes. */
async function took(net: SimNet, work: () => Promise<void>): Promise<number> {
  const before = net.sim.network.nowUs;
  await work();
  return (net.sim.network.nowUs - before) / 1000;
}

simOnly(
  'an upload of a client',
  async (net) => {
    const app = net.serve(async (peer) => {
      const { body } = await peer.readMessage();
      await peer.send(ok(String(body.length)));
    });
    const rig = new Rig(net, [app]);
    const client = await Http2Client.open(await rig.connect());
    const ms = await took(net, async () => {
      await client.send(head(1, ask('/', [['content-length', String(SIZE)]], 'POST'), false));
      let window = client.settings.get(SETTING.INITIAL_WINDOW_SIZE) ?? 65_535;
      let all = 65_535;
      for (let sent = 0; sent < SIZE; ) {
        const n = Math.min(FRAME, SIZE - sent, window, all);
        if (n > 0) {
          await client.send(data(1, Buffer.alloc(n), sent + n === SIZE));
          sent += n;
          window -= n;
          all -= n;
          continue;
        }
        await client.read();
        for (const { stream, bytes } of client.granted.splice(0)) {
          if (stream === 0) all += bytes;
          else window += bytes;
        }
      }
      assert.equal((await client.outcome(1)).body.toString(), String(SIZE));
    });
    assert.ok(ms < MOST_MS, `${ms} ms`);
    client.peer.close();
    await rig.end();
  },
  LINK,
);

simOnly(
  'a download from a backend',
  async (net) => {
    const app = serveHttp2(net, async (asked) => {
      await asked.head([[':status', '200']]);
      await asked.data(Buffer.alloc(SIZE, 'd'), true);
    });
    const entries = [rule({ to: ['h2'] }), cluster('h2', [endpoint(app.address)], { protocol: 'http2' })];
    const rig = new Rig(net, [], entries);
    const client = await rig.connect();
    const ms = await took(net, async () => {
      await client.send(get('/'));
      assert.equal((await client.readMessage()).body.length, SIZE);
    });
    assert.ok(ms < MOST_MS, `${ms} ms`);
    client.close();
    await rig.end();
  },
  LINK,
);
