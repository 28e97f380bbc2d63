// Two ends of a takeover in one process, over a socket in a folder of the test's own.

import assert from 'node:assert/strict';
import {
  closeSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { FakeSystem } from '../../test/support/keeper.ts';
import { LIMITS } from '../base/limits.ts';
import { createShared, isShared, PORT_TABLE_BYTES } from '../native/index.ts';
import { Channel } from '../stream/channel.ts';
import type { FromPredecessor } from '../stream/messages.ts';
import type { GivenSocket } from './sockets.ts';
import { Takeover, type TakeoverOwner } from './takeover.ts';
import { Tickets } from './tickets.ts';

type Given = TakeoverOwner['sockets']['given'];

interface End {
  readonly takeover: Takeover;
  readonly events: string[];
  readonly tickets: Tickets;
  readonly watched: number[];
  /** Tables of ports that were handed to it. */
  readonly ports: number[];
}

class Stage {
  readonly system = new FakeSystem();
  readonly folder = mkdtempSync(join(tmpdir(), 'rauta-takeover-'));
  readonly path = join(this.folder, 'socket');

  end(name = 'e', given: Given = function* () {}, path = this.path): End {
    const events: string[] = [];
    const watched: number[] = [];
    const ports: number[] = [];
    const portsFd = createShared('test-ports', PORT_TABLE_BYTES);
    const tickets = new Tickets(0, null, this.system.log);
    const takeover = new Takeover(this.system, this.system.log.with({ end: name }), path, {
      tickets,
      sockets: {
        given,
        inherit: (transport, address, port, handle) => {
          assert.ok(handle >= 0);
          events.push(`inherited ${transport} ${address} ${port}`);
        },
        inheritPassed: (socket) => events.push(`passed ${socket.name} ${socket.address} ${socket.port}`),
        admit: () => events.push('forsaken'),
      },
      ports: { portsFd, inheritPorts: (fd) => ports.push(fd) },
      announcer: { watchdogUs: 30_000_000, inherit: (watchdogUs) => watched.push(watchdogUs) },
      onSucceeded: () => events.push('succeeded'),
      onSuccession: () => {},
      onGone: () => events.push('gone'),
      onRefused: (reason) => events.push(`refused ${reason}`),
    });
    return { takeover, events, tickets, watched, ports };
  }
  /** A program that serves and can be taken over. */
  running(given?: Given): End {
    const end = this.end('running', given);
    let begun = false;
    end.takeover.take(() => {
      begun = true;
    });
    assert.ok(begun, 'nobody is there to be asked');
    end.takeover.serve();
    return end;
  }
  turns(): void {
    for (let i = 0; i < 20; i++) this.system.io.turn(0);
  }
  dispose(): void {
    this.system.dispose();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function stage(t: { after(fn: () => void): void }): Stage {
  const it = new Stage();
  t.after(() => it.dispose());
  return it;
}

test('keys of session tickets are handed over with the sockets', (t) => {
  const it = stage(t);
  const running = it.running();
  const next = it.end('next');
  assert.notDeepEqual(next.tickets.keys, running.tickets.keys);
  next.takeover.take(() => {});
  it.turns();
  assert.deepEqual(next.tickets.keys, running.tickets.keys);
});

test('the table of ports of datagrams is the same memory in the successor', (t) => {
  const it = stage(t);
  const running = it.running();
  const next = it.end('next');
  next.takeover.take(() => {});
  it.turns();
  assert.equal(running.ports.length, 0);
  const [fd = -1, ...others] = next.ports;
  assert.equal(others.length, 0);
  assert.ok(isShared(fd, PORT_TABLE_BYTES));
  assert.ok(!isShared(fd, PORT_TABLE_BYTES * 2));
  const none = openSync('/dev/null', 'r');
  assert.ok(!isShared(none, 0), 'what can be cut short is none');
  closeSync(none);
});

test('sockets are handed over, the path changes hands, the predecessor leaves', (t) => {
  const it = stage(t);
  const { io } = it.system;
  const handle = io.listen({ family: 'ipv4', address: '127.0.0.1', port: 0 }, { reusePort: true, backlog: 1 });
  const datagrams = io.datagrams.bind({ family: 'ipv4', address: '127.0.0.1', port: 0 }, { first: true });
  const at = { address: '127.0.0.1', port: 8080, handle } as const;
  const given: GivenSocket[] = [
    { ...at, transport: 'tcp' },
    { ...at, transport: 'tcp' },
    { ...at, transport: 'tcp', passed: 'web' },
    { ...at, transport: 'udp', handle: datagrams },
  ];
  const old = it.running(function* () {
    yield* given;
  });
  const next = it.end('next');
  next.takeover.take(() => next.events.push('begin'));
  it.turns();
  assert.deepEqual(next.events, [
    'inherited tcp 127.0.0.1 8080',
    'inherited tcp 127.0.0.1 8080',
    'passed web 127.0.0.1 8080',
    'inherited udp 127.0.0.1 8080',
    'begin',
  ]);
  assert.deepEqual(next.watched, [30_000_000]);
  assert.ok(next.takeover.hasPredecessor && old.takeover.hasSuccessor);
  next.takeover.serve();
  it.turns();
  assert.deepEqual(old.events, ['succeeded']);
  assert.ok(lstatSync(it.path).isSocket());
  assert.equal(lstatSync(it.path).mode & 0o777, 0o600);
  old.takeover.close();
  assert.ok(existsSync(it.path), 'the successor’s');
  it.turns();
  assert.deepEqual(next.events.slice(5), ['gone']);
  next.takeover.close();
  assert.ok(!existsSync(it.path));
});

test('a second successor at once is told to go, and by whom', (t) => {
  const it = stage(t);
  const old = it.running();
  const [first, second] = [it.end('first'), it.end('second')];
  first.takeover.take(() => first.events.push('begin'));
  second.takeover.take(() => second.events.push('begin'));
  it.turns();
  assert.deepEqual(first.events, ['begin']);
  const reason = `the program that runs does not hand over: pid ${process.pid} is taking over already`;
  assert.deepEqual(second.events, [`refused --takeover ${it.path}: ${reason}`]);
  second.takeover.close();
  assert.ok(existsSync(it.path), 'it takes nothing with it');
  first.takeover.serve();
  it.turns();
  assert.deepEqual(old.events, ['succeeded']);
});

test('only what is one’s own is removed: a predecessor that went on after it was given up leaves the survivor’s path', (t) => {
  const it = stage(t);
  const old = it.running();
  rmSync(it.path);
  const survivor = it.running();
  old.takeover.close();
  assert.ok(existsSync(it.path));
  survivor.takeover.close();
  assert.ok(!existsSync(it.path));
});

test('a file, a folder or a link at the path is refused and stays', (t) => {
  const it = stage(t);
  writeFileSync(it.path, 'precious');
  assert.throws(() => it.end().takeover.take(() => {}), { code: 3, message: /is no socket, and it stays/ });
  assert.equal(readFileSync(it.path, 'utf8'), 'precious');
  rmSync(it.path);
  symlinkSync('/nowhere', it.path);
  assert.throws(() => it.end().takeover.take(() => {}), { code: 3 });
  assert.ok(lstatSync(it.path).isSymbolicLink());
});

test('a path at which no socket can be made is refused before anything is served', (t) => {
  const it = stage(t);
  const at = (path: string): Takeover => it.end('e', undefined, path).takeover;
  const [long, absent] = [`${it.path}${'x'.repeat(107)}`, `${it.path}-absent/takeover.sock`];
  assert.throws(() => at(long).take(() => {}), { code: 3, message: /--takeover .*x: the path .* at most 107 bytes/ });
  assert.throws(() => at(absent).take(() => {}), {
    code: 3,
    message: /: ENOENT: no socket can be made in .*-absent$/,
  });
});

test('what a dead program left at the path is taken away', (t) => {
  const it = stage(t);
  // It ended without a word: nobody listens, the file stays.
  it.system.io.close(it.system.io.listen({ family: 'unix', path: it.path }, { reusePort: false, backlog: 1 }));
  it.running().takeover.onTick();
  const next = it.end('next');
  next.takeover.take(() => next.events.push('begin'));
  it.turns();
  assert.deepEqual(next.events, ['begin']);
  assert.ok(next.takeover.hasPredecessor, 'a live one is there now');
});

test('one that does not hand over in time, or speaks another version, ends the successor and not itself', (t) => {
  const it = stage(t);
  // Somebody who accepts and says nothing.
  const mute = it.system.io.listen({ family: 'unix', path: it.path }, { reusePort: false, backlog: 1 });
  const next = it.end('next');
  next.takeover.take(() => next.events.push('begin'));
  it.turns();
  it.system.pass(LIMITS.TAKEOVER_WAIT_MS);
  assert.equal(next.events.length, 1);
  assert.match(String(next.events[0]), /has not handed over within/);
  assert.ok(existsSync(it.path));
  it.system.io.close(mute);
  rmSync(it.path);

  const old = it.running();
  const handle = it.system.io.connect({ family: 'unix', path: it.path });
  const heard: string[] = [];
  const stranger = new Channel<object>(it.system.io, handle, {
    onFrame: ({ body }) => heard.push((JSON.parse(body.toString()) as FromPredecessor).type),
    onEnded: ({ cause }) => heard.push(cause),
  });
  stranger.message({ type: 'take', protocol: 99 });
  it.turns();
  assert.deepEqual(heard, ['refused', 'closed']);
  assert.ok(!old.takeover.hasSuccessor, 'the next one may come');
});

test('a predecessor that dies between being told and leaving leaves the path to its successor', (t) => {
  const it = stage(t);
  const { io } = it.system;
  const listener = io.listen({ family: 'unix', path: it.path }, { reusePort: false, backlog: 1 });
  const next = it.end('next');
  next.takeover.take(() => next.events.push('begin'));
  const old = new Channel<FromPredecessor>(io, io.accept(listener), { onFrame: () => {}, onEnded: () => {} });
  old.message({ type: 'inherited' });
  it.turns();
  next.takeover.serve();
  it.turns();
  io.close(listener);
  old.close();
  it.turns();
  assert.deepEqual(next.events, ['begin', 'gone']);
  const third = it.end('third');
  third.takeover.take(() => third.events.push('begin'));
  it.turns();
  assert.deepEqual(third.events, ['begin'], 'it is asked, and answers');
  assert.ok(third.takeover.hasPredecessor);
});

test('a successor that goes away before it serves changes nothing', (t) => {
  const it = stage(t);
  const old = it.running();
  const next = it.end('next');
  next.takeover.take(() => {});
  it.turns();
  next.takeover.close();
  it.turns();
  assert.deepEqual(old.events, ['forsaken']);
  assert.ok(existsSync(it.path));
});
