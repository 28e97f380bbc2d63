// Backends that lie, err or are somebody else's: what they send is one well-framed response to one request, or 502, and
// never reaches another request; a response that is not whole never looks whole (RFC 9112 sections 6.3, 8 and 9.2).

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Message } from '../support/http.ts';
import { answering, get, ok, pause, responsesOf, saying, statusesOf, Target, type Wire } from './support.ts';

let target: Target;
before(async () => {
  target = await Target.start();
});
after(() => target.end());

const POISON = ok('POISON');
const head = (fields = '', status = '200 OK'): string => `HTTP/1.1 ${status}\r\n${fields}\r\n`;
const chunked = (body: string): string => head('Transfer-Encoding: chunked\r\n') + body;

/** What the client gets: the status and body of a whole response, 502, or a response that is cut off. */
type Got = string | 502 | 'cut';
type Case = readonly [name: string, answer: string, ends: 'keep' | 'fin' | 'reset', got: Got, method?: string];

const cases: readonly Case[] = [
  // ---- status lines
  ['status 000', head('', '000 X'), 'keep', 502],
  ['status 099', head('', '099 X'), 'keep', 502],
  ['status 1000', head('', '1000 X'), 'keep', 502],
  ['status abc', head('', 'abc X'), 'keep', 502],
  ['status 20', head('', '20 OK'), 'keep', 502],
  ['status +20', head('', '+20 OK'), 'keep', 502],
  ['a space before the status', 'HTTP/1.1  200 OK\r\n\r\n', 'fin', 502],
  ['HTTP/0.9', '<html>hello, world, this is older than heads</html>', 'fin', 502],
  ['a short HTTP/0.9', 'hi', 'fin', 502],
  ['HTTP/2.0', 'HTTP/2.0 200 OK\r\nContent-Length: 1\r\n\r\nx', 'keep', 502],
  ['HTTP/2', 'HTTP/2 200 OK\r\nContent-Length: 1\r\n\r\nx', 'keep', 502],
  ["HTTP/2's SETTINGS", '\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x80\0\x04\0\x01\0\0\0\x05\0\xff\xff\xff', 'keep', 502],
  ['a TLS alert', '\x15\x03\x01\0\x02\x02\x0a\x15\x03\x01\0\x02\x02\x0a', 'fin', 502],
  ['an SSH banner', 'SSH-2.0-OpenSSH_9.6p1 Debian\r\n', 'keep', 502],
  ['http/1.1', 'http/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx', 'keep', 502],
  ['an empty line first', `\r\n${ok('x')}`, 'keep', 502],
  ['NUL in the reason', head('Content-Length: 0\r\n', '200 O\0K'), 'keep', 502],
  ['CR in the reason', head('Content-Length: 0\r\n', '200 O\rK'), 'keep', 502],
  ['no reason', `${head('Content-Length: 1\r\n', '200 ')}x`, 'keep', '200 x'],
  ['no space behind the status', `${head('Content-Length: 1\r\n', '200')}x`, 'keep', '200 x'],
  ['status 999', `${head('Content-Length: 1\r\n', '599 X')}x`, 'keep', '599 x'],

  // ---- fields
  ['LF line ends', 'HTTP/1.1 200 OK\nContent-Length: 1\n\nx', 'keep', 502],
  ['LF at the end of the head', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\nx', 'keep', 502],
  ['a folded field', `${head('X: y\r\n z\r\nContent-Length: 1\r\n')}x`, 'keep', 502],
  ['a folded length', `${head('Content-Length:\r\n 1\r\n')}x`, 'keep', 502],
  ['a field without colon', `${head('X\r\nContent-Length: 1\r\n')}x`, 'keep', 502],
  ['a field without name', `${head(': x\r\nContent-Length: 1\r\n')}x`, 'keep', 502],
  ['NUL in a value', `${head('X: \0\r\nContent-Length: 1\r\n')}x`, 'keep', 502],
  ['a bare CR in a value', `${head('X: a\rSet-Cookie: b\r\nContent-Length: 1\r\n')}x`, 'keep', 502],
  ['a space in a name', `${head('X Y: z\r\nContent-Length: 1\r\n')}x`, 'keep', 502],
  ['space before a colon', `${head('Content-Length : 1\r\n')}x`, 'keep', '200 x'],
  ['257 fields', `${head(`${'X: y\r\n'.repeat(257)}Content-Length: 1\r\n`)}x`, 'keep', 502],
  ['a head of 1 MB', head(`X: ${'y'.repeat(1 << 20)}\r\n`), 'keep', 502],
  ['a head of 1 MB in fields', head(`X: ${'y'.repeat(10_000)}\r\n`.repeat(100)), 'keep', 502],
  ['a head without end', 'HTTP/1.1 200 OK\r\nX: y\r\n', 'fin', 502],
  ['a head without end, reset', 'HTTP/1.1 200 OK\r\nX: y\r\n', 'reset', 502],
  ['nothing', '', 'fin', 502],
  ['nothing, reset', '', 'reset', 502],

  // ---- framing
  [
    'both framings',
    `${head('Content-Length: 5\r\nTransfer-Encoding: chunked\r\n')}5\r\nhello\r\n0\r\n\r\n`,
    'keep',
    502,
  ],
  ['two lengths', `${head('Content-Length: 1\r\nContent-Length: 5\r\n')}x`, 'keep', 502],
  ['two equal lengths', `${head('Content-Length: 1\r\nContent-Length: 1\r\n')}x`, 'keep', 502],
  ['a list of lengths', `${head('Content-Length: 1, 1\r\n')}x`, 'keep', 502],
  ['a negative length', `${head('Content-Length: -1\r\n')}x`, 'keep', 502],
  ['+1', `${head('Content-Length: +1\r\n')}x`, 'keep', 502],
  ['an empty length', `${head('Content-Length:\r\n')}x`, 'keep', 502],
  ['TE: gzip', `${head('Transfer-Encoding: gzip\r\n')}x`, 'fin', 502],
  ['TE: identity', `${head('Transfer-Encoding: identity\r\n')}x`, 'fin', 502],
  ['gzip, chunked', `${head('Transfer-Encoding: gzip, chunked\r\n')}1\r\nx\r\n0\r\n\r\n`, 'keep', 502],
  ['chunked twice', `${head('Transfer-Encoding: chunked, chunked\r\n')}1\r\nx\r\n0\r\n\r\n`, 'keep', 502],
  [
    'two TE lines',
    `${head('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n')}1\r\nx\r\n0\r\n\r\n`,
    'keep',
    502,
  ],
  ['chunked in HTTP/1.0', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n', 'fin', 502],
  ['TE hidden by a vertical tab', `${head('Transfer-Encoding: \x0bchunked\r\n')}1\r\nx\r\n0\r\n\r\n`, 'fin', 502],
  ['close-delimited', `${head()}hello`, 'fin', '200 hello'],
  ['close-delimited, reset', `${head()}hello`, 'reset', 'cut'],
  ['close-delimited and keep-alive', `${head('Connection: keep-alive\r\n')}hello`, 'fin', '200 hello'],
  ['HTTP/1.0', 'HTTP/1.0 200 OK\r\n\r\nhello', 'fin', '200 hello'],

  // ---- ends that are none
  ['half a length', `${head('Content-Length: 10\r\n')}hello`, 'fin', 'cut'],
  ['half a length, reset', `${head('Content-Length: 10\r\n')}hello`, 'reset', 'cut'],
  ['no byte of a length', head('Content-Length: 10\r\n'), 'fin', 'cut'],
  ['half a chunk', chunked('a\r\nhello'), 'fin', 'cut'],
  ['half a chunk, reset', chunked('a\r\nhello'), 'reset', 'cut'],
  ['a whole chunk, no last one', chunked('5\r\nhello\r\n'), 'fin', 'cut'],
  ['half a last chunk', chunked('5\r\nhello\r\n0\r\n'), 'fin', 'cut'],
  ['three quarters of a last chunk', chunked('5\r\nhello\r\n0\r\n\r'), 'fin', 'cut'],
  ['half a trailer section', chunked('5\r\nhello\r\n0\r\nX: y\r\n'), 'fin', 'cut'],
  ['no chunk at all', chunked(''), 'fin', 'cut'],
  ['a chunk size that is none', chunked('5\r\nhello\r\nx\r\n'), 'keep', 'cut'],
  ['a chunk longer than it says', chunked('3\r\nhello\r\n0\r\n\r\n'), 'keep', 'cut'],
  ['LF in chunks', chunked('5\nhello\n0\n\n'), 'keep', 'cut'],
  ['a chunk size past 2^53', chunked('fffffffffffffffff\r\nhello'), 'keep', 'cut'],
  ['an extension of 1 MB', chunked(`5;${'x'.repeat(1 << 20)}\r\nhello\r\n0\r\n\r\n`), 'keep', 'cut'],
  ['trailers of 1 MB', chunked(`5\r\nhello\r\n0\r\n${'X: y\r\n'.repeat(200_000)}\r\n`), 'keep', 'cut'],
  ['a framing field as trailer', chunked('5\r\nhello\r\n0\r\nContent-Length: 1\r\n\r\n'), 'keep', 'cut'],
];

/** More than was asked for. */
const excess: readonly Case[] = [
  ['more than its length', ok('x') + POISON, 'keep', '200 x'],
  ['more than its chunks', chunked('1\r\nx\r\n0\r\n\r\n') + POISON, 'keep', '200 x'],
  ['a body with 204', head('Content-Length: 6\r\n', '204 No Content') + POISON, 'keep', '204 '],
  ['a body with 304', head('Content-Length: 6\r\n', '304 Not Modified') + POISON, 'keep', '304 '],
  ['chunks with 204', `${head('Transfer-Encoding: chunked\r\n', '204 No Content')}1\r\nx\r\n0\r\n\r\n`, 'keep', '204 '],
  ['a body with HEAD', head('Content-Length: 6\r\n') + POISON, 'keep', '200 ', 'HEAD'],
  ['chunks with HEAD', chunked('1\r\nx\r\n0\r\n\r\n'), 'keep', '200 ', 'HEAD'],
  ['two responses', ok('x') + POISON + POISON, 'keep', '200 x'],
  ['100 behind the final one', ok('x') + head('', '100 Continue'), 'keep', '200 x'],
  ['100 before it', head('', '100 Continue') + ok('x'), 'keep', '200 x'],
  ['101', head('Connection: upgrade\r\nUpgrade: websocket\r\n', '101 Switching Protocols') + POISON, 'keep', 502],
  ['101 behind 100', head('', '100 Continue') + head('', '101 Switching Protocols') + POISON, 'keep', 502],
  ['a length with 103', head('Content-Length: 6\r\n', '103 Early Hints') + ok('x'), 'keep', '200 x'],
  ['chunked 103', head('Transfer-Encoding: chunked\r\n', '103 Early Hints') + ok('x'), 'keep', '200 x'],
  ['10,000 times 100', head('', '100 Continue').repeat(10_000) + ok('x'), 'keep', 502],
];

/** What a client reads until the end of the connection, with a second request behind the first. */
async function read(text: string, method: string, how: string): Promise<{ first: Got; second: Message | null }> {
  let messages: Message[];
  try {
    messages = (await responsesOf(text, [])).filter((m) => m.status >= 200);
  } catch {
    // Heads of HEAD are read again as such; anything else that does not parse to its end is cut off.
    if (method !== 'HEAD') return { first: 'cut', second: null };
    messages = (await responsesOf(text, [true])).filter((m) => m.status >= 200);
  }
  const [first, second = null] = messages;
  if (first === undefined) return { first: 'cut', second: null };
  if (first.status === 502) return { first: 502, second };
  assert.ok(first.framing !== 'close' || how === 'fin');
  return { first: `${first.status} ${Buffer.from(first.body).toString('latin1')}`, second };
}

for (const pieces of ['whole', 'byte by byte'] as const) {
  test(`what backends answer, ${pieces}`, async () => {
    // What comes behind the next request is its answer to anybody, so excess has to come at once.
    for (const [name, answer, ends, got, method = 'GET'] of pieces === 'whole' ? [...cases, ...excess] : cases) {
      if (pieces !== 'whole' && answer.length > 300) continue;
      target.backend.reset(async (wire, backend) => {
        for (;;) {
          if ((await backend.request(wire)).target !== '/first') {
            await wire.send(ok('second'));
            continue;
          }
          if (pieces === 'whole') wire.trySend(answer);
          else await wire.trickle(answer).catch(() => {});
          if (ends === 'fin') return wire.end();
          if (ends === 'reset') return wire.reset();
        }
      });
      const client = await target.connect();
      client.trySend(get('/first').replace('GET', method) + get('/second'));
      client.end();
      const { how, text } = await client.over();
      const seen = await read(text, method, how);
      // The backend's reset may overtake what it had said; a fault that is seen together with the head is told instead
      // of it.
      const cut = got === 'cut' && !(ends !== 'fin' && seen.first === 502);
      if (got !== 'cut' || cut)
        assert.equal(seen.first, got, `${name}: ${how} behind ${JSON.stringify(text.slice(0, 300))}`);
      if (cut) assert.equal(how, 'reset', `${name}: an end in order behind half a response`);
      else if (seen.second !== null) assert.equal(Buffer.from(seen.second.body).toString(), 'second', name);
      else assert.fail(`${name}: the second request got no answer`);
      assert.ok(!text.includes('POISON'), `${name}: what nobody asked for reached the client`);
      assert.deepEqual(target.backend.violations, [], name);
    }
  });
}

test('half a response does not look whole to HTTP/1.0, whose bodies end with the connection', async () => {
  const whole = ['close-delimited', 'HTTP/1.0'];
  for (const [name, answer, ends, got, method] of cases) {
    if (method !== undefined || (got !== 'cut' && !whole.includes(name))) continue;
    target.backend.reset(saying(answer, ends));
    const client = await target.connect();
    client.trySend('GET / HTTP/1.0\r\nHost: a.example\r\n\r\n');
    const { how, text } = await client.over();
    const told = ends !== 'fin' && text.startsWith('HTTP/1.1 502 ');
    assert.equal(how, got === 'cut' && !told ? 'reset' : 'fin', name);
  }
});

test('what a backend says between two requests is nobody’s answer', async () => {
  // What is said before the next request is sent must not answer it, even if RAUTA sees both in one turn of its
  // reactor. (What is said later cannot be told from an answer by anybody.)
  const resting: Wire[] = [];
  target.backend.reset(async (wire, backend) => {
    for (;;) {
      const request = await backend.request(wire);
      await wire.send(ok(request.target));
      resting.push(wire);
    }
  });
  const clients = await Promise.all(Array.from({ length: 4 }, () => target.connect()));
  for (let i = 0; i < 200; i++) {
    const n = 1 + (i % clients.length);
    const some = clients.slice(0, n);
    for (const wire of resting.splice(0)) wire.socket.write(POISON, () => {});
    some.forEach((client, k) => {
      client.trySend(get(`/${k}/${i}`));
    });
    for (const [k, client] of some.entries()) {
      const answer = await client.readMessage();
      assert.equal(answer.status, 200);
      assert.equal(Buffer.from(answer.body).toString(), `/${k}/${i}`);
    }
  }
  for (const client of clients) client.close();
});

test('an answer before the request is complete, and a second one: one reaches the client, and the connection ends', async () => {
  let early: Wire | undefined;
  target.backend.reset(async (wire) => {
    early = wire;
    await wire.readHead();
    await wire.send(ok('early') + POISON);
  });
  const client = await target.connect();
  await client.send('POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 100000\r\n\r\nx');
  await client.readMessage();
  client.trySend('x'.repeat(50_000));
  client.end();
  assert.deepEqual(statusesOf(await responsesOf((await client.over()).text)), [200]);
  await early?.over();
  target.backend.script = answering();
  await target.alive();
});

test('a stream of interim responses to a client that does not read holds nothing up', async () => {
  const big = head(`Link: <${'x'.repeat(3_000)}>\r\n`, '103 Early Hints');
  target.backend.reset(saying(big.repeat(15) + ok('x')));
  const client = await target.connect();
  client.socket.pause();
  client.trySend(get('/'));
  await pause(50);
  client.socket.resume();
  let answer = await client.readMessage();
  while (answer.status < 200) answer = await client.readMessage();
  assert.equal(Buffer.from(answer.body).toString(), 'x');
  client.close();
});
