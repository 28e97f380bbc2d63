// How exchanges and connections end: in order, early, or cut off. Never a false end.

import assert from 'node:assert/strict';
import { onBoth, type Peer } from '../support/net.ts';
import { answering, bodyText, get, ok, Rig } from './rig.ts';

/** What a client read until its connection ended, and how it ended. */
async function rest(peer: Peer): Promise<{ text: string; how: 'fin' | 'reset' }> {
  let text = '';
  try {
    for (let more = await peer.read(); more !== null; more = await peer.read())
      text += Buffer.from(more).toString('latin1');
    return { text, how: 'fin' };
  } catch {
    return { text, how: 'reset' };
  }
}

onBoth('a client that resets cancels its request upstream', async (net) => {
  let ended: Promise<string> | null = null;
  const backend = net.serve(async (peer) => {
    await peer.readMessage();
    ended = peer.closed;
    await peer.read().catch(() => null);
  });
  const rig = new Rig(net, [backend]);
  const client = await rig.connect();
  await client.send(get());
  while (ended === null) await net.advance(1);
  client.reset();
  await ended;
  await rig.end();
  assert.equal(rig.records.all.length, 1);
  assert.equal(rig.records.last.flags, 'DC');
  assert.equal(rig.records.last.status, 499);
});

onBoth('a client that resets in the middle of its upload cancels it', async (net) => {
  let how = '';
  let begun = false;
  const backend = net.serve(async (peer) => {
    await peer.readHead();
    begun = true;
    how = (await rest(peer)).how;
  });
  const rig = new Rig(net, [backend]);
  const client = await rig.connect();
  await client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nsome');
  while (!begun) await net.advance(1);
  client.reset();
  while (how === '') await net.advance(1);
  // Not an end that a backend could take for the end of the body.
  assert.equal(how, 'reset');
  await rig.end();
  assert.equal(rig.records.last.flags, 'DC');
});

onBoth('a client that ends in the middle of its upload is gone', async (net) => {
  let state: string = '';
  const backend = net.serve(async (peer) => {
    await peer.readHead();
    state = 'begun';
    await rest(peer);
    state = 'ended';
  });
  const rig = new Rig(net, [backend]);
  const client = await rig.connect();
  await client.send('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab');
  while (state !== 'begun') await net.advance(1);
  client.end();
  const { text } = await rest(client);
  assert.equal(text, '');
  while ((state as string) !== 'ended') await net.advance(1);
  await rig.end();
  assert.equal(rig.records.last.flags, 'DC');
});

for (const [name, head, body] of [
  ['by length', 'Content-Length: 1000\r\n', 'x'.repeat(500)],
  ['in chunks', 'Transfer-Encoding: chunked\r\n', '100\r\nabc'],
  ['in chunks, between two', 'Transfer-Encoding: chunked\r\n', '3\r\nabc\r\n'],
] as const) {
  for (const how of ['fin', 'reset'] as const) {
    onBoth(`a response ${name} that is cut off by ${how} is cut off for the client too`, async (net) => {
      const backend = net.serve(async (peer) => {
        await peer.readMessage();
        await peer.send(`HTTP/1.1 200 OK\r\n${head}\r\n${body}`);
        await net.settle();
        if (how === 'fin') peer.close();
        else peer.reset();
      });
      const rig = new Rig(net, [backend]);
      const client = await rig.connect();
      await client.send(get());
      await assert.rejects(client.readMessage());
      client.close();
      await rig.end();
      assert.equal(rig.records.all.length, 1);
      assert.equal(rig.records.last.flags, 'UC');
      assert.ok(rig.records.last.status === 200 || rig.records.last.status === 502);
    });
  }
}

for (const version of ['1.0', '1.1']) {
  onBoth(`a reset in a close-delimited response does not look like its end to HTTP/${version}`, async (net) => {
    const backend = net.serve(async (peer) => {
      await peer.readMessage();
      await peer.send(`HTTP/1.1 200 OK\r\n\r\n${'y'.repeat(3000)}`);
      await net.advance(20);
      peer.reset();
    });
    const rig = new Rig(net, [backend]);
    const client = await rig.connect();
    await client.send(`GET / HTTP/${version}\r\nHost: a\r\n\r\n`);
    const { text, how } = await rest(client);
    if (version === '1.0') assert.equal(how, 'reset');
    assert.ok(!text.endsWith('0\r\n\r\n'), text.slice(-20));
    await rig.end();
    assert.equal(rig.records.last.flags, 'UC');
  });
}

