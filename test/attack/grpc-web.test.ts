// Calls of gRPC-Web that are cut, padded or answered so that the translation could say a false end: of the call to the
// backend, or of its answer to the client.

import assert from 'node:assert/strict';
import { answering, bodyText, cluster, endpoint, get, ok, Rig, rule } from '../proxy/rig.ts';
import { serveHttp2 } from '../support/http2-backend.ts';
import { onBoth, type TestNet } from '../support/net.ts';

const TYPE = 'application/grpc-web-text';

/** In front of a backend of HTTP/1.1 that answers 'app', with what it was sent. */
function plain(net: TestNet, answer: () => string = () => ok('app')): { rig: Rig; seen: string[] } {
  const seen: string[] = [];
  const app = answering(net, (request) => {
    seen.push(`${request.method} ${request.target} ${bodyText(request)}`);
    return answer();
  });
  return { rig: new Rig(net, [app], [rule({ filters: [{ type: 'grpcWeb' }] })]), seen };
}

function head(more: string, type = TYPE): string {
  return `POST /pkg.Echo/Unary HTTP/1.1\r\nHost: a.example\r\nContent-Type: ${type}\r\n${more}\r\n`;
}

onBoth('a digit of Base64 that comes alone is no end of the call to a backend of HTTP/1.1', async (net) => {
  const { rig, seen } = plain(net);
  const client = await rig.connect();
  const text = Buffer.from('hello, world').toString('base64');
  await client.send(head('Transfer-Encoding: chunked\r\n'));
  for (const digit of text) {
    await client.send(`1\r\n${digit}\r\n`);
    await net.settle();
  }
  await client.send('0\r\n\r\n');
  await client.readMessage();
  await client.send(get('/next'));
  await client.readMessage();
  assert.deepEqual(seen, ['POST /pkg.Echo/Unary hello, world', 'GET /next ']);
  client.close();
  await rig.end();
});

onBoth('text that is cut is a call that failed, and never one that is shorter', async (net) => {
  for (const cut of ['AAAAA', 'AAAAAA', 'AAAAAAA', 'AAAAAA=', 'AAAAA===', 'AA=A', 'AA=AAA==', '=', 'AAAA=', 'A===']) {
    const { rig, seen } = plain(net);
    const client = await rig.connect();
    await client.send(head(`Content-Length: ${cut.length}\r\n`) + cut);
    const answer = await client.readMessage();
    assert.deepEqual([cut, answer.headers.get('grpc-status')], [cut, ['13']]);
    assert.deepEqual(seen, []);
    client.close();
    await rig.end();
  }
});

onBoth('an answer that has no content gets none: nothing of it is read as the next one', async (net) => {
  const answers = [
    'HTTP/1.1 204 No Content\r\nContent-Type: application/grpc\r\n\r\n',
    'HTTP/1.1 304 Not Modified\r\nContent-Type: application/grpc\r\nContent-Length: 5\r\n\r\n',
    ok('app'),
  ];
  for (const type of [TYPE, 'application/grpc-web']) {
    let next = 0;
    const { rig } = plain(net, () => answers[next++ % 3] as string);
    const client = await rig.connect();
    for (const status of [204, 304, 200]) {
      await client.send(head('Content-Length: 0\r\n', type));
      const answer = await client.readMessage();
      assert.deepEqual([answer.status, answer.headers.get('transfer-encoding')], [status, undefined]);
    }
    client.close();
    await rig.end();
  }
});

onBoth('a call that breaks off behind its content has no end', async (net) => {
  const app = serveHttp2(net, async (asked) => {
    await asked.head([
      [':status', '200'],
      ['content-type', 'application/grpc'],
    ]);
    await asked.data(Buffer.from('\0\0\0\0\x01x'));
    await asked.refuse(0);
  });
  const entry = rule({ to: ['grpc'], filters: [{ type: 'grpcWeb' }] });
  const rig = new Rig(net, [], [entry, cluster('grpc', [endpoint(app.address)], { protocol: 'http2' })]);
  for (const type of [TYPE, 'application/grpc-web']) {
    const client = await rig.connect();
    await client.send(head('Content-Length: 0\r\n', type));
    // It ends before all of a message, or is the proxy's own where nothing of the other went out.
    const answering = client.readMessage().catch(() => null);
    // What came before it is delivered first, however long that takes.
    await net.advance(50);
    const answer = await answering;
    if (answer !== null) assert.deepEqual([answer.headers.get('grpc-status'), answer.body.length], [['14'], 0]);
    client.close();
  }
  await rig.end();
});
