import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { getHeapStatistics } from 'node:v8';
import { LIMITS } from '../base/limits.ts';
import {
  BROKEN,
  ERRNO,
  type Handle,
  PEER_CLOSED,
  READABLE,
  type ReadySink,
  type SocketAddress,
  WRITABLE,
} from '../io/io.ts';
import { Timer } from '../io/wheel.ts';
import { getsockopt } from './ffi.ts';
import { errnoName, NativeError, type NativeIo, openNative, socketPair } from './index.ts';
import { SO, SOL, TCP } from './layout.ts';

const io = openNative({ arenaBytes: 16 * 2 ** 20 });
const at = io.alloc(64 * 1024);
const LOCAL: SocketAddress = { family: 'ipv4', address: '127.0.0.1', port: 0 };
const OPTIONS = { reusePort: false, backlog: 64 };
let folder = '';
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'rauta-io-'));
});
after(() => {
  rmSync(folder, { recursive: true });
  io.dispose();
});

/** Collects the events of one socket. */
class Seen implements ReadySink {
  bits = 0;
  calls = 0;
  onReady(events: number): void {
    this.bits |= events;
    this.calls++;
  }
}

/** Turns until `done`, for a minute at most. */
function turnUntil(done: () => boolean, on: NativeIo = io): void {
  const end = performance.now() + 60_000;
  while (!done()) {
    assert.ok(performance.now() < end, 'nothing happened for a minute');
    on.turn(50);
  }
}

function put(text: string): number {
  return Buffer.from(io.mem.buffer, at).write(text, 'latin1');
}
function take(n: number): string {
  return Buffer.from(io.mem.buffer, at, n).toString('latin1');
}

/** A connected pair over `address`, both watched. */
function connected(address: SocketAddress = LOCAL): {
  client: Handle;
  server: Handle;
  clientSeen: Seen;
  serverSeen: Seen;
} {
  const listener = io.listen(address, OPTIONS);
  assert.ok(listener >= 0, errnoName(listener));
  const waiting = new Seen();
  assert.equal(io.watch(listener, waiting), 0);
  const client = io.connect(address.family === 'unix' ? address : io.localAddress(listener));
  assert.ok(client >= 0, errnoName(client));
  const clientSeen = new Seen();
  const serverSeen = new Seen();
  assert.equal(io.watch(client, clientSeen), 0);
  turnUntil(() => (waiting.bits & READABLE) !== 0 && (clientSeen.bits & WRITABLE) !== 0);
  assert.equal(io.connectError(client), 0);
  const server = io.accept(listener);
  assert.ok(server >= 0, errnoName(server));
  assert.equal(io.accept(listener), -ERRNO.EAGAIN);
  assert.equal(io.watch(server, serverSeen), 0);
  io.close(listener);
  return { client, server, clientSeen, serverSeen };
}

function exchange(address: SocketAddress): void {
  const { client, server, serverSeen, clientSeen } = connected(address);
  assert.equal(io.recv(server, at, 100), -ERRNO.EAGAIN);
  assert.equal(io.send(client, at, put('hello')), 5);
  turnUntil(() => (serverSeen.bits & READABLE) !== 0);
  assert.equal(io.recv(server, at, 3), 3);
  assert.equal(take(3), 'hel');
  assert.equal(io.recv(server, at, 100), 2);
  // Half-close: the other direction goes on.
  assert.equal(io.shutdown(client), 0);
  turnUntil(() => (serverSeen.bits & PEER_CLOSED) !== 0);
  assert.equal(io.recv(server, at, 100), 0);
  assert.equal(io.send(server, at, put('bye')), 3);
  clientSeen.bits = 0;
  io.close(server);
  turnUntil(() => (clientSeen.bits & PEER_CLOSED) !== 0);
  assert.equal(io.recv(client, at, 100), 3);
  assert.equal(take(3), 'bye');
  assert.equal(io.recv(client, at, 100), 0);
  io.close(client);
}

test('IPv4: connect, accept, data, half-close, end', () => exchange(LOCAL));

