// Layer 4 attacked: floods of sessions, sessions that nobody reads, ClientHellos that do not come, datagrams from
// everywhere. A victim beside them is served, memory stays bounded, and nothing is left of it afterwards.

import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { backendYaml, freePort, Rauta, udpFiles } from '../process/support.ts';
import { OWN_ADDRESS, ownPort } from '../support/keeper.ts';
import { pause, RawBackend, residentMb, Target, until, Wire, within } from './support.ts';

const PATIENCE = 500;
const NAME = 'app';
/** So few that flows have to make room for each other: each has one. */
const DESCRIPTORS = 200;

let tcp = 0;
let tls = 0;
let bytes: RawBackend;
let target: Target;

/** Says its name, then returns what it hears. */
async function echo(wire: Wire): Promise<void> {
  await wire.send(`${NAME}\n`);
  for (let some = await wire.read(); some !== null; some = await wire.read()) await wire.send(some);
  wire.end();
}

const routes = (): string => `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: bytes }
spec:
  gatewayClassName: rauta
  listeners:
    - { name: tcp, port: ${tcp}, protocol: TCP }
    - { name: tls, port: ${tls}, protocol: TLS, tls: { mode: Passthrough } }
---
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: { name: bytes }
spec:
  parentRefs: [{ name: bytes, sectionName: tcp }]
  rules: [{ backendRefs: [{ group: rauta.io, kind: Backend, name: bytes }] }]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: { name: bytes }
spec:
  parentRefs: [{ name: bytes, sectionName: tls }]
  hostnames: [a.example]
  rules: [{ backendRefs: [{ group: rauta.io, kind: Backend, name: bytes }] }]
---
${backendYaml('bytes', bytes.port)}`;

before(async () => {
  [tcp, tls] = [await freePort(), await freePort()];
  bytes = await RawBackend.start(echo);
  target = await Target.start({ routes });
});
after(async () => {
  await target.end();
  bytes.close();
});

async function pid(): Promise<number> {
  return (await target.rauta.workers())[0]?.pid as number;
}

/** A session that stands while others attack. */
async function victim(): Promise<() => Promise<void>> {
  const wire = await Wire.connect(tcp);
  assert.equal(await wire.readUntil('\n'), `${NAME}\n`);
  let n = 0;
  return async () => {
    const said = `still here ${n++}\n`;
    await wire.send(said);
    assert.equal(await wire.readUntil('\n'), said);
  };
}

/** Nobody is left but `sessions`. */
async function settled(sessions: number): Promise<void> {
  await until(async () => (await target.rauta.metric('rauta_l4_sessions')) <= sessions, 'their ends');
  assert.equal(await target.rauta.metric('rauta_l4_sessions'), sessions);
  await target.alive();
  await target.unharmed();
}

test('a flood of sessions that are gone at once: the backend is left by each of them, and others go on', async () => {
  const ask = await victim();
  const before = residentMb(await pid());
  for (let i = 0; i < 40; i++) {
    await Promise.all(
      Array.from({ length: 50 }, async (_, k) => {
        const client = await Wire.connect(tcp);
        if (k % 2 === 0) client.trySend('x'.repeat(k * 100));
        if (k % 3 === 0) client.reset();
        else if (k % 3 === 1) client.close();
        else {
          client.end();
          await client.over();
        }
      }),
    );
    await ask();
  }
  await settled(1);
  const grown = residentMb(await pid()) - before;
  assert.ok(grown < 24, `${grown.toFixed(0)} MB more after 2,000 sessions`);
  await until(() => !bytes.wires.some((w) => !w.socket.destroyed && w !== bytes.wires[0]), 'ends at the backend');
  assert.equal(bytes.wires.filter((w) => !w.socket.destroyed).length, 1, 'connections to the backend');
});

test('sessions that nobody reads hold their backend up, not memory', async () => {
  const ask = await victim();
  const before = residentMb(await pid());
  bytes.script = async (wire) => {
    const much = Buffer.alloc(1 << 20);
    for (;;) await wire.send(much);
  };
  const clients = await Promise.all(Array.from({ length: 40 }, () => Wire.connect(tcp, { highWaterMark: 1 })));
  for (const client of clients) client.socket.pause();
  for (let i = 0; i < 20; i++) {
    await ask();
    await pause(20);
  }
  const grown = residentMb(await pid()) - before;
  assert.ok(grown < 24, `${grown.toFixed(0)} MB more for 40 sessions`);
  bytes.script = echo;
  for (const client of clients) client.reset();
  await settled(2);
});

test('what is no ClientHello is refused, one that does not come keeps nobody else from being served', async () => {
  const ask = await victim();
  const refused = [
    'GET / HTTP/1.1\r\n\r\n',
    '\x16\x03\x01\xff\xff',
    '\x80\x2e\x01',
    `\x16\x03\x01\x00\x05\x02${'x'.repeat(9)}`,
  ];
  for (const text of refused) {
    const client = await Wire.connect(tls);
    client.trySend(Buffer.from(text, 'latin1'));
    assert.equal((await client.over()).text.includes(NAME), false, JSON.stringify(text));
  }
  const slow = await Promise.all(Array.from({ length: 500 }, () => Wire.connect(tls)));
  for (const client of slow) client.trySend(Buffer.from('\x16\x03\x01\x02\x00\x01', 'latin1'));
  await ask();
  await target.alive();
  for (const client of slow) client.reset();
  await settled(3);
});

test('datagrams from everywhere: one address has its share of the flows, and a victim keeps its own', async (t) => {
  const server = createSocket('udp4').bind(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  let flows = 0;
  const seen = new Set<number>();
  server.on('message', (some, { address, port }) => {
    if (!seen.has(port)) flows = seen.add(port).size;
    if (some.toString().startsWith('victim')) server.send(some, port, address);
  });
  const port = await ownPort();
  const rauta = await Rauta.start(udpFiles(port, [server.address().port]), [], {}, DESCRIPTORS);
  const asker = createSocket('udp4').bind(0, '127.0.0.3');
  t.after(() => asker.close());
  await once(asker, 'listening');
  let n = 0;
  /** It may be lost in a full socket, and is sent again then. */
  const ask = async (): Promise<void> => {
    const said = `victim ${n++}`;
    for (let i = 0; ; i++) {
      assert.ok(i < PATIENCE, 'no answer');
      asker.send(said, port, OWN_ADDRESS);
      const heard = Promise.race([once(asker, 'message'), pause(200)]);
      const [some] = ((await heard) ?? []) as Buffer[];
      if (some?.toString() === said) return;
    }
  };
  await ask();
  const before = residentMb((await rauta.workers())[0]?.pid as number);
  for (let round = 0; round < 10; round++) {
    const attackers = Array.from({ length: 100 }, () => createSocket('udp4').bind(0, '127.0.0.2'));
    await Promise.all(attackers.map((one) => once(one, 'listening')));
    await Promise.all(attackers.map((one) => new Promise((done) => one.send('x', port, OWN_ADDRESS, done))));
    await ask();
    for (const one of attackers) one.close();
  }
  const open = await rauta.metric('rauta_l4_sessions');
  assert.ok(open <= DESCRIPTORS / 2, `${open} flows are open`);
  assert.ok(flows > 100 && flows <= 1_001, `${flows} flows`);
  const grown = residentMb((await rauta.workers())[0]?.pid as number) - before;
  assert.ok(grown < 16, `${grown.toFixed(0)} MB more`);
  assert.equal(await within(rauta.stop(), 'its end', 60_000), 0);
});
