// What a rule does to responses it does to all that a backend says in front of them, and to a switch of protocols.

import assert from 'node:assert/strict';
import type { Filter } from '../../src/ir/ir.ts';
import { ask, data, Http2Client, head } from '../support/http2.ts';
import { onBoth } from '../support/net.ts';
import { switched } from '../support/websocket.ts';
import { answering, get, ok, Rig, type RuleOptions, rule } from './rig.ts';

const EDITS: Filter = {
  type: 'responseHeaders',
  edits: {
    set: [{ name: 'X-Frame-Options', value: 'DENY' }],
    add: [{ name: 'X-More', value: 'ours' }],
    remove: ['X-Pod'],
  },
};
const OWN = 'X-Pod: 10.0.0.1\r\nX-Frame-Options: ALLOW\r\nX-More: theirs\r\n';

onBoth(
  'a filter that edits responses edits the 101 that switches protocols, whichever the client speaks',
  async (net) => {
    const backend = net.serve(async (peer) => {
      const { head: asked } = await peer.readHead();
      await peer.send(`${switched(asked, OWN)}hello`);
      await peer.end();
    });
    const rig = new Rig(net, [backend], [rule({ filters: [EDITS] })]);
    const client = await rig.connect();
    await client.send(get('/', 'Connection: upgrade\r\nUpgrade: websocket\r\n'));
    const { status, headers } = await client.readHead();
    const values = ['x-pod', 'x-frame-options', 'x-more', 'upgrade'].map((name) => headers.get(name));
    assert.deepEqual([status, values], [101, [undefined, ['DENY'], ['theirs', 'ours'], ['websocket']]]);
    assert.equal(Buffer.from(await client.readExactly(5)).toString(), 'hello');
    client.close();
    if (!net.tls) {
      const other = await Http2Client.open(await rig.connect());
      await other.send(head(1, [[':protocol', 'websocket'], ...ask('/', [], 'CONNECT')], false));
      await other.send(data(1, '', true));
      const { status: switched, fields, body } = await other.outcome(1);
      assert.deepEqual([switched, fields.get('x-pod'), fields.get('x-frame-options')], [200, undefined, 'DENY']);
      assert.equal(body.toString(), 'hello');
      other.peer.close();
    }
    await rig.end();
  },
);

onBoth('what a filter sets or removes of responses no interim one says', async (net) => {
  const backend = net.serve(async (peer) => {
    for (;;) {
      if ((await peer.readMessage().catch(() => null)) === null) return;
      await peer.send(`HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n${OWN}\r\n`);
      await peer.send(ok('x', OWN));
    }
  });
  const rig = new Rig(net, [backend], [rule({ filters: [EDITS] })]);
  const client = await rig.connect();
  for (let i = 0; i < 2; i++) {
    await client.send(get('/'));
    const hints = await client.readHead();
    assert.equal(hints.status, 103);
    assert.deepEqual(
      [...hints.headers],
      [
        ['link', ['</a.css>']],
        ['x-more', ['theirs']],
      ],
    );
    const { headers } = await client.readMessage();
    assert.deepEqual([headers.get('x-pod'), headers.get('x-frame-options')], [undefined, ['DENY']]);
    assert.deepEqual(headers.get('x-more'), ['theirs', 'ours']);
  }
  client.close();
  await rig.end();
});

onBoth('a Date or Location that is set, written or added is the only one', async (net) => {
  const old = 'Sun, 06 Nov 1994 08:49:37 GMT';
  const edit = (part: 'set' | 'add', name: string, value: string): Filter => ({
    type: 'responseHeaders',
    edits: { set: [], add: [], remove: [], [part]: [{ name, value }] },
  });
  const redirect = { scheme: 'https', hostname: 'b.example', port: null, path: null, status: 302 } as const;
  const written = { type: 'static', status: 200, headers: [{ name: 'date', value: old }], body: '' } as const;
  const places: readonly (readonly [RuleOptions, name: string, values: readonly string[]])[] = [
    [{ filters: [edit('set', 'Date', old)] }, 'date', [old]],
    [{ filters: [edit('add', 'DATE', old)] }, 'date', [old]],
    [{ action: written }, 'date', [old]],
    [{ action: { type: 'redirect', redirect }, filters: [edit('set', 'location', '/x')] }, 'location', ['/x']],
    [{ action: { type: 'redirect', redirect }, filters: [edit('set', 'Date', old)] }, 'date', [old]],
  ];
  for (const [options, name, values] of places) {
    const rig = new Rig(net, [answering(net, () => ok('x'))], [rule(options)]);
    const client = await rig.connect();
    await client.send(get());
    assert.deepEqual((await client.readMessage()).headers.get(name), values);
    client.close();
    if (!net.tls) {
      const other = await Http2Client.open(await rig.connect());
      await other.send(head(1, ask('/')));
      const { fields } = await other.outcome(1);
      assert.deepEqual([fields.get(name)], values);
      other.peer.close();
    }
    await rig.end();
  }
});