test('unix: the same; a path in use and a missing one are errors, a foreign file is not removed', () => {
  const path = join(folder, 'sock');
  exchange({ family: 'unix', path });
  assert.ok(existsSync(path));
  assert.equal(io.listen({ family: 'unix', path }, OPTIONS), -ERRNO.EADDRINUSE);
  assert.equal(io.connect({ family: 'unix', path }), -ERRNO.ECONNREFUSED);
  assert.equal(errnoName(io.connect({ family: 'unix', path: join(folder, 'none') })), 'ENOENT');
  assert.equal(io.connect({ family: 'unix', path: 'x'.repeat(108) }), -ERRNO.EINVAL);
});

test('IPv6: the same, IPv6 only; without IPv6 on this machine listening says so', (t) => {
  const listener = io.listen({ family: 'ipv6', address: '::1', port: 0 }, OPTIONS);
  if (listener < 0) {
    t.diagnostic('no IPv6 on this machine: only the refusal is tested');
    assert.match(errnoName(listener), /EADDRNOTAVAIL|EAFNOSUPPORT/);
    return;
  }
  const { port } = io.localAddress(listener) as { port: number };
  assert.deepEqual(io.localAddress(listener), { family: 'ipv6', address: '::1', port });
  io.close(listener);
  exchange({ family: 'ipv6', address: '::1', port: 0 });
  // A socket with IPV6_V6ONLY cannot be bound to an IPv4-mapped address (ipv6(7)).
  assert.equal(io.listen({ family: 'ipv6', address: '::ffff:127.0.0.1', port: 0 }, OPTIONS), -ERRNO.EINVAL);
});

test('peer and local address', () => {
  const { client, server } = connected();
  const a = io.peer(server);
  const b = io.localAddress(client);
  assert.deepEqual(a, b);
  assert.equal(a.family, 'ipv4');
  io.close(client);
  assert.throws(() => io.peer(client), { name: 'NativeError', code: 'EBADF', syscall: 'getpeername' });
  io.close(server);
  const unix = connected({ family: 'unix', path: join(folder, 'peer') });
  assert.deepEqual(io.peer(unix.server), { family: 'unix', path: '' });
  assert.deepEqual(io.peer(unix.client), { family: 'unix', path: join(folder, 'peer') });
  io.close(unix.client);
  io.close(unix.server);
});

/** An integer option of the socket, as the kernel has it. */
function optionOf(handle: Handle, level: number, name: number, on: NativeIo = io): number {
  const words = new Int32Array(io.mem.buffer, at, 2);
  words[1] = 4;
  assert.equal(getsockopt(on.fdOf(handle), level, name, io.arena.base + at, io.arena.base + at + 4), 0);
  return words[0] as number;
}

test('accepted sockets have no delay and keepalive', () => {
  const { client, server } = connected();
  assert.equal(optionOf(server, SOL.TCP, TCP.NODELAY), 1);
  assert.equal(optionOf(server, SOL.SOCKET, SO.KEEPALIVE), 1);
  assert.equal(optionOf(server, SOL.TCP, TCP.KEEPIDLE), 60);
  io.close(client);
  io.close(server);
});

test('connections of ours have no delay at once, and keepalive once they have lived a while, in steps', () => {
  // One of its own, whose time is put forward.
  const own = openNative({ arenaBytes: 16 * 2 ** 20 });
  const listener = own.listen(LOCAL, { ...OPTIONS, backlog: 1024 });
  const address = own.localAddress(listener);
  const probed = (handle: Handle): boolean => optionOf(handle, SOL.SOCKET, SO.KEEPALIVE, own) === 1;
  // One that is over by then leaves its number to somebody else, who is no connection.
  own.close(own.connect(address));
  const other = own.listen({ family: 'unix', path: join(folder, 'other') }, OPTIONS);
  const clients = Array.from({ length: LIMITS.TCP_KEEPALIVE_AT_ONCE + 3 }, () => own.connect(address));
  const counted = (): number => clients.filter(probed).length;
  const [first] = clients as [Handle];
  assert.equal(optionOf(first, SOL.TCP, TCP.NODELAY, own), 1);
  assert.equal(counted(), 0);
  const steps: number[] = [];
  const from = own.nowMs + LIMITS.TCP_KEEPALIVE_FROM_MS;
  for (let ms = 0; ms <= 60; ms += 10) {
    own.timers.advance(from + ms);
    if (counted() !== (steps.at(-1) ?? 0)) steps.push(counted());
  }
  assert.deepEqual(steps, [LIMITS.TCP_KEEPALIVE_AT_ONCE, clients.length]);
  assert.equal(probed(other), false);
  assert.equal(optionOf(first, SOL.TCP, TCP.KEEPIDLE, own), 60);
  assert.equal(optionOf(first, SOL.TCP, TCP.KEEPINTVL, own), 15);
  assert.equal(optionOf(first, SOL.TCP, TCP.KEEPCNT, own), 4);
  for (const handle of [...clients, listener, other]) own.close(handle);
  own.dispose();
});

