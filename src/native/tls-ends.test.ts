// How connections end that a client does not end in order.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { type Apart, NativeTlsRig } from '../../test/support/native-tls.ts';
import { ERRNO, type Handle } from '../io/io.ts';

const rig = new NativeTlsRig();
const { io, tls, at, apart, close, write } = rig;
after(() => rig.end());

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`${version}: a client that is gone without close_notify is no end in order, and is told nothing`, () => {
    const room = at + 128 * 1024;
    /** What the server says once so many bytes of what the client still said came, and what it says to the client. */
    const heard = (say: (p: Apart) => void, bytes: number): { said: number[]; told: number } => {
      const p = apart(version);
      const [, near, , far] = p.sockets as unknown as readonly [Handle, Handle, Handle, Handle];
      say(p);
      p.pass(bytes);
      assert.equal(io.shutdown(far), 0);
      const said: number[] = [];
      while (said.length < 4 && said.at(-1) !== 0) said.push(tls.recv(p.server, at, 100));
      const told = io.recv(far, room, 1000);
      io.recv(near, room, 1000);
      close(p);
      return { said, told };
    };
    const gone = -ERRNO.ECONNRESET;
    const nothing = heard(() => {}, 1);
    assert.deepEqual(nothing, { said: [gone, gone, gone, gone], told: -ERRNO.EAGAIN });
    const some = (p: Apart): void => write(p.client, 'some');
    for (const bytes of [1, 5, 20]) assert.deepEqual(heard(some, bytes), nothing, `${bytes} bytes of a record`);
    assert.deepEqual(heard(some, 1000), { said: [4, gone, gone, gone], told: -ERRNO.EAGAIN });
    const end = (p: Apart): void => {
      some(p);
      tls.shutdown(p.client);
    };
    const whole = heard(end, 1000);
    assert.deepEqual(whole, { said: [4, 0], told: -ERRNO.EAGAIN }, 'in order');
    const cut = heard(end, 40);
    assert.deepEqual(cut, { said: [4, gone, gone, gone], told: -ERRNO.EAGAIN }, 'close_notify that came in part');
  });
}
