// Answers that no backend gave, whoever wrote them: none says more than its status allows, and none is taken for what
// it is not.

import assert from 'node:assert/strict';
import type { Action } from '../../src/ir/ir.ts';
import { MessageWriter } from '../../src/proxy/auth/protobuf.ts';
import { auth } from '../proxy/auth-rig.ts';
import { answering, cluster, endpoint, get, ok, Rig, rule } from '../proxy/rig.ts';
import { ask, Http2Client, head } from '../support/http2.ts';
import { serveHttp2 } from '../support/http2-backend.ts';
import { plainly, type TestNet } from '../support/net.ts';
import { responsesOf } from './support.ts';

const { simOnly } = plainly('what is above TLS is the same');
const CONTENT = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON';
const WEBSOCKET = [
  [':method', 'CONNECT'],
  [':protocol', 'websocket'],
  [':scheme', 'http'],
  [':authority', 'a.example'],
  [':path', '/'],
] as const;

type Site = (net: TestNet, status: number) => Rig;

/** A server of gRPC that denies with `status` and content. */
function denying(net: TestNet, status: number): Rig {
  const server = serveHttp2(net, async (asked) => {
    await asked.end();
    const code = new MessageWriter().integer(1, status);
    const denied = new MessageWriter().message(1, code).text(3, CONTENT);
    const { bytes } = new MessageWriter().message(1, new MessageWriter().integer(1, 7)).message(2, denied);
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(bytes.length, 1);
    await asked.head([
      [':status', '200'],
      ['content-type', 'application/grpc'],
    ]);
    await asked.data(Buffer.concat([prefix, bytes]));
    await asked.head([['grpc-status', '0']], true);
  });
  const filter = auth({ protocol: 'grpc', responseHeaders: [] });
  const entries = [rule({ filters: [filter] }), cluster('auth', [endpoint(server.address)], { protocol: 'http2' })];
  return new Rig(net, [answering(net, () => ok('app'))], entries);
}

function writing(net: TestNet, status: number): Rig {
  const body = Buffer.from(CONTENT).toString('base64');
  const action: Action = { type: 'static', status, headers: [], body };
  return new Rig(net, [], [rule({ action })]);
}

/** Over HTTP/1.1 and HTTP/2; and what one gets that asks for a WebSocket on a stream. */
const CASES: readonly (readonly [status: number, content: boolean, asked: number])[] = [
  [200, true, 501],
  [204, false, 501],
  [205, false, 501],
  [299, true, 501],
  [304, false, 304],
  [403, true, 403],
  [599, true, 599],
];

const SITES: readonly (readonly [string, Site])[] = [
  ['who decides denies', denying],
  ['a rule answers', writing],
];
for (const [name, site] of SITES) {
  simOnly(
    `${name} with any status: content only where there may be some, and no tunnel`,
    async (net) => {
      for (const [status, content, asked] of CASES) {
        const rig = site(net, status);
        const old = await rig.connect();
        await old.send(get('/') + get('/', 'Connection: close\r\n'));
        const text = Buffer.from(await old.readAll()).toString('latin1');
        const wanted = [status, content ? CONTENT : ''];
        const said = (await responsesOf(text)).map((m) => [m.status, Buffer.from(m.body).toString('latin1')]);
        assert.deepEqual(said, [wanted, wanted]);
        const client = await Http2Client.open(await rig.connect());
        await client.send(head(1, ask()), head(3, WEBSOCKET, false));
        const one = await client.outcome(1);
        assert.deepEqual([one.status, one.body.toString()], wanted);
        assert.equal((await client.outcome(3)).status, asked);
        client.peer.close();
        await rig.end();
        assert.deepEqual(
          rig.records.all.map((record) => record.status),
          [status, status, status, asked],
        );
      }
    },
    { seeds: 0 },
  );
}

simOnly(
  'a backend that does not know the protocol: the log says what the client got, and that is no fault of the backend',
  async (net) => {
    const rig = new Rig(net, [answering(net, () => ok('what?'))]);
    const client = await Http2Client.open(await rig.connect());
    await client.send(head(1, WEBSOCKET, false));
    assert.equal((await client.outcome(1)).status, 501);
    client.peer.close();
    await rig.end();
    assert.deepEqual([rig.records.last.status, rig.records.last.flags], [501, '']);
  },
  { seeds: 0 },
);