test('the peer of an accepted connection is the one it had, whoever was accepted after', () => {
  const listener = io.listen(LOCAL, OPTIONS);
  const waiting = new Seen();
  io.watch(listener, waiting);
  const clients = [0, 1].map(() => io.connect(io.localAddress(listener)));
  const servers: Handle[] = [];
  turnUntil(() => {
    for (let h = io.accept(listener); h >= 0; h = io.accept(listener)) servers.push(h);
    return servers.length === 2;
  });
  for (const i of [1, 0]) assert.deepEqual(io.peer(servers[i] as Handle), io.localAddress(clients[i] as Handle));
  for (const handle of [...clients, ...servers, listener]) io.close(handle);
  assert.throws(() => io.peer(servers[1] as Handle), { code: 'EBADF' });
});

test('a port is shared with reusePort only', () => {
  const shared = { reusePort: true, backlog: 8 };
  const first = io.listen(LOCAL, shared);
  const address = io.localAddress(first);
  const second = io.listen(address, shared);
  assert.ok(second >= 0);
  assert.equal(io.listen(address, OPTIONS), -ERRNO.EADDRINUSE);
  io.close(first);
  io.close(second);
  assert.equal(io.listen({ family: 'ipv4', address: 'localhost', port: 1 }, OPTIONS), -ERRNO.EINVAL);
  assert.equal(io.listen({ family: 'ipv4', address: '192.0.2.1', port: 0 }, OPTIONS), -ERRNO.EADDRNOTAVAIL);
});

test('connection refused is told by connect or by readiness', () => {
  const listener = io.listen(LOCAL, OPTIONS);
  const address = io.localAddress(listener);
  io.close(listener);
  const client = io.connect(address);
  if (client < 0) {
    assert.equal(client, -ERRNO.ECONNREFUSED);
    return;
  }
  const seen = new Seen();
  assert.equal(io.watch(client, seen), 0);
  turnUntil(() => (seen.bits & BROKEN) !== 0);
  assert.ok((seen.bits & WRITABLE) !== 0);
  assert.equal(io.connectError(client), ERRNO.ECONNREFUSED);
  io.close(client);
});

test('a reset arrives as one, and sending after it raises no signal', () => {
  const { client, server, clientSeen } = connected();
  clientSeen.bits = 0;
  io.reset(server);
  turnUntil(() => (clientSeen.bits & BROKEN) !== 0);
  assert.equal(io.recv(client, at, 10), -ERRNO.ECONNRESET);
  assert.equal(io.send(client, at, 10), -ERRNO.EPIPE);
  io.close(client);
});

test('a full socket says EAGAIN and becomes writable once read', () => {
  const { client, server, clientSeen, serverSeen } = connected();
  let sent = 0;
  let n = 0;
  while (n >= 0) {
    sent += n;
    n = io.send(client, at, 64 * 1024);
  }
  assert.equal(n, -ERRNO.EAGAIN);
  clientSeen.bits = 0;
  let received = 0;
  turnUntil(() => {
    if (serverSeen.bits !== 0) for (let m = 1; m > 0; received += Math.max(m, 0)) m = io.recv(server, at, 64 * 1024);
    return received === sent && (clientSeen.bits & WRITABLE) !== 0;
  });
  io.close(client);
  io.close(server);
});

