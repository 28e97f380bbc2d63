// Ends in order over TLS: the word for one (close_notify, RFC 8446 section 6.1) is not lost where the socket takes
// nothing at that moment.

import assert from 'node:assert/strict';
import { simOnly } from '../support/net.ts';
import { answering, get, ok, Rig } from './rig.ts';

const SEND_BUFFER = 4096;
const RECEIVE_BUFFER = 4096;
/** Around what both buffers hold: with some of these sizes the last record fills them to the byte. */
const SIZES = Array.from({ length: 400 }, (_, i) => SEND_BUFFER + RECEIVE_BUFFER - 450 + i);
const sim = { sendBufferBytes: SEND_BUFFER, receiveBufferBytes: RECEIVE_BUFFER };

simOnly(
  'a client that reads late sees an end in order, however full the buffers were when it was said',
  async (net) => {
    const rig = new Rig(net, [answering(net, ({ target }) => ok('x'.repeat(Number(target.slice(1)))))]);
    for (const size of SIZES) {
      const client = await rig.connect();
      await client.send(get(`/${size}`, 'Connection: close\r\n'));
      await net.settle();
      const { body } = await client.readMessage();
      assert.equal(body.length, size);
      assert.equal((await client.readAll()).length, 0);
      assert.equal(await client.closed, 'fin');
      client.close();
    }
    await rig.end();
  },
  { secured: true, seeds: 2, sim },
);

simOnly(
  'one direction of a tunnel ends with full buffers, and the other goes on: both ends are in order',
  async (net) => {
    const upgrade = 'Connection: Upgrade\r\nUpgrade: other\r\n';
    const heard: string[] = [];
    const backend = net.serve(async (peer) => {
      const { target } = await peer.readHead();
      await peer.send(`HTTP/1.1 101 Switching Protocols\r\n${upgrade}\r\n${'x'.repeat(Number(target.slice(1)))}`);
      peer.end();
      heard.push(Buffer.from(await peer.readAll()).toString());
      peer.close();
    });
    const rig = new Rig(net, [backend]);
    for (const size of SIZES) {
      const client = await rig.connect();
      await client.send(get(`/${size}`, upgrade));
      await net.settle();
      await client.readHead();
      assert.equal((await client.readAll()).length, size);
      assert.equal(await client.closed, 'fin');
      await client.send('last words');
      client.end();
      await net.settle();
      client.close();
    }
    await rig.end();
    assert.deepEqual(heard, Array(SIZES.length).fill('last words'));
  },
  { secured: true, seeds: 2, sim },
);
