// Message bodies both ways (RFC 9112 sections 6 and 7), streamed and byte for byte.

import assert from 'node:assert/strict';
import { onBoth, type Peer } from '../support/net.ts';
import { answering, bodyText, get, ok, Rig } from './rig.ts';

/** Bytes that differ everywhere, so that a lost or doubled piece shows. */
function pattern(n: number): Buffer {
  const bytes = Buffer.alloc(n);
  for (let i = 0; i < n; i++) bytes[i] = (i * 31 + (i >> 8) * 7 + (i >> 16)) & 0xff;
  return bytes;
}

function chunked(body: Buffer, size: number, extension = ''): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < body.length; at += size) {
    const piece = body.subarray(at, at + size);
    parts.push(Buffer.from(`${piece.length.toString(16)}${extension}\r\n`), piece, Buffer.from('\r\n'));
  }
  return Buffer.concat(parts);
}

async function exchange(client: Peer, head: string, body: Buffer): Promise<Buffer> {
  const sent = client.send(Buffer.concat([Buffer.from(head), body]));
  const answer = await client.readMessage();
  await sent;
  assert.equal(answer.status, 200);
  return Buffer.from(answer.body);
}

/** `n` bytes of chunked content, however it is cut. */
async function content(peer: Peer, n: number): Promise<string> {
  let text = '';
  while (text.length < n) {
    const size = Number.parseInt(await peer.readUntil('\r\n'), 16);
    text += Buffer.from(await peer.readExactly(size)).toString();
    await peer.readUntil('\r\n');
  }
  return text;
}

