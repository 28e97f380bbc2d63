// Mirrors: copies of requests go to another backend, and nobody waits for them.

import assert from 'node:assert/strict';
import { LIMITS } from '../../src/base/limits.ts';
import type { SocketAddress } from '../../src/io/io.ts';
import type { Filter } from '../../src/ir/ir.ts';
import { CELL } from '../../src/telemetry/layout.ts';
import { onBoth, simOnly, type TestNet } from '../support/net.ts';
import { bodyText, cluster, clusterKey, endpoint, get, ok, Rig, rule } from './rig.ts';

const post = (target: string, content: string): string =>
  `POST ${target} HTTP/1.1\r\nHost: a.example\r\nContent-Length: ${content.length}\r\n\r\n${content}`;
const to = (name: string, share = 1, of = 1): Filter => ({ type: 'mirror', cluster: clusterKey(name), share, of });

/** What a backend that answers got, as `METHOD target body`. */
function witness(net: TestNet, answer = ok('mirrored'), onRequest: () => void = () => {}): [SocketAddress, string[]] {
  const seen: string[] = [];
  const address = net.serve(async (peer) => {
    for (;;) {
      const { method, target, body } = await peer.readMessage();
      seen.push(`${method} ${target} ${body}`);
      onRequest();
      await peer.send(answer);
    }
  });
  return [address, seen];
}

function rigOf(
  net: TestNet,
  app: SocketAddress,
  mirrors: Readonly<Record<string, SocketAddress>>,
  filters: Filter[],
): Rig {
  const clusters = Object.entries(mirrors).map(([name, address]) => cluster(name, [endpoint(address)]));
  return new Rig(net, [app], [rule({ filters }), ...clusters]);
}

onBoth("every request goes to each mirror, too, and its answer is the backend's alone", async (net) => {
  let both = (): void => {};
  const mirrored = new Promise<void>((resolve) => {
    let n = 0;
    both = () => ++n === 4 && resolve();
  });
  const [app] = witness(net, ok('app'));
  const [first, one] = witness(net, 'HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n', both);
  const [second, two] = witness(net, ok('mirrored'), both);
  const rig = rigOf(net, app, { first, second }, [to('first'), to('second')]);
  const client = await rig.connect();
  await client.send(get('/a?b'));
  assert.equal(String((await client.readMessage()).body), 'app');
  await client.send(post('/p', 'content'));
  assert.equal(String((await client.readMessage()).body), 'app');
  await mirrored;
  assert.deepEqual(
    [one, two],
    [
      ['GET /a?b ', 'POST /p content'],
      ['GET /a?b ', 'POST /p content'],
    ],
  );
  assert.equal(rig.cells.get(CELL.MIRRORS_TOTAL), 4);
  client.close();
  await rig.end();
});

onBoth('content in pieces, chunked, is mirrored whole', async (net) => {
  let done = (): void => {};
  const mirrored = new Promise<void>((resolve) => {
    done = resolve;
  });
  const [app] = witness(net, ok('app'));
  const [mirror, seen] = witness(net, ok('mirrored'), () => done());
  const rig = rigOf(net, app, { mirror }, [to('mirror')]);
  const client = await rig.connect();
  const piece = 'x'.repeat(5_000);
  await client.send('POST /c HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n');
  for (let i = 0; i < 4; i++) await client.send(`1388\r\n${piece}\r\n`);
  await client.send('0\r\n\r\n');
  assert.equal(String((await client.readMessage()).body), 'app');
  await mirrored;
  assert.deepEqual(seen, [`POST /c ${piece.repeat(4)}`]);
  client.close();
  await rig.end();
});

onBoth("a mirror that refuses, or answers nonsense, is nobody's trouble", async (net) => {
  const [app] = witness(net, ok('app'));
  for (const mirror of [net.refuse(), witness(net, 'nonsense\r\n\r\n')[0]]) {
    const rig = rigOf(net, app, { mirror }, [to('mirror')]);
    const client = await rig.connect();
    for (let i = 0; i < 3; i++) {
      await client.send(get('/'));
      assert.equal(String((await client.readMessage()).body), 'app');
    }
    client.close();
    await rig.end();
  }
});

onBoth('what is too large to be kept is not mirrored; the request is served', async (net) => {
  const [app] = witness(net, ok('app'));
  const [mirror, seen] = witness(net);
  const rig = rigOf(net, app, { mirror }, [to('mirror')]);
  const client = await rig.connect();
  await client.send(post('/', 'x'.repeat(LIMITS.TAP_BYTES + 1)));
  assert.equal(String((await client.readMessage()).body), 'app');
  assert.deepEqual([seen, rig.cells.get(CELL.MIRRORS_DROPPED_TOTAL)], [[], 1]);
  client.close();
  await rig.end();
});

onBoth('a request that breaks off is not mirrored', async (net) => {
  let came = (): void => {};
  const arrived = new Promise<void>((resolve) => {
    came = resolve;
  });
  const app = net.serve(async (peer) => {
    await peer.readUntil('12345');
    came();
    await peer.read();
  });
  const [mirror, seen] = witness(net);
  const rig = rigOf(net, app, { mirror }, [to('mirror')]);
  const client = await rig.connect();
  await client.send('POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 10\r\n\r\n12345');
  await arrived;
  client.close();
  while (rig.cells.get(CELL.MIRRORS_DROPPED_TOTAL) === 0) await net.settle();
  assert.deepEqual(seen, []);
  await rig.end();
});

simOnly('a share of the requests is mirrored', async (net) => {
  const [app] = witness(net, ok('app'));
  const [mirror, seen] = witness(net);
  const rig = rigOf(net, app, { mirror }, [to('mirror', 1, 4)]);
  const client = await rig.connect();
  for (let i = 0; i < 400; i++) {
    await client.send(get('/'));
    await client.readMessage();
  }
  assert.ok(seen.length > 60 && seen.length < 140, `${seen.length} of 400`);
  client.close();
  await rig.end();
});

simOnly('a mirror that never answers is left when its time is over', async (net) => {
  const [app] = witness(net, ok('app'));
  const mirror = net.serve(async (peer) => {
    await peer.readMessage();
  });
  const rig = rigOf(net, app, { mirror }, [to('mirror')]);
  const client = await rig.connect();
  await client.send(get('/'));
  await client.readMessage();
  await net.advance(LIMITS.MIRROR_MS + 100);
  assert.equal(rig.cells.get(CELL.MIRRORS_FAILED_TOTAL), 1);
  client.close();
  await rig.end();
});

onBoth('a mirror that says interim responses without end is left', async (net) => {
  const [app] = witness(net, ok('app'));
  let left = (): void => {};
  const gone = new Promise<void>((resolve) => {
    left = resolve;
  });
  const flood = net.serve(async (peer) => {
    await peer.readMessage();
    await peer.send('HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(LIMITS.INTERIM_RESPONSES + 1));
    await peer.readAll().catch(() => null);
    left();
  });
  const filters: Filter[] = [{ type: 'mirror', cluster: clusterKey('mirror'), share: 1, of: 1 }];
  const rig = new Rig(net, [app], [rule({ filters }), cluster('mirror', [endpoint(flood)])]);
  const client = await rig.connect();
  await client.send(get());
  assert.equal(bodyText(await client.readMessage()), 'app');
  await gone;
  assert.equal(rig.get(CELL.MIRRORS_FAILED_TOTAL), 1);
  client.close();
  await rig.end();
});