test('edge-triggered: one event for what arrived, again only for more', () => {
  const { client, server, serverSeen } = connected();
  turnUntil(() => serverSeen.calls > 0);
  serverSeen.calls = 0;
  io.send(client, at, 10);
  turnUntil(() => serverSeen.calls > 0);
  assert.equal(io.turn(0), 0);
  io.send(client, at, 10);
  turnUntil(() => serverSeen.calls > 1);
  io.close(client);
  io.close(server);
});

test('a closed handle is refused everywhere, also when its descriptor has a new owner', () => {
  const first = io.listen(LOCAL, OPTIONS);
  const fd = io.fdOf(first);
  io.close(first);
  const second = io.listen(LOCAL, OPTIONS);
  assert.equal(io.fdOf(second), fd, 'the kernel gives the lowest free descriptor');
  assert.notEqual(second, first);
  for (const stale of [first, -1, -ERRNO.EAGAIN, 0, fd, Number.NaN, 2 ** 31 - 1]) {
    assert.equal(io.recv(stale, at, 1), -ERRNO.EBADF);
    assert.equal(io.send(stale, at, 1), -ERRNO.EBADF);
    assert.equal(io.accept(stale), -ERRNO.EBADF);
    assert.equal(io.watch(stale, new Seen()), -ERRNO.EBADF);
    assert.equal(io.shutdown(stale), -ERRNO.EBADF);
    assert.equal(io.connectError(stale), ERRNO.EBADF);
    assert.equal(io.fdOf(stale), -ERRNO.EBADF);
    io.close(stale);
    io.reset(stale);
  }
  assert.equal(io.fdOf(second), fd, 'a second close of the first does not close its successor');
  assert.equal(io.adopt(fd), -ERRNO.EBADF, 'adopted twice');
  assert.equal(io.adopt(-1), -ERRNO.EBADF);
  assert.equal(io.adopt(500), -ERRNO.EBADF);
  io.close(second);
});

test('generations go round without the handle before ever coming back', () => {
  const [first, other] = socketPair(io);
  const fd = io.fdOf(first);
  io.close(first);
  io.close(other);
  let last = first;
  const seen = new Set<Handle>();
  for (let i = 0; i < 5000; i++) {
    const [handle, twin] = socketPair(io);
    assert.equal(io.fdOf(handle), fd);
    assert.ok(handle > 0 && handle < 2 ** 31);
    assert.equal(io.fdOf(last), -ERRNO.EBADF);
    seen.add(handle);
    last = handle;
    io.close(handle);
    io.close(twin);
  }
  assert.equal(seen.size, 2047, 'all generations but zero');
});

test('offsets and lengths outside the arena throw before the call', () => {
  const { client, server } = connected();
  const end = io.mem.length;
  for (const [offset, length] of [
    [-1, 1],
    [0, -1],
    [end, 1],
    [end - 1, 2],
    [Number.NaN, 1],
    [0, Number.NaN],
    [0, Number.POSITIVE_INFINITY],
  ] as const) {
    assert.throws(() => io.recv(client, offset, length), RangeError);
    assert.throws(() => io.send(client, offset, length), RangeError);
  }
  assert.equal(io.send(client, end - 1, 1), 1);
  assert.equal(io.send(client, end, 0), 0);
  io.close(client);
  io.close(server);
});

test('an event for what an earlier one of the same turn closed is dropped', () => {
  const one = connected();
  const two = connected();
  turnUntil(() => io.turn(0) === 0);
  const log: string[] = [];
  const successor = new Seen();
  let opened: [Handle, Handle] = [-1, -1];
  const rewatch = (name: string, pair: typeof one, other: typeof one): void => {
    // The sinks of the two servers close each other; whichever runs first silences the second, and gives its
    // descriptor to a new socket.
    pair.serverSeen.onReady = () => {
      log.push(name);
      const fd = io.fdOf(other.server);
      io.close(other.server);
      opened = socketPair(io);
      assert.ok(opened.some((handle) => io.fdOf(handle) === fd));
      for (const handle of opened) io.watch(handle, successor);
    };
  };
  rewatch('one', one, two);
  rewatch('two', two, one);
  io.send(one.client, at, 1);
  io.send(two.client, at, 1);
  turnUntil(() => log.length > 0);
  assert.equal(successor.calls, 0, 'the event was not meant for it');
  io.turn(0);
  assert.equal(log.length, 1);
  assert.equal(successor.bits, WRITABLE);
  for (const handle of opened) io.close(handle);
  for (const pair of [one, two]) {
    io.close(pair.client);
    io.close(pair.server);
  }
});