/** Sends back what it got, framed as it came. */
async function echo(peer: Peer): Promise<void> {
  for (;;) {
    const request = await peer.readMessage().catch(() => null);
    if (request === null) return;
    const body = Buffer.from(request.body);
    if (request.framing === 'chunked') {
      await peer.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
      await peer.send(Buffer.concat([chunked(body, 5000), Buffer.from('0\r\n\r\n')]));
    } else {
      await peer.send(Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`), body]));
    }
  }
}

for (const size of [0, 1, 1000, 5000, 200_000]) {
  onBoth(`bodies of ${size} bytes by length and in chunks come back the same`, async (net) => {
    const rig = new Rig(net, [net.serve(echo)]);
    const client = await rig.connect();
    const body = pattern(size);
    const byLength = `POST /l HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n`;
    const inChunks = 'POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n';
    const end = Buffer.from('0\r\n\r\n');
    for (let i = 0; i < 2; i++) {
      assert.deepEqual(await exchange(client, byLength, body), body);
      assert.deepEqual(await exchange(client, inChunks, Buffer.concat([chunked(body, 777, ';a=b'), end])), body);
    }
    client.close();
    await rig.end();
    for (const record of rig.records.all) {
      assert.equal(record.requestBytes, size);
      assert.equal(record.responseBytes, size);
      assert.equal(record.flags, '');
    }
    assert.equal(rig.records.all.length, 4);
  });
}

onBoth('chunk extensions are not passed on, in either direction', async (net) => {
  let seen = '';
  const backend = net.serve(async (peer) => {
    await peer.readHead();
    seen = await peer.readUntil('0\r\n\r\n');
    await peer.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x="y"\r\nxyz\r\n0;z\r\n\r\n');
  });
  const rig = new Rig(net, [backend]);
  const client = await rig.connect();
  await client.send('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;evil=1\r\nabc\r\n0;q\r\n\r\n');
  const head = await client.readHead();
  assert.equal(head.framing, 'chunked');
  // However it was cut on its way.
  assert.match(await client.readUntil('0\r\n\r\n'), /^([1-3]\r\n[xyz]{1,3}\r\n)+0\r\n\r\n$/);
  assert.match(seen, /^([1-3]\r\n[abc]{1,3}\r\n)+0\r\n\r\n$/);
  client.close();
  await rig.end();
});

onBoth('trailers pass both ways, without those that must not (RFC 9110 section 6.5)', async (net) => {
  let seen = new Map<string, string[]>();
  const backend = net.serve(async (peer) => {
    const request = await peer.readMessage();
    seen = request.trailers;
    await peer.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n');
    await peer.send('2\r\nok\r\n0\r\nX-Sum: 7\r\nDate: never\r\n\r\n');
  });
  const rig = new Rig(net, [backend]);
  const client = await rig.connect();
  await client.send(
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\nConnection: TE\r\n\r\n',
  );
  await client.send('3\r\nabc\r\n0\r\nX-Check: 1\r\nHost: evil\r\n\r\n');
  const answer = await client.readMessage();
  assert.equal(bodyText(answer), 'ok');
  assert.deepEqual([...answer.trailers], [['x-sum', ['7']]]);
  assert.deepEqual([...seen], [['x-check', ['1']]]);
  client.close();
  await rig.end();
});

onBoth('a close-delimited response becomes chunked for HTTP/1.1 and ends in order', async (net) => {
  const body = pattern(100_000);
  const backend = net.serve(async (peer) => {
    await peer.readMessage();
    await peer.send('HTTP/1.1 200 OK\r\nContent-Type: x/y\r\n\r\n');
    await peer.send(body);
    peer.close();
  });
  const rig = new Rig(net, [backend]);
  const client = await rig.connect();
  for (let i = 0; i < 2; i++) {
    await client.send(get());
    const answer = await client.readMessage();
    assert.equal(answer.framing, 'chunked');
    assert.deepEqual(Buffer.from(answer.body), body);
  }
  client.close();
  await rig.end();
});

onBoth(
  'an HTTP/1.0 client gets no chunks: a chunked response is ended by closing (RFC 9112 section 6.1)',
  async (net) => {
    const body = pattern(70_000);
    const backend = net.serve(async (peer) => {
      await peer.readMessage();
      await peer.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
      await peer.send(Buffer.concat([chunked(body, 3000), Buffer.from('0\r\nX-T: 1\r\n\r\n')]));
    });
    const rig = new Rig(net, [backend]);
    const client = await rig.connect();
    await client.send('GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n');
    const answer = await client.readMessage();
    assert.equal(answer.framing, 'close');
    assert.deepEqual(answer.headers.get('connection'), ['close']);
    assert.deepEqual(Buffer.from(answer.body), body);
    await rig.end();
  },
);

onBoth('HTTP/1.0 keep-alive is honoured and said', async (net) => {
  const rig = new Rig(net, [answering(net, (r) => ok(r.target))]);
  const client = await rig.connect();
  for (const target of ['/1', '/2']) {
    await client.send(`GET ${target} HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n`);
    const answer = await client.readMessage();
    assert.deepEqual(answer.headers.get('connection'), ['keep-alive']);
    assert.equal(bodyText(answer), target);
  }
  await client.send('GET /3 HTTP/1.0\r\nHost: a\r\n\r\n');
  const answer = await client.readMessage();
  assert.deepEqual(answer.headers.get('connection'), ['close']);
  assert.equal(await client.read(), null);
  await rig.end();
});

onBoth('HTTP/1.0 requests without Host reach the backend as HTTP/1.1 with one', async (net) => {
  let host: string[] | undefined;
  const backend = net.serve(async (peer) => {
    const request = await peer.readMessage();
    host = request.headers.get('host');
    assert.equal(request.version, '1.1');
    await peer.send(ok('x'));
  });
  const rig = new Rig(net, [backend]);
  const client = await rig.connect();
  await client.send('GET / HTTP/1.0\r\n\r\n');
  assert.equal((await client.readMessage()).status, 200);
  assert.deepEqual(host, ['']);
  await rig.end();
});

onBoth('HEAD, 204 and 304 have no body whatever they say (RFC 9112 section 6.3)', async (net) => {
  const backend = answering(net, (r) => {
    if (r.method === 'HEAD') return 'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n';
    if (r.target === '/304') return 'HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\nETag: "x"\r\n\r\n';
    if (r.target === '/204') return 'HTTP/1.1 204 No Content\r\n\r\n';
    return ok('plain');
  });
  const rig = new Rig(net, [backend]);
  const client = await rig.connect();
  await client.send('HEAD / HTTP/1.1\r\nHost: a\r\n\r\n');
  const head = await client.readMessage({ answersHead: true });
  assert.deepEqual(head.headers.get('content-length'), ['1000']);
  await client.send(get('/304'));
  assert.equal((await client.readMessage()).status, 304);
  await client.send(get('/204'));
  const none = await client.readMessage();
  assert.equal(none.status, 204);
  assert.equal(none.headers.get('content-length'), undefined);
  await client.send(get('/'));
  assert.equal(bodyText(await client.readMessage()), 'plain');
  client.close();
  await rig.end();
  assert.deepEqual(
    rig.records.all.map((r) => r.responseBytes),
    [0, 0, 0, 5],
  );
});

onBoth('heads arrive in any number of pieces, on both sides', async (net) => {
  const backend = net.serve(async (peer) => {
    await peer.readMessage();
    for (const c of 'HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 3\r\n\r\nabc') {
      await peer.send(c);
      await net.settle();
    }
  });
  const rig = new Rig(net, [backend]);
  const client = await rig.connect();
  for (const c of 'POST /pieces HTTP/1.1\r\nHost: a.example\r\nContent-Length: 4\r\n\r\nbody') {
    await client.send(c);
    await net.settle();
  }
  const answer = await client.readMessage();
  assert.deepEqual(answer.headers.get('x-a'), ['b']);
  assert.equal(bodyText(answer), 'abc');
  client.close();
  await rig.end();
});

onBoth('both bodies stream at the same time', async (net) => {
  // The backend answers piece for piece while the request is still coming.
  const backend = net.serve(async (peer) => {
    await peer.readHead();
    await peer.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
    for (let i = 0; i < 5; i++) {
      const piece = await content(peer, 6);
      await peer.send(`6\r\n${piece}\r\n`);
    }
    await peer.readUntil('0\r\n\r\n');
    await peer.send('0\r\n\r\n');
  });
  const rig = new Rig(net, [backend]);
  const client = await rig.connect();
  await client.send('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
  for (let i = 0; i < 5; i++) {
    await client.send(`6\r\npiece${i}\r\n`);
    if (i === 0) assert.equal((await client.readHead()).framing, 'chunked');
    assert.equal(await content(client, 6), `piece${i}`);
  }
  await client.send('0\r\n\r\n');
  assert.equal(await client.readUntil('0\r\n\r\n'), '0\r\n\r\n');
  client.close();
  await rig.end();
});

onBoth('an HTTP/1.0 client hears of no transfer coding, not even in an answer to HEAD', async (net) => {
  const rig = new Rig(net, [answering(net, () => 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')]);
  const client = await rig.connect();
  await client.send('HEAD / HTTP/1.0\r\nHost: a\r\n\r\n');
  const answer = await client.readMessage({ answersHead: true });
  assert.equal(answer.headers.get('transfer-encoding'), undefined);
  await rig.end();
});
