// Orders of events that random runs meet too rarely, each tried with many seeds.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GENTLE } from '../../src/sim/faults.ts';
import { Rig } from '../proxy/rig.ts';
import { runSeed, seedsOf } from '../support/net.ts';
import { EndedEarly, isGone } from '../support/peer.ts';

const RACY = { ...GENTLE, reorder: 0.7, shortWrites: 0.5 };

test('a reset behind half a close-delimited answer is no end of it, also when sending the request meets it first', async () => {
  let broken = 0;
  for (const seed of seedsOf(40)) {
    await runSeed(
      seed,
      async (net) => {
        net.patient = true;
        const backend = net.serve(async (peer) => {
          await peer.readHead();
          await peer.send(`HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n${'x'.repeat(1000)}`);
          await net.sleep(1 + (seed % 5));
          peer.reset();
        });
        const rig = new Rig(net, [backend]);
        const client = await rig.connect();
        await client.send('PUT / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1000000\r\n\r\n');
        const sending = (async () => {
          for (let i = 0; i < 100; i++) await client.send('y'.repeat(10_000));
        })();
        sending.catch(() => {});
        try {
          const message = await client.readMessage();
          assert.equal(message.status, 502, `a false end: ${message.body.length} bytes`);
        } catch (error) {
          if (!isGone(error) && !(error instanceof EndedEarly)) throw error;
          broken++;
        }
        client.close();
        await rig.end();
      },
      RACY,
    );
  }
  assert.ok(broken > 0, 'the answer was under way at least once');
});

test('a backend that closes an idle connection just as a request takes it: GET is answered, POST never sent twice', async () => {
  for (const seed of seedsOf(40)) {
    await runSeed(
      seed,
      async (net) => {
        net.patient = true;
        const bodies: string[] = [];
        const backend = net.serve(async (peer) => {
          for (let n = 0; n < 2; n++) {
            const request = await peer.readMessage();
            bodies.push(Buffer.from(request.body).toString());
            await peer.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
          }
          await net.sleep(20);
          peer.close();
        });
        const rig = new Rig(net, [backend]);
        let client = await rig.connect();
        for (let i = 0; i < 6; i++) {
          const post = i % 3 === 1;
          const body = post ? `only ${i}` : '';
          await client.send(
            `${post ? 'POST' : 'GET'} / HTTP/1.1\r\nHost: a.example\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
          );
          const { status, headers } = await client.readMessage();
          if (headers.get('connection')?.includes('close') === true) {
            client.close();
            client = await rig.connect();
          }
          assert.ok(status === 200 || (post && status === 502), `${i}: ${status}`);
          // Around the moment at which the backend gives up waiting.
          await net.sleep(16 + (seed % 7));
        }
        assert.equal(new Set(bodies.filter((b) => b !== '')).size, bodies.filter((b) => b !== '').length);
        client.close();
        await rig.end();
      },
      { ...GENTLE, delayMs: [0, 4] },
    );
  }
});

test('the client leaves at any moment of an exchange: the backend is let go of, nothing stays', async () => {
  for (const seed of seedsOf(60)) {
    await runSeed(
      seed,
      async (net) => {
        net.patient = true;
        const backend = net.serve(async (peer) => {
          for (;;) {
            await peer.readMessage();
            await peer.send(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n`);
            for (let i = 0; i < 20; i++) await peer.send(`3e8\r\n${'z'.repeat(1000)}\r\n`);
            await peer.send('0\r\n\r\n');
          }
        });
        const rig = new Rig(net, [backend]);
        const client = await rig.connect();
        await client.send(`POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5000\r\n\r\n`);
        const talking = (async () => {
          await client.send('b'.repeat(5000));
          await client.readMessage();
        })();
        talking.catch(() => {});
        await net.sleep(seed / 3);
        if (seed % 3 === 0) client.close();
        else client.reset();
        await net.advance(10_000);
        assert.equal(rig.engine.stats().connections, 0);
        assert.equal(rig.engine.stats().requests, 0);
        await rig.end();
      },
      RACY,
    );
  }
});
