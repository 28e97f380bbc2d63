// Framing errors that come together with the head of their message: nothing was passed on yet, so nothing is cut off.

import assert from 'node:assert/strict';
import { LIMITS } from '../../src/base/limits.ts';
import { onBoth, type RunOptions } from '../support/net.ts';
import { answering, bodyText, get, ok, Rig } from './rig.ts';

/** One segment has to come as one. */
const WHOLE: RunOptions = { seeds: 0 };

const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';
const DATED = `HTTP/1.1 200 OK\r\nDate: Thu, 26 Nov 2026 10:00:00 GMT\r\nTransfer-Encoding: chunked\r\n\r\n`;

/** Bodies in chunks that are no such thing. */
const BROKEN: readonly (readonly [name: string, body: string])[] = [
  ['a size that is none', 'zz\r\nok\r\n0\r\n\r\n'],
  ['no size', '\r\nok\r\n0\r\n\r\n'],
  ['white space in front of the size', ' 2\r\nok\r\n0\r\n\r\n'],
  ['white space within the size', '2 2\r\nok\r\n0\r\n\r\n'],
  ['a size beyond all numbers', `${'f'.repeat(20)}\r\nok`],
  ['a line of 5,000 bytes', `2;x=${'y'.repeat(5000)}\r\nok\r\n0\r\n\r\n`],
  ['a bare line feed behind the size', '2\nok\r\n0\r\n\r\n'],
  ['more content than announced', '2\r\nokay\r\n0\r\n\r\n'],
  ['a good chunk, then a bad size', '2\r\nok\r\nxx\r\n'],
  ['a trailer that is no field', '2\r\nok\r\n0\r\nno colon\r\n\r\n'],
  ['a trailer with white space before its colon', '2\r\nok\r\n0\r\nx : y\r\n\r\n'],
  ['a trailer that speaks of framing', '2\r\nok\r\n0\r\nContent-Length: 5\r\n\r\n'],
  ['trailers past the limit', `2\r\nok\r\n0\r\nx: ${'y'.repeat(LIMITS.TRAILER_BYTES)}\r\n\r\n`],
  ['too many trailers', `2\r\nok\r\n0\r\n${'x: y\r\n'.repeat(LIMITS.FIELDS + 1)}\r\n`],
];

for (const [name, body] of BROKEN) {
  onBoth(
    `a response with its head and ${name} in one segment is answered 502, and the client goes on`,
    async (net) => {
      let head = CHUNKED;
      const rig = new Rig(net, [answering(net, (r) => (r.target === '/bad' ? head + body : ok('good')))]);
      const client = await rig.connect();
      for (head of [CHUNKED, DATED]) {
        await client.send(get('/bad'));
        const answer = await client.readMessage();
        assert.equal(answer.status, 502);
        assert.deepEqual(answer.headers.get('content-type'), ['text/plain; charset=utf-8']);
        await net.settle();
        const { status, flags, responseBytes } = rig.records.last;
        assert.deepEqual(
          { status, flags, responseBytes },
          { status: 502, flags: 'UPE', responseBytes: answer.body.length },
        );
        await client.send(get('/good'));
        assert.equal(bodyText(await client.readMessage()), 'good');
      }
      // HTTP/1.0 gets no chunks: its end would have been told by closing.
      await client.send('GET /bad HTTP/1.0\r\nHost: a\r\n\r\n');
      assert.equal((await client.readMessage()).status, 502);
      client.close();
      await rig.end();
    },
    // Over TLS it is one only where it fits into a record.
    body.length < 16_000 ? WHOLE : { ...WHOLE, plain: 'more than a record' },
  );

  onBoth(
    `a request with its head and ${name} in one segment is answered 400, and nothing of it goes on`,
    async (net) => {
      const targets: string[] = [];
      const backend = net.serve(async (peer) => {
        for (;;) {
          targets.push((await peer.readHead()).target);
          await peer.send(ok('good'));
        }
      });
      const rig = new Rig(net, [backend]);
      const client = await rig.connect();
      await client.send(get('/first'));
      await client.readMessage();
      await client.send(`POST /bad HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${body}`);
      assert.equal((await client.readMessage()).status, 400);
      assert.equal(await client.read(), null);
      await net.settle();
      assert.equal(rig.records.last.status, 400);
      assert.equal(rig.records.last.flags, 'DPE');
      assert.deepEqual(targets, ['/first']);
      client.close();
      await rig.end();
    },
    WHOLE,
  );
}

onBoth(
  'a framing error behind what was passed on cuts the answer off, and the log says how much went',
  async (net) => {
    let more = (): void => {};
    const sent = new Promise<void>((resolve) => {
      more = resolve;
    });
    const backend = net.serve(async (peer) => {
      await peer.readMessage();
      await peer.send(`${CHUNKED}5\r\nhello\r\n`);
      await sent;
      await peer.send('5\r\nworld\r\nzz\r\n');
      await peer.readAll().catch(() => {});
    });
    const rig = new Rig(net, [backend]);
    const client = await rig.connect();
    await client.send(get());
    await client.readHead();
    await client.readUntil('hello');
    more();
    // The reset waits until the client has what came before.
    await Promise.all([assert.rejects(client.readUntil('world\r\n0\r\n')), net.advance(200)]);
    await rig.end();
    const { status, flags, responseBytes } = rig.records.last;
    // What stood in front of the error went too.
    assert.deepEqual({ status, flags, responseBytes }, { status: 200, flags: 'UPE', responseBytes: 10 });
  },
  WHOLE,
);

for (const line of ['2  ', '2\t', '2 ;a', '2;a ', '2;a=b \t', '2;a="b" ']) {
  onBoth(
    `white space at the end of a chunk's line (${JSON.stringify(line)}) is skipped in responses, refused in requests`,
    async (net) => {
      const body = `${line}\r\nok\r\n0  \r\n\r\n`;
      const rig = new Rig(net, [answering(net, () => CHUNKED + body)]);
      const client = await rig.connect();
      await client.send(get());
      assert.equal(bodyText(await client.readMessage()), 'ok');
      await client.send(`POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${body}`);
      assert.equal((await client.readMessage()).status, 400);
      client.close();
      await rig.end();
    },
  );
}

onBoth(
  'a request that turns out bad before anything of it was sent leaves the connection to the backend to others',
  async (net) => {
    let connections = 0;
    const backend = net.serve(async (peer) => {
      connections++;
      for (;;) {
        if ((await peer.readMessage().catch(() => null)) === null) return;
        await peer.send(ok('good'));
      }
    });
    const rig = new Rig(net, [backend]);
    for (const request of [get(), `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n`, get()]) {
      const client = await rig.connect();
      await client.send(request);
      assert.equal((await client.readMessage()).status, request.startsWith('GET') ? 200 : 400);
      client.close();
      await net.settle();
    }
    await rig.end();
    assert.equal(connections, 1);
  },
  WHOLE,
);
