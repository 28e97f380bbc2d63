// Urgent data (MSG_OOB) within what is passed on: it is a byte like any other, and nothing waits in front of it or is
// lost behind it. The kernel ends a read there, and moves nothing past it by splice(2).

import assert from 'node:assert/strict';
import type { Handle, SocketAddress } from '../../src/io/io.ts';
import { errno, sendBytes } from '../../src/native/ffi.ts';
import type { NativeIo } from '../../src/native/index.ts';
import { nativeOnly, type TestNet } from '../support/net.ts';
import { cluster, endpoint, Rig, relay, tcpListener } from './rig.ts';

const MSG_OOB = 1;
const MSG_NOSIGNAL = 0x4000;
const EAGAIN = 11;

/** A socket of the test's own: Node cannot send urgent data. */
class Sender {
  readonly #net: TestNet;
  readonly #io: NativeIo;
  readonly #handle: Handle;

  constructor(net: TestNet, handle: Handle) {
    this.#net = net;
    this.#io = net.io as NativeIo;
    this.#handle = handle;
  }

  static async connect(net: TestNet, to: SocketAddress): Promise<Sender> {
    const handle = net.io.connect(to);
    await net.settle();
    assert.equal(net.io.connectError(handle), 0);
    return new Sender(net, handle);
  }

  async send(text: string, flags = 0): Promise<void> {
    const bytes = Buffer.from(text, 'latin1');
    for (let at = 0; at < bytes.length; ) {
      const piece = bytes.subarray(at, at + 65_536);
      const n = sendBytes(this.#io.fdOf(this.#handle), piece, piece.length, flags | MSG_NOSIGNAL);
      if (n > 0) at += n;
      else {
        assert.equal(errno(), EAGAIN);
        await this.#net.advance(1);
      }
    }
  }

  urgent(text: string): Promise<void> {
    return this.send(text, MSG_OOB);
  }

  end(): void {
    this.#io.shutdown(this.#handle);
  }
  close(): void {
    this.#io.close(this.#handle);
  }
}

function relaying(net: TestNet, to: SocketAddress): Rig {
  return new Rig(net, [], [tcpListener(), relay(), cluster('app', [endpoint(to)], { protocol: 'tcp' })]);
}

const LONG = 'x'.repeat(1_500_000);

nativeOnly('an urgent byte of a client stays where it stands, and nothing behind it waits', async (net) => {
  const heard = Promise.withResolvers<string>();
  const backend = net.serve(async (peer) => {
    heard.resolve(Buffer.from(await peer.readExactly(7)).toString());
    peer.end();
  });
  const rig = relaying(net, backend);
  const client = await Sender.connect(net, rig.listening);
  await client.send('abc');
  await client.urgent('U');
  await client.send('def');
  assert.equal(await heard.promise, 'abcUdef');
  client.end();
  client.close();
  await rig.end();
});

nativeOnly('among megabytes that the kernel moves, too, and up to the end', async (net) => {
  const heard = Promise.withResolvers<string>();
  const backend = net.serve(async (peer) => {
    heard.resolve(Buffer.from(await peer.readAll()).toString());
    peer.end();
  });
  const rig = relaying(net, backend);
  const client = await Sender.connect(net, rig.listening);
  for (let i = 0; i < 3; i++) {
    await client.send(LONG);
    await client.urgent('U');
  }
  await client.send(LONG);
  client.end();
  const all = await heard.promise;
  assert.equal(all.length, 4 * LONG.length + 3);
  assert.ok(all === [LONG, LONG, LONG, LONG].join('U'));
  client.close();
  await rig.end();
});

nativeOnly('of a backend as well', async (net) => {
  const { handle, address } = net.listen();
  const rig = relaying(net, address);
  const client = await rig.connect();
  await net.settle();
  const backend = new Sender(net, net.io.accept(handle));
  const said = (async () => {
    await backend.send(LONG);
    await backend.urgent('U');
    await backend.send('abc');
    await backend.urgent('V');
    await backend.send('def');
  })();
  const all = Buffer.from(await client.readExactly(LONG.length + 8)).toString();
  await said;
  assert.ok(all === `${LONG}UabcVdef`, all.slice(-12));
  backend.close();
  await client.readAll();
  client.end();
  client.close();
  await rig.end();
});

nativeOnly('a request with urgent bytes in it is whole at once', async (net) => {
  const backend = net.serve(async (peer) => {
    const { body } = await peer.readMessage();
    await peer.send(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`);
    await peer.send(body);
  });
  const rig = new Rig(net, [backend]);
  const client = await Sender.connect(net, rig.listening);
  await client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\nConnection: clos');
  await client.urgent('e');
  await client.send('\r\n\r\nabc');
  await client.urgent('U');
  await client.send('def');
  while (rig.records.all.length === 0) await net.advance(10);
  const { status, requestBytes } = rig.records.last;
  assert.deepEqual([status, requestBytes], [200, 7]);
  client.close();
  await rig.end();
});
