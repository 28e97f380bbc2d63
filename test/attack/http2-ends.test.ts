// When a client of HTTP/2 says that its request ends: between two attempts, while it waits for a backend, behind what
// is too much. No worker may stumble over it.

import assert from 'node:assert/strict';
import { bodyText, cluster, endpoint, ok, Rig, rule } from '../proxy/rig.ts';
import { ask, data, Http2Client, head, windowUpdate } from '../support/http2.ts';
import { serveHttp2 } from '../support/http2-backend.ts';
import { plainly } from '../support/net.ts';

const { onBoth } = plainly('over TLS the protocol is agreed on by ALPN');
const BUSY = 'HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n';

onBoth('an end that comes between two attempts goes with the next one, with trailers and without', async (net) => {
  for (const trailers of [false, true]) {
    const seen: string[] = [];
    let attempts = 0;
    const busy = Promise.withResolvers<void>();
    const backend = net.serve(async (peer) => {
      for (;;) {
        if (++attempts === 1) {
          await peer.readHead();
          await peer.send(BUSY);
          busy.resolve();
          return;
        }
        const request = await peer.readMessage().catch(() => null);
        if (request === null) return;
        seen.push(`${bodyText(request)} ${[...request.trailers].join()}`);
        await peer.send(ok('fine'));
      }
    });
    const retry = { attempts: 1, codes: [503], backoffMs: 50 };
    const rig = new Rig(net, [backend], [rule({ retry })]);
    const client = await Http2Client.open(await rig.connect());
    await client.send(head(1, ask('/', [], 'PUT'), false), data(1, 'content'));
    await busy.promise;
    await net.settle();
    await client.send(trailers ? head(1, [['x-sum', '7']]) : data(1, '', true));
    await net.settle();
    const [{ status, body }] = await Promise.all([client.outcome(1), net.advance(200)]);
    assert.deepEqual([status, body.toString()], [200, 'fine']);
    assert.deepEqual(seen, [`content ${trailers ? 'x-sum,7' : ''}`]);
    client.peer.close();
    await rig.end();
    assert.equal(rig.records.last.attempts, 2);
  }
});

onBoth('more content than a rule admits, all of it here before its backend is: 413, and others go on', async (net) => {
  const { address } = serveHttp2(net, async (asked) => {
    await asked.end();
    if (asked.reset === null) await asked.respond('fine');
  });
  const limited = rule({ filters: [{ type: 'contentLimit', bytes: 10 }] });
  const rig = new Rig(net, [], [limited, cluster('app', [endpoint(address)], { protocol: 'http2' })]);
  // It takes no content of the answer at first.
  const client = await Http2Client.open(await rig.connect(), [[4, 0]]);
  for (const [id, content] of [
    [1, 'x'.repeat(40)],
    [3, 'x'.repeat(10)],
    [5, 'x'.repeat(11)],
  ] as const) {
    await client.send(head(id, ask('/', [], 'PUT'), false), data(id, content, true));
    await net.settle();
    await client.send(windowUpdate(id, 100));
    assert.equal((await client.outcome(id)).status, content.length > 10 ? 413 : 200, `${id}`);
  }
  client.peer.close();
  await rig.end();
});
