// What a ticket may and may not take up again.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { NativeTlsRig, PLAIN } from '../../test/support/native-tls.ts';
import { TICKET_KEY_BYTES, TICKET_NAME_BYTES } from '../io/tls.ts';

const rig = new NativeTlsRig();
const { tls, trust, pair, shake, close, write, read } = rig;
after(() => rig.end());

const newKey = (name: number): Uint8Array => new Uint8Array(TICKET_KEY_BYTES).fill(name, 0, 16).fill(name + 100, 16);
const NOBODYS = new Uint8Array(TICKET_NAME_BYTES);
const nameOf = (key: Uint8Array): Uint8Array => key.slice(0, TICKET_NAME_BYTES);

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  const server12 = tls.serverContext({ ...PLAIN, maxVersion: version });
  const client12 = tls.clientContext({ ...PLAIN, maxVersion: version, verify: { trust, mode: 'require' } }, 0);
  const connect = (session: number, context: number, offered: Uint8Array): { resumed: boolean; session: number } => {
    const p = pair({ server: server12, client: client12 });
    tls.bind(p.server, new Uint8Array(32).fill(context));
    tls.offered(p.server, offered);
    if (session !== 0) tls.resume(p.client, session);
    assert.deepEqual(shake(p), [1, 1]);
    write(p.server, 'x');
    assert.equal(read(p.client), 'x');
    const resumed = tls.resumed(p.server);
    assert.equal(tls.resumed(p.client), resumed);
    const next = tls.session(p.client);
    tls.shutdown(p.client);
    close(p);
    return { resumed, session: next };
  };

  test(`${version}: a ticket is taken by keys that are accepted, in its own context only`, () => {
    const [first, second, third] = [newKey(1), newKey(2), newKey(3)];
    tls.setTicketKeys([first]);
    const one = connect(0, 1, NOBODYS);
    assert.equal(one.resumed, false);
    assert.equal(connect(one.session, 1, nameOf(first)).resumed, true);
    assert.equal(connect(one.session, 2, nameOf(first)).resumed, false, 'another listener, name or validation');
    tls.setTicketKeys([second, first]);
    const rotated = connect(one.session, 1, nameOf(first));
    assert.equal(rotated.resumed, true, 'the key before is still accepted');
    tls.setTicketKeys([second, third]);
    assert.equal(connect(one.session, 1, nameOf(first)).resumed, false, 'its time is over');
    if (version === 'TLSv1.3') {
      assert.equal(connect(rotated.session, 1, nameOf(second)).resumed, true, 'issued under the newer one');
    }
    const all = [one.session, rotated.session];
    tls.setTicketKeys([]);
    assert.equal(connect(one.session, 1, NOBODYS).resumed, false, 'no keys, no tickets');
    for (const session of all) tls.dropSession(session);
  });
}
