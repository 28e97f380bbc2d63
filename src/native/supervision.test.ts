import assert from 'node:assert/strict';
import { mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { NotifySocket } from '../../test/support/notify-socket.ts';
import { ERRNO } from '../io/io.ts';
import { adoptListening, closeDescriptor, openNative, type PassedSocket, sendToUnix, socketPair } from './index.ts';

const io = openNative({ arenaBytes: 1 << 16 });
const folder = mkdtempSync(join(tmpdir(), 'rauta-notify-'));
after(() => {
  io.dispose();
  rmSync(folder, { recursive: true, force: true });
});
const ENOENT = 2;

test('a state goes as one datagram to a path or to an abstract name', () => {
  for (const name of [join(folder, 'notify'), `@rauta-notify-${process.pid}`]) {
    const socket = new NotifySocket(io, name);
    assert.equal(sendToUnix(io, name, 'READY=1\nSTATUS=a ü\n'), 0);
    assert.equal(sendToUnix(io, name, 'WATCHDOG=1'), 0);
    assert.deepEqual(socket.read(), ['READY=1\nSTATUS=a ü\n', 'WATCHDOG=1']);
    socket.close();
  }
});

test('where nobody listens, or nothing can, the answer is -errno, at once', () => {
  assert.equal(sendToUnix(io, join(folder, 'nobody'), 'x'), -ENOENT);
  assert.equal(sendToUnix(io, '@rauta-nobody', 'x'), -ERRNO.ECONNREFUSED);
  writeFileSync(join(folder, 'file'), '');
  assert.equal(sendToUnix(io, join(folder, 'file'), 'x'), -ERRNO.ECONNREFUSED);
  for (const path of ['', 'a\0b', 'x'.repeat(108), `@${'x'.repeat(108)}`])
    assert.equal(sendToUnix(io, path, 'x'), -ERRNO.EINVAL, path);
  assert.equal(sendToUnix(io, `/${'x'.repeat(106)}`, 'x'), -ENOENT, 'the longest there is');
});

test('a listening socket is taken over with its address; anything else stays, and why is said', () => {
  const listen = (address: string, dual = false): number =>
    io.fdOf(
      io.listen(
        { family: address.includes(':') ? 'ipv6' : 'ipv4', address, port: 0 },
        { reusePort: false, dual, backlog: 1 },
      ),
    );
  // The descriptor of a handle is known to its Io: another one takes it over, as after an exec.
  const next = openNative({ arenaBytes: 1 << 16 });
  const four = listen('127.0.0.1');
  const adopted = adoptListening(next, four) as PassedSocket;
  assert.deepEqual(
    { ...adopted, handle: next.fdOf(adopted.handle) },
    { handle: four, address: '127.0.0.1', port: adopted.port },
  );
  assert.ok(adopted.port > 0);
  assert.equal((adoptListening(next, listen('::1')) as PassedSocket).address, '::1');
  assert.match(String(adoptListening(next, listen('::', true))), /^listens for IPv4, too: .*BindIPv6Only=ipv6-only/);
  const datagrams = io.datagrams.bind({ family: 'ipv4', address: '127.0.0.1', port: 0 }, { first: true });
  assert.equal(adoptListening(next, io.fdOf(datagrams)), 'is no socket of TCP');
  assert.equal(adoptListening(next, io.fdOf(socketPair(io)[0])), 'is no socket of IPv4 or IPv6');
  const file = openSync(join(folder, 'file'), 'r');
  assert.equal(adoptListening(next, file), 'is no socket');
  closeDescriptor(file);
  assert.equal(adoptListening(next, file), 'is not open');
  const client = io.connect({ family: 'ipv4', address: '127.0.0.1', port: adopted.port });
  assert.equal(adoptListening(next, io.fdOf(client)), 'does not listen');
  next.dispose();
});