test('again: on the next turn, after events of the kernel, in order; hooks at the end of turns that did something', () => {
  const own = openNative({ arenaBytes: 2 ** 20 });
  const log: string[] = [];
  own.onTurn(() => {
    log.push('hook');
  });
  assert.equal(own.turn(0), 0);
  assert.equal(log.length, 0);
  const second: ReadySink = { onReady: (events) => void log.push(`second ${events}`) };
  const first: ReadySink = {
    onReady(events) {
      log.push(`first ${events}`);
      if (events === 1) own.again(first, 4);
    },
  };
  own.again(first, 1);
  own.again(second, 2);
  assert.equal(own.turn(5000), 2, 'does not wait');
  assert.equal(own.turn(5000), 1);
  assert.equal(own.turn(0), 0);
  assert.deepEqual(log, ['first 1', 'second 2', 'hook', 'first 4', 'hook']);
  own.dispose();
});

test('timers run from turns, which wait no longer than the next one', () => {
  let fired = -1;
  const onTimer = (): void => {
    fired = io.nowMs;
  };
  const timer = new Timer({ onTimer }, 0);
  const from = io.nowMs;
  io.timers.arm(timer, from, 30);
  turnUntil(() => fired !== -1);
  assert.ok(fired >= from + 30, 'never early');
  const clock = performance.now() * 1000;
  assert.ok(clock >= io.nowUs && io.nowMs === Math.floor(io.nowUs / 1000));
  assert.ok(Math.abs(io.wallMs - Date.now()) < 60_000);
});

test('random32: unsigned words that differ, beyond one refill', () => {
  const words = Array.from({ length: 3000 }, () => io.random32());
  for (const word of words) assert.equal(word, word >>> 0);
  assert.ok(new Set(words).size > 2990);
  assert.ok(words.some((word) => word > 2 ** 31));
});

test('EINTR: a signal during the wait ends it without an error', async () => {
  let signals = 0;
  const count = (): void => {
    signals++;
  };
  process.on('SIGWINCH', count);
  // Until it is ended: whenever the wait begins, one comes in it.
  const script = 'while kill -WINCH $PPID; do sleep 0.02; done';
  const killer = spawn('/bin/sh', ['-c', script], { stdio: 'ignore' });
  const start = performance.now();
  assert.equal(io.turn(10_000), 0);
  assert.ok(performance.now() - start < 9000, 'the wait was cut short');
  while (signals === 0) await new Promise(setImmediate);
  const ended = new Promise((resolve) => killer.on('exit', resolve));
  killer.kill('SIGKILL');
  await ended;
  process.off('SIGWINCH', count);
});

test('EMFILE: out of descriptors accept and connect say so, and work again after a close', () => {
  const script = `
    const { openNative, errnoName, closeDescriptor } = await import(${JSON.stringify(new URL('index.ts', import.meta.url).href)});
    const io = openNative({ arenaBytes: 2 ** 20 });
    const listener = io.listen({ family: 'ipv4', address: '127.0.0.1', port: 0 }, { reusePort: false, backlog: 64 });
    const clients = [];
    let result = 0;
    while ((result = io.connect(io.localAddress(listener))) >= 0) clients.push(result);
    const said = [errnoName(result), errnoName(io.accept(listener)), errnoName(io.listen({ family: 'ipv4', address: '127.0.0.1', port: 0 }, { reusePort: false, backlog: 1 }))];
    io.close(clients.pop());
    const accepted = io.accept(listener);
    process.stdout.write(JSON.stringify({ said, accepted: accepted > 0 && io.fdOf(accepted) > 0 }));
    process.kill(process.pid, 'SIGKILL'); // Node itself needs descriptors to end in order
  `;
  const command = 'ulimit -n 64; exec "$0" --input-type=module -e "$1"';
  const child = spawnSync('/bin/sh', ['-c', command, process.execPath, script], { encoding: 'utf8' });
  assert.equal(child.stderr, '');
  assert.deepEqual(JSON.parse(child.stdout), { said: ['EMFILE', 'EMFILE', 'EMFILE'], accepted: true });
});

