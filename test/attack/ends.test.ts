// No end is invented: when the program has to go before a response is complete, the client can tell.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../../src/base/limits.ts';
import { gateway, routeYaml } from '../process/support.ts';
import { get, ok, pause, saying, Target, until, within } from './support.ts';

/** Endless in the three ways a body can be delimited, and how a client asks so that it gets it that way. */
const endless: readonly (readonly [name: string, answer: string, request: string])[] = [
  ['by length', 'HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nhello', get('/')],
  ['in chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n', get('/')],
  ['until the connection closes', 'HTTP/1.1 200 OK\r\n\r\nhello', get('/')],
  ['by length, for HTTP/1.0', 'HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nhello', 'GET / HTTP/1.0\r\n\r\n'],
  [
    'in chunks, for HTTP/1.0',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n',
    'GET / HTTP/1.0\r\n\r\n',
  ],
  ['until the connection closes, for HTTP/1.0', 'HTTP/1.0 200 OK\r\n\r\nhello', 'GET / HTTP/1.0\r\n\r\n'],
];

/** Starts one response of each kind and waits until its first content is with the client. */
async function underWay(
  target: Target,
  path = '/',
): Promise<{ name: string; over: () => Promise<{ how: string; text: string }> }[]> {
  const all = [];
  for (const [name, answer, request] of endless) {
    target.backend.script = saying(answer);
    const client = await target.connect();
    client.trySend(request.replace('/', path));
    await client.readUntil('hello');
    all.push({ name, over: () => client.over() });
  }
  return all;
}

/** The strict reader finds no end in it, or the end was a reset. */
function unfinished({ name, how, text }: { name: string; how: string; text: string }): void {
  const delimited = /content-length|transfer-encoding/i.test(text);
  if (delimited) assert.ok(!text.endsWith('0\r\n\r\n'), `${name}: a last chunk was invented`);
  else assert.equal(how, 'reset', `${name}: its end looks like that of a whole response`);
}

test('the drain time is over', () =>
  Target.with({ args: ['--drain-timeout', '300ms'] }, async (target) => {
    const clients = await underWay(target);
    target.rauta.process.kill('SIGTERM');
    for (const { name, over } of clients) unfinished({ name, ...(await over()) });
    assert.equal(await within(target.rauta.exited, 'the program'), 0);
  }));

test('a second signal', () =>
  Target.with({}, async (target) => {
    const clients = await underWay(target);
    target.rauta.process.kill('SIGTERM');
    await target.rauta.said('draining');
    // Sooner it would be the first one, said twice.
    await pause(LIMITS.STOP_AGAIN_MS);
    target.rauta.process.kill('SIGTERM');
    for (const { name, over } of clients) unfinished({ name, ...(await over()) });
    await within(target.rauta.exited, 'the program');
  }));

test('a worker is killed', () =>
  Target.with({}, async (target) => {
    const clients = await underWay(target);
    process.kill((await target.rauta.workers())[0]?.pid as number, 'SIGKILL');
    for (const { name, over } of clients) unfinished({ name, ...(await over()) });
    target.rauta.process.kill('SIGTERM');
    await within(target.rauta.exited, 'the program');
  }));

test('time limits of the rule', () => {
  const limited = (kind: string): string =>
    routeYaml(kind.toLowerCase(), `/${kind}`, 'app', `      timeouts: { ${kind}: 2s }\n`);
  return Target.with({ routes: () => limited('request') + limited('backendRequest') }, async (target) => {
    for (const kind of ['request', 'backendRequest']) {
      for (const { name, over } of await underWay(target, `/${kind}`)) {
        assert.equal((await over()).how, 'reset', `${kind}, ${name}`);
      }
    }
  });
});

test('routes, backends and listeners that go while bodies stream end nothing that is under way', () =>
  Target.with({}, async (target) => {
    const half = 'x'.repeat(100_000);
    const goOn: (() => void)[] = [];
    target.backend.reset(async (wire) => {
      await wire.readHead();
      await wire.send(`HTTP/1.1 200 OK\r\nContent-Length: ${2 * half.length}\r\n\r\n${half}`);
      await new Promise<void>((resolve) => goOn.push(resolve));
      await wire.send(half);
    });
    const clients = await Promise.all(Array.from({ length: 6 }, () => target.connect()));
    for (const client of clients) {
      client.trySend(get('/'));
      await client.readUntil('x');
    }
    const revision = async (): Promise<number> => (await target.rauta.workers())[0]?.revision ?? 0;
    const settled = async (before: number): Promise<void> => {
      await until(async () => (await revision()) !== before, 'the revision');
    };
    for (const yaml of [
      // Another route and no backend; then no listener.
      gateway(target.port) + routeYaml('app', '/elsewhere', 'gone'),
      '',
    ]) {
      const before = await revision();
      target.rauta.write('a.yaml', yaml);
      await settled(before);
      goOn.shift()?.();
      goOn.shift()?.();
    }
    for (const go of goOn.splice(0)) go();
    for (const client of clients) {
      client.end();
      const { text } = await client.over();
      assert.equal(text.length - text.indexOf('\r\n\r\n') - 4, 2 * half.length);
    }
  }));

test('an upload whose listener goes is not cut', () =>
  Target.with({}, async (target) => {
    target.backend.reset(async (wire, backend) => {
      const request = await backend.request(wire);
      await wire.send(ok(String(request.body.length)));
    });
    const client = await target.connect();
    await client.send(`POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 200000\r\n\r\n${'x'.repeat(100_000)}`);
    const revision = (await target.rauta.workers())[0]?.revision;
    target.rauta.write('a.yaml', '');
    await until(async () => (await target.rauta.workers())[0]?.revision !== revision, 'the revision');
    await client.send('x'.repeat(100_000));
    const answer = await client.readMessage();
    assert.equal(Buffer.from(answer.body).toString(), '200000');
    assert.deepEqual(answer.headers.get('connection'), ['close']);
    assert.equal((await client.over()).how, 'fin');
  }));
