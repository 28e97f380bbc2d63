// What `explain` says of a request is what becomes of it: of files, of a running program, and on the wire.

import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Explanation } from '../../src/explain/explanation.ts';
import { OWN_ADDRESS, ownPort } from '../support/keeper.ts';
import { backend, backendYaml, command, freePort, gateway, get, Rauta, routeYaml, udpFiles } from './support.ts';

test('explain says of files and of a running program what the proxy then does', async () => {
  const port = await freePort();
  const app = await backend('app');
  const program = await Rauta.start({
    'a.yaml': gateway(port) + routeYaml('app', '/app', 'app') + routeYaml('lost', '/lost', 'none'),
    'b.yaml': backendYaml('app', app.port),
  });
  const admin = `127.0.0.1:${program.admin}`;
  for (const [path, status] of [
    ['/app/x?y=1', 200],
    ['/lost', 500],
    ['/nothing', 404],
    ['/%2e%2e/x', 400],
  ] as const) {
    const url = `http://127.0.0.1:${port}${path}`;
    assert.equal((await get(port, path)).status, status, path);
    for (const where of [
      ['--config', program.folder],
      ['--admin', admin],
    ]) {
      const { code, out } = await command(['explain', 'GET', url, ...where, '--json']);
      const told = JSON.parse(out) as Explanation;
      assert.equal(told.status ?? 200, status, `${path} ${where[0]}`);
      assert.equal(code, told.rule === null ? 1 : 0);
      if (status === 200) assert.equal(told.backends[0]?.endpoints[0]?.port, app.port);
    }
  }
  const text = await command(['explain', 'GET', `http://127.0.0.1:${port}/app`, '--admin', admin]);
  assert.match(text.out, /^outcome {4}forwarded to default\/app\n/);
  assert.match(text.out, /~> 127\.0\.0\.1:\d+ \(.*ready, 1 requests, 0 active\)/);
  const page = await program.ask(`/explain?url=${encodeURIComponent(`http://127.0.0.1:${port}/nothing`)}`);
  assert.match(page.body, /^outcome {4}404: no route \[NR\]\n/);
  assert.equal((await program.ask('/explain')).status, 400);
  assert.equal((await program.ask('/explain?url=x')).status, 400);
  await program.stop();
});

test('explain says to which endpoint a flow of datagrams goes, and it goes there', async () => {
  const servers = await Promise.all([1, 2, 3].map(() => udpAnswerer()));
  const port = ownPort();
  const ports = servers.map((server) => server.port);
  const program = await Rauta.start(udpFiles(port, ports));
  const admin = `127.0.0.1:${program.admin}`;
  const url = `udp://${OWN_ADDRESS}:${port}`;
  const json = { accept: 'application/json' };
  const seen = new Set<number>();
  for (let flow = 0; flow < 12; flow++) {
    const client = createSocket('udp4');
    client.bind(0, '127.0.0.1');
    await once(client, 'listening');
    const from = `127.0.0.1:${client.address().port}`;
    const page = await program.ask(`/explain?url=${encodeURIComponent(url)}&client=${from}`, json);
    const answer = once(client, 'message');
    client.send('which', port, OWN_ADDRESS);
    const by = Number(((await answer)[0] as Buffer).toString());
    seen.add(by);
    assert.equal(nextOf(JSON.parse(page.body)), by, from);
    client.close();
    if (flow > 0) continue;
    const files = await command(['explain', url, '--client', from, '--config', program.folder, '--json']);
    assert.equal(nextOf(JSON.parse(files.out)), by);
  }
  assert.ok(seen.size > 1, 'of three endpoints more than one had a flow');
  const text = await command(['explain', url, '--client', '127.0.0.1:9', '--admin', admin]);
  assert.equal(text.code, 0, text.err);
  assert.match(text.out, /^outcome {4}relayed to default\/app\n/);
  assert.match(text.out, /rule {7}UDPRoute default\/dns rule 0\n/);
  assert.match(text.out, /=> 127\.0\.0\.1:\d+ \(.*ready, \d+ requests, \d+ active\)/);
  await program.stop();
  for (const server of servers) server.close();
});

/** Answers with its own port. */
async function udpAnswerer(): Promise<{ port: number; close: () => void }> {
  const socket = createSocket('udp4');
  socket.on('message', (_bytes, { address, port }) => socket.send(`${socket.address().port}`, port, address));
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  socket.unref();
  return { port: socket.address().port, close: () => socket.close() };
}

/** Port of the endpoint that is said to get it. */
function nextOf({ backends }: Explanation): number | undefined {
  return backends.flatMap(({ endpoints }) => endpoints).find(({ turn }) => turn === 'next')?.port;
}

test('explain that cannot says why, with the exit code of its kind', async () => {
  const nowhere = `127.0.0.1:${await freePort()}`;
  const gone = join('no', 'such', 'folder');
  for (const [argv, code, expected] of [
    [['explain'], 2, /takes METHOD and URL/],
    [['explain', 'GET'], 2, /takes METHOD and URL/],
    [['explain', 'GET', 'http://a/', 'x'], 2, /takes METHOD and URL/],
    [['explain', 'GET', 'x'], 2, /is not http:\/\/HOST/],
    [['explain', 'GET', 'x', '--config', 'examples/quickstart'], 2, /is not http:\/\/HOST/],
    [['explain', 'GET', 'http://a/', '--config', gone], 3, /no such|not exist|ENOENT/i],
    [['explain', 'GET', 'http://a/', '--config', gone, '--admin', nowhere], 2, /not both/],
    [['explain', 'GET', 'http://a/', '--admin', nowhere], 3, /does not answer/],
    [['explain', 'GET', 'http://a/', '--bad'], 2, /^rauta: explain: unknown flag --bad/],
    [['explain', 'GET', 'http://a/', '--config', 'examples/quickstart', '--trusted-proxies', 'x'], 2, /not an address/],
  ] as const) {
    const said = await command(argv);
    assert.equal(said.code, code, argv.join(' '));
    assert.match(said.err, expected);
    assert.equal(said.out, '');
  }
  const help = await command(['explain', '--help']);
  assert.equal(help.code, 0);
  for (const line of help.out.split('\n')) assert.ok(line.length <= 80, line);
});

test('a session is asked for by its URL alone, which for a request means GET', async () => {
  const session = await command(['explain', 'tcp://127.0.0.1:8080', '--config', 'examples/tcp']);
  assert.equal(session.code, 0, session.err);
  assert.match(session.out, /^outcome {4}relayed to /);
  const request = await command(['explain', 'http://127.0.0.1:8080/hello', '--config', 'examples/quickstart']);
  assert.equal(request.code, 0, request.err);
  const named = await command(['explain', 'GET', 'http://127.0.0.1:8080/hello', '--config', 'examples/quickstart']);
  assert.equal(request.out, named.out);
});