const ROUNDS = 50_000;
test('receiving and sending allocate a number for an address, a turn numbers of the clock', () => {
  const { client, server } = connected();
  const round = (count: number): void => {
    for (let i = 0; i < count; i++) {
      if (io.send(client, at, 100) !== 100) throw new Error('send');
      if (io.recv(server, at, 4096) !== 100) throw new Error('recv');
      if (io.recv(server, at, 4096) !== -ERRNO.EAGAIN) throw new Error('again');
    }
  };
  const turns = (count: number): void => {
    for (let i = 0; i < count; i++) {
      if (io.send(client, at, 100) !== 100) throw new Error('send');
      // On a machine with much to do that of keepalive is due meanwhile.
      if (io.turn(0) < 1) throw new Error('turn');
      if (io.recv(server, at, 4096) !== 100) throw new Error('recv');
    }
  };
  turnUntil(() => io.turn(0) === 0);
  round(ROUNDS);
  io.turn(0);
  turns(ROUNDS);
  const allocated = (): number =>
    (getHeapStatistics() as unknown as { total_allocated_bytes: number }).total_allocated_bytes;
  const each = (run: (count: number) => void): number => {
    const before = allocated();
    run(ROUNDS);
    return (allocated() - before) / ROUNDS;
  };
  // A boxed number is 16 bytes; what is left is the statistics themselves and compilation.
  const calls = each(round);
  assert.ok(calls < 3 * 16 + 8, `${calls} bytes for three calls`);
  io.turn(0);
  // A turn may box what the clock says, besides the addresses of its two calls.
  const turn = each(turns);
  assert.ok(turn < 72 + 2 * 16, `${turn} bytes a turn`);
  io.close(client);
  io.close(server);
});

test('errors have names', () => {
  assert.equal(errnoName(-111), 'ECONNREFUSED');
  assert.equal(errnoName(11), 'EAGAIN');
  assert.equal(errnoName(9999), 'errno 9999');
  const error = new NativeError('bind', 98, '127.0.0.1:80');
  assert.equal(error.message, 'bind: EADDRINUSE (127.0.0.1:80)');
  assert.equal(error.code, 'EADDRINUSE');
});

test('of one turn the events of first sinks are told before the others, each once', () => {
  const pairs = Array.from({ length: 6 }, () => socketPair(io));
  const told: number[] = [];
  pairs.forEach(([ours], i) => {
    assert.equal(io.watch(ours, { onReady: (events) => (events & READABLE) !== 0 && told.push(i) }, i % 3 === 2), 0);
  });
  io.turn(0);
  for (const [, theirs] of pairs) assert.equal(io.send(theirs, at, put('x')), 1);
  turnUntil(() => told.length >= pairs.length);
  assert.deepEqual(told, [2, 5, 0, 1, 3, 4]);
  // What a first sink closes is not told any more.
  told.length = 0;
  const [ours, theirs] = socketPair(io);
  const closeAll = (events: number): void => {
    if ((events & READABLE) !== 0) for (const [handle] of pairs) io.close(handle);
  };
  io.watch(ours, { onReady: closeAll }, true);
  io.turn(0);
  for (const [, other] of pairs) io.send(other, at, put('x'));
  io.send(theirs, at, put('x'));
  io.turn(0);
  assert.deepEqual(told, [2, 5], 'in the order in which they became ready');
  for (const handle of [ours, theirs, ...pairs.map(([, other]) => other)]) io.close(handle);
});
