import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { FakeSystem, OWN_ADDRESS, ownPort } from '../../test/support/keeper.ts';
import type { SocketWish } from '../stream/messages.ts';
import { Sockets } from './sockets.ts';
import type { PassedListener } from './system.ts';

/** Another process that shares its port with whoever wants (SO_REUSEPORT). */
async function sharer(port: number): Promise<ChildProcess> {
  const code = `require('node:net').createServer().listen({ host: '${OWN_ADDRESS}', port: ${port}, reusePort: true }, () => console.log('x'))`;
  const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout as NonNullable<typeof child.stdout>, 'data');
  return child;
}

const wish = (port: number, address = OWN_ADDRESS): SocketWish => ({
  key: `${address} ${port}`,
  address,
  port,
  transport: 'tcp',
});

async function established(port: number): Promise<boolean> {
  const socket = connect(port, OWN_ADDRESS);
  return new Promise((resolve) => {
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}

test('a port that somebody else shares is refused, with who it is, and taken when that one is gone', async (t) => {
  const system = new FakeSystem();
  t.after(() => system.dispose());
  const port = ownPort();
  const other = await sharer(port);
  const sockets = new Sockets(system.io, system.log, 2);
  assert.deepEqual(sockets.want([wish(port)]).opened, []);
  const [failed] = sockets.failed;
  assert.match(String(failed?.reason), new RegExp(`^EADDRINUSE: node.*, pid ${other.pid} listens there$`));
  assert.equal(sockets.retry().length, 0);
  assert.equal(system.said('cannot listen').length, 1, 'said once');
  other.kill('SIGKILL');
  await once(other, 'exit');
  const [opened] = sockets.retry();
  assert.equal(opened?.handles.length, 2, 'a socket of each slot');
  assert.deepEqual(sockets.failed, []);
  assert.ok(await established(port));
});

test('a port that this program has for its admin server is its own, and no other program is blamed', (t) => {
  const system = new FakeSystem();
  t.after(() => system.dispose());
  const port = ownPort();
  const at = { family: 'ipv4', address: OWN_ADDRESS, port } as const;
  const admin = system.io.listen(at, { reusePort: false, backlog: 8 });
  const sockets = new Sockets(system.io, system.log, 1);
  assert.deepEqual(sockets.want([wish(port)]).opened, []);
  assert.equal(sockets.failed[0]?.reason, 'EADDRINUSE: this program itself (--admin or --requests) listens there');
  system.io.close(admin);
  assert.equal(sockets.retry().length, 1);
});

test('our own socket on its way out, or on another address, refuses nothing', async (t) => {
  const system = new FakeSystem();
  t.after(() => system.dispose());
  const port = ownPort();
  const sockets = new Sockets(system.io, system.log, 2);
  assert.equal(sockets.want([wish(port)]).opened.length, 1);
  const { opened, closing } = sockets.want([wish(port, '0.0.0.0')]);
  assert.deepEqual([opened.length, closing.length], [1, 1]);
  for (const socket of closing) sockets.close(socket);
  assert.ok(await established(port), 'by the new one');
});

test('what a predecessor gave is used for the slots there are, the rest is bound or let go of', async (t) => {
  const system = new FakeSystem();
  t.after(() => system.dispose());
  const port = ownPort();
  const before = new Sockets(system.io, system.log, 2);
  const [socket] = before.want([wish(port)]).opened;
  const sockets = new Sockets(system.io, system.log, 3);
  for (const handle of socket?.handles ?? []) sockets.inherit('tcp', OWN_ADDRESS, port, handle);
  sockets.inherit(
    'tcp',
    '127.0.0.1',
    1,
    system.io.listen({ family: 'ipv4', address: '127.0.0.1', port: 0 }, { reusePort: true, backlog: 1 }),
  );
  const [taken] = sockets.want([wish(port)]).opened;
  assert.deepEqual(taken?.handles.slice(0, 2), socket?.handles);
  assert.equal(taken?.handles.length, 3);
  assert.deepEqual(
    [
      system.said('listening socket taken over')[0]?.['taken'],
      system.said('listening socket taken over')[0]?.['bound'],
    ],
    [2, 1],
  );
  sockets.disinherit();
});

test('TCP and UDP on one number are two; a port of datagrams that somebody has is refused with who it is', async (t) => {
  const system = new FakeSystem();
  t.after(() => system.dispose());
  const port = ownPort();
  const both = new Sockets(system.io, system.log, 2);
  const udp: SocketWish = { ...wish(port), key: 'udp', transport: 'udp' };
  const { opened } = both.want([wish(port), udp]);
  assert.deepEqual(
    opened.map((socket) => socket.handles.length),
    [2, 2],
  );
  // Nothing is held off of what has no beginning: its first bytes may be any.
  both.hold(opened[1] as (typeof opened)[1]);
  const client = createSocket('udp4');
  t.after(() => client.close());
  await new Promise<void>((resolve) => client.send(Buffer.from('xxxxx\u0002'), port, OWN_ADDRESS, () => resolve()));
  const buffer = system.io.alloc(64);
  assert.ok((opened[1]?.handles ?? []).some((handle) => system.io.recv(handle, buffer, 64) === 6));
  system.io.free(buffer);
  for (const socket of both.all()) both.close(socket);

  const code = `const s=require('node:dgram').createSocket('udp4');s.bind(${port},'${OWN_ADDRESS}',()=>console.log('x'))`;
  const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout as NonNullable<typeof child.stdout>, 'data');
  t.after(() => child.kill('SIGKILL'));
  const refused = new Sockets(system.io, system.log, 2);
  assert.equal(refused.want([udp]).opened.length, 0);
  assert.match(refused.failed[0]?.reason ?? '', new RegExp(`EADDRINUSE: .*, pid ${child.pid} listens there`));
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.equal(refused.retry().length, 1);
});

/** A socket that whoever starts a program made, as it is after the start. */
function passed(system: FakeSystem, port: number, reusePort: boolean): PassedListener {
  const at = { family: 'ipv4', address: OWN_ADDRESS, port } as const;
  const handle = system.io.listen(at, { reusePort, backlog: 8 });
  assert.ok(handle >= 0);
  return { name: 'web', address: OWN_ADDRESS, port, handle };
}

test('a socket that was passed is the first slot’s, the others bind their own where it is shared', (t) => {
  const system = new FakeSystem();
  t.after(() => system.dispose());
  const web = passed(system, ownPort(), true);
  const sockets = new Sockets(system.io, system.log, 3, [web]);
  const [open] = sockets.want([wish(web.port)]).opened;
  assert.equal(open?.handles[0], web.handle);
  assert.equal(new Set(open?.handles).size, 3);
  assert.deepEqual(
    [...sockets.given()].map(({ handle, passed }) => [handle, passed]),
    [
      [open?.handles[1], undefined],
      [open?.handles[2], undefined],
      [web.handle, 'web'],
    ],
    'a successor is given each, and told which one is not ours',
  );
});

test('where nobody else may bind beside it, all slots have the one that was passed', (t) => {
  const system = new FakeSystem();
  t.after(() => system.dispose());
  const web = passed(system, ownPort(), false);
  const sockets = new Sockets(system.io, system.log, 3, [web]);
  const [open] = sockets.want([wish(web.port)]).opened;
  assert.deepEqual(open?.handles, [web.handle, web.handle, web.handle]);
  assert.deepEqual(sockets.failed, []);
  assert.equal([...sockets.given()].length, 1, 'a successor is given it once');
});

test('what was passed is neither held nor closed, waits for the next program, and serves again when it is wished', async (t) => {
  const system = new FakeSystem();
  t.after(() => system.dispose());
  const [web, idle] = [passed(system, ownPort(), false), passed(system, ownPort(), false)];
  const sockets = new Sockets(system.io, system.log, 2, [web, idle]);
  sockets.want([wish(web.port)]);
  sockets.disinherit();
  const unused = (): unknown[] =>
    system.said('a socket passed by LISTEN_FDS is asked for by no listener').map((line) => line['port']);
  assert.deepEqual(unused(), [idle.port], 'what nobody asks for is said');
  const { closing } = sockets.want([]);
  assert.deepEqual(unused(), [idle.port, web.port], 'also when it is no longer asked for');
  for (const socket of closing) {
    sockets.hold(socket);
    sockets.close(socket);
  }
  assert.ok(await established(web.port), 'connections wait there for whoever comes');
  assert.equal(sockets.want([wish(web.port)]).opened[0]?.handles[0], web.handle);
});

test('what was passed to a predecessor is no less passed to its successor', async (t) => {
  const system = new FakeSystem();
  t.after(() => system.dispose());
  const web = passed(system, ownPort(), false);
  const sockets = new Sockets(system.io, system.log, 2);
  sockets.inheritPassed(web);
  sockets.disinherit();
  const [open] = sockets.want([wish(web.port)]).opened;
  assert.deepEqual(open?.handles, [web.handle, web.handle]);
  for (const socket of sockets.all()) sockets.close(socket);
  assert.ok(await established(web.port));
});
