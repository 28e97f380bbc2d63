// Trailer fields of a request say nothing that its head may not say: some servers put them among the head's fields
// (CVE-2013-5704 of httpd), where a filter, or who decided, has replaced or removed what the client said.

import assert from 'node:assert/strict';
import type { Entry, Filter } from '../../src/ir/ir.ts';
import { auth } from '../proxy/auth-rig.ts';
import { answering, cluster, endpoint, GATEWAY, ok, Rig, rule } from '../proxy/rig.ts';
import { ask, Http2Client, head } from '../support/http2.ts';
import { onBoth, type TestNet } from '../support/net.ts';

const EDITS: Filter = {
  type: 'requestHeaders',
  edits: {
    set: [{ name: 'X-Tenant', value: 'ours' }],
    add: [{ name: 'X-More', value: 'ours' }],
    remove: ['X-Internal'],
  },
};
const SAID = [
  ['x-tenant', 'evil'],
  ['x_tenant', 'evil'],
  ['x-internal', 'evil'],
  ['x-more', 'theirs'],
  ['x-sum', '7'],
] as const;

/** The trailers that the backend gets of those that are sent in HTTP/1.1, and in HTTP/2. */
async function passed(
  net: TestNet,
  entries: readonly (Entry | readonly Entry[])[],
  said: readonly (readonly [string, string])[],
): Promise<string[][]> {
  const seen: string[][] = [];
  const backend = net.serve(async (peer) => {
    for (;;) {
      const request = await peer.readMessage().catch(() => null);
      if (request === null) return;
      seen.push([...request.trailers].map(([name, values]) => `${name}: ${values.join()}`));
      await peer.send(ok('x'));
    }
  });
  const rig = new Rig(net, [backend], entries);
  const client = await rig.connect();
  const lines = said.map(([name, value]) => `${name.toUpperCase()}:${value}\r\n`).join('');
  await client.send(
    `POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n${lines}\r\n` +
      'POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  );
  for (let i = 0; i < 2; i++) assert.equal((await client.readMessage()).status, 200);
  client.close();
  if (!net.tls) {
    const other = await Http2Client.open(await rig.connect());
    await other.send(head(1, ask('/', [], 'POST'), false), head(1, said));
    assert.equal((await other.outcome(1)).status, 200);
    other.peer.close();
  }
  await rig.end();
  const [first = [], none = [], second = first] = seen;
  assert.deepEqual(none, [], 'a request without trailers gets none');
  return [first, second];
}

onBoth('what a filter sets or removes no trailer says, also such that a backend may take for it', async (net) => {
  const kept = ['x-more: theirs', 'x-sum: 7'];
  assert.deepEqual(await passed(net, [rule({ filters: [EDITS] })], SAID), [kept, kept]);
  assert.deepEqual(await passed(net, [rule({ filters: [EDITS] })], SAID.slice(0, 3)), [[], []]);
  const all = SAID.map(([name, value]) => `${name}: ${value}`);
  assert.deepEqual(await passed(net, [rule({})], SAID), [all, all]);
});

onBoth('what only an authorization server may say no trailer says', async (net) => {
  const said = [
    ['x-user', 'root'],
    ['x.user', 'root'],
    ['x-sum', '7'],
  ] as const;
  for (const bodyBytes of [0, 100]) {
    const server = answering(net, () => ok('', 'X-User: alice\r\n'));
    const entries = [rule({ filters: [auth({ bodyBytes })] }), cluster('auth', [endpoint(server)])];
    assert.deepEqual(await passed(net, entries, said), [['x-sum: 7'], ['x-sum: 7']], `${bodyBytes}`);
  }
});

onBoth('who the client is no trailer says where the Gateway does not believe it', async (net) => {
  const said = [
    ['cf-connecting-ip', '6.6.6.6'],
    ['cf_connecting_ip', '6.6.6.6'],
    ['x-sum', '7'],
  ] as const;
  const gateway = { ...GATEWAY, clients: { trusted: ['10.0.0.0/8'], header: 'CF-Connecting-IP' } };
  assert.deepEqual(await passed(net, [gateway, rule({})], said), [['x-sum: 7'], ['x-sum: 7']]);
});