onBoth('an answer before the request is complete reaches the client, which goes on sending', async (net) => {
  const backend = net.serve(async (peer) => {
    await peer.readHead();
    await peer.send('HTTP/1.1 413 Content Too Large\r\nContent-Length: 7\r\nConnection: close\r\n\r\ntoo big');
    await rest(peer);
  });
  const rig = new Rig(net, [backend]);
  const client = await rig.connect();
  const sending = client
    .send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n${'x'.repeat(300_000)}`)
    .catch(() => {});
  const answer = await client.readMessage();
  assert.equal(answer.status, 413);
  assert.deepEqual(answer.headers.get('connection'), ['close']);
  assert.equal(bodyText(answer), 'too big');
  await sending;
  client.close();
  await rig.end();
  assert.equal(rig.records.all.length, 1);
});

onBoth('a refusal reaches a client that goes on sending (lingering close)', async (net) => {
  const rig = new Rig(net, [answering(net, () => ok(''))]);
  const client = await rig.connect();
  const sending = client.send(`GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n${'x'.repeat(300_000)}`).catch(() => {});
  const answer = await client.readMessage();
  assert.equal(answer.status, 400);
  assert.deepEqual(answer.headers.get('connection'), ['close']);
  assert.equal(await client.read(), null);
  await sending;
  client.close();
  await rig.end();
  assert.equal(rig.records.last.flags, 'DPE');
});

onBoth('bytes behind a response end that upstream connection and reach nobody (RFC 9112 section 9.2)', async (net) => {
  let connections = 0;
  const backend = net.serve(async (peer) => {
    connections++;
    await peer.readMessage();
    await peer.send(`${ok('first')}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil`);
    await rest(peer);
  });
  const rig = new Rig(net, [backend]);
  const client = await rig.connect();
  for (let i = 0; i < 3; i++) {
    await client.send(get());
    assert.equal(bodyText(await client.readMessage()), 'first');
    await net.advance(20);
  }
  client.close();
  await rig.end();
  assert.equal(connections, 3);
});

onBoth('bytes on an idle upstream connection end it', async (net) => {
  let connections = 0;
  let spoil = (): void => {};
  const backend = net.serve(async (peer) => {
    connections++;
    await peer.readMessage();
    const idle = new Promise<void>((resolve) => {
      spoil = resolve;
    });
    await peer.send(ok(String(connections)));
    await idle;
    await peer.send('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil');
    await rest(peer);
  });
  const rig = new Rig(net, [backend]);
  const client = await rig.connect();
  for (const wanted of ['1', '2']) {
    await client.send(get());
    assert.equal(bodyText(await client.readMessage()), wanted);
    spoil();
    await net.advance(50);
  }
  client.close();
  await rig.end();
});

for (const [name, bytes] of [
  ['not HTTP', 'SSH-2.0-OpenSSH\r\n\r\n'],
  ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx'],
  ['length and chunks', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
] as const) {
  onBoth(`a malformed response (${name}) is answered 502`, async (net) => {
    const rig = new Rig(net, [answering(net, () => bytes)]);
    const client = await rig.connect();
    await client.send(get());
    assert.equal((await client.readMessage()).status, 502);
    client.close();
    await rig.end();
    assert.equal(rig.records.last.flags, 'UPE');
  });
}

onBoth('a bad chunk in a response cuts it off', async (net) => {
  // Behind what was passed on: a fault that comes with the head is told (framing.test.ts).
  const backend = net.serve(async (peer) => {
    await peer.readMessage();
    await peer.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
    await net.advance(20);
    await peer.send('3\r\nabcXX3\r\n');
    await peer.readAll().catch(() => {});
  });
  const rig = new Rig(net, [backend]);
  const client = await rig.connect();
  await client.send(get());
  // The reset waits until the client has what came before.
  let cut = false;
  const reading = assert.rejects(client.readMessage()).then(() => {
    cut = true;
  });
  while (!cut) await net.advance(20);
  await reading;
  client.close();
  await rig.end();
  assert.equal(rig.records.last.flags, 'UPE');
});

onBoth('a bad chunk in a request is answered 400 and cancelled upstream', async (net) => {
  let how = '';
  let begun = false;
  const backend = net.serve(async (peer) => {
    await peer.readHead();
    begun = true;
    how = (await rest(peer)).how;
  });
  const rig = new Rig(net, [backend]);
  const client = await rig.connect();
  await client.send('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n');
  while (!begun) await net.advance(1);
  await client.send('zz\r\n');
  const answer = await client.readMessage();
  assert.equal(answer.status, 400);
  while (how === '') await net.advance(1);
  assert.equal(how, 'reset');
  client.close();
  await rig.end();
  assert.equal(rig.records.all.length, 1);
  assert.equal(rig.records.last.flags, 'DPE');
});

onBoth('Connection: close from the client ends the connection with the answer', async (net) => {
  const rig = new Rig(net, [answering(net, () => ok('x', 'Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n'))]);
  const client = await rig.connect();
  await client.send(get('/', 'Connection: close\r\n'));
  const answer = await client.readMessage();
  assert.deepEqual(answer.headers.get('connection'), ['close']);
  assert.equal(answer.headers.get('keep-alive'), undefined);
  assert.equal(await client.read(), null);
  await rig.end();
});

onBoth('Connection: close from the backend ends only its own connection', async (net) => {
  const backend = net.serve(async (peer) => {
    await peer.readMessage();
    await peer.send(ok('x', 'Connection: close\r\n'));
    peer.close();
  });
  const rig = new Rig(net, [backend]);
  const client = await rig.connect();
  for (let i = 0; i < 2; i++) {
    await client.send(get());
    const answer = await client.readMessage();
    assert.equal(answer.headers.get('connection'), undefined);
    assert.equal(bodyText(answer), 'x');
  }
  client.close();
  await rig.end();
});
