// The real resolver, asking a name server on loopback that says what it is told to, or nothing.

import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Backend, ResolvedHost } from '../../api/backend.ts';
import { LIMITS } from '../../base/limits.ts';
import { MemorySink, testFolder } from '../file/testing.ts';
import type { Source, SourceSink } from '../source.ts';
import { SYSTEM_TIMERS } from '../timers.ts';
import { SystemResolver } from './resolver.ts';
import { DnsStage } from './stage.ts';
import { candidates, clusterDomain, parseResolvConf } from './system-files.ts';

const TIMEOUT = { timeout: 120_000 };
const A = 1;
const NXDOMAIN = 3;
const SERVFAIL = 2;

interface Server {
  /** `ADDRESS:PORT` */
  readonly address: string;
  /** `name A` or `name AAAA`, in the order of asking. */
  readonly asked: string[];
  /** Resolves when this has been asked so often. */
  until(question: string, times: number): Promise<void>;
}

/** IPv4 addresses with their TTL by name; a number is the response code; null: no answer ever. */
type Zone = Readonly<Record<string, { readonly a: readonly string[]; readonly ttl: number } | number | null>>;

async function server(t: TestContext, zone: Zone): Promise<Server> {
  const socket: Socket = createSocket('udp4');
  const asked: string[] = [];
  const waiting: (() => void)[] = [];
  socket.on('message', (query, from) => {
    const labels: string[] = [];
    let at = 12;
    for (let n = query[at] as number; n > 0; n = query[at] as number) {
      labels.push(query.toString('latin1', at + 1, at + 1 + n));
      at += n + 1;
    }
    const type = query.readUInt16BE(at + 1);
    const name = labels.join('.').toLowerCase();
    asked.push(`${name} ${type === A ? 'A' : 'AAAA'}`);
    for (const resolve of waiting.splice(0)) resolve();
    const said = Object.hasOwn(zone, name) ? zone[name] : NXDOMAIN;
    if (said === null || said === undefined) return;
    const answers = typeof said === 'number' || type !== A ? [] : said.a;
    const head = Buffer.from(query.subarray(0, 12));
    head.writeUInt16BE(0x8180 | (typeof said === 'number' ? said : 0), 2);
    head.writeUInt16BE(answers.length, 6);
    head.writeUInt32BE(0, 8);
    const records = answers.map((address) => {
      const record = Buffer.alloc(16);
      record.writeUInt16BE(0xc00c, 0);
      record.writeUInt16BE(A, 2);
      record.writeUInt16BE(1, 4);
      record.writeUInt32BE((said as { ttl: number }).ttl, 6);
      record.writeUInt16BE(4, 10);
      address.split('.').forEach((part, i) => {
        record[12 + i] = Number(part);
      });
      return record;
    });
    socket.send(Buffer.concat([head, query.subarray(12, at + 5), ...records]), from.port, from.address);
  });
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  t.after(() => socket.close());
  const { port } = socket.address() as AddressInfo;
  return {
    address: `127.0.0.1:${port}`,
    asked,
    until: async (question, times) => {
      while (asked.filter((a) => a === question).length < times)
        await new Promise<void>((resolve) => {
          waiting.push(resolve);
        });
    },
  };
}

function resolverOf(t: TestContext, address: string, conf = '', hosts = ''): { resolver: SystemResolver; dir: string } {
  const dir = testFolder(t);
  writeFileSync(join(dir, 'hosts'), hosts);
  writeFileSync(join(dir, 'resolv.conf'), conf);
  const files = { hosts: join(dir, 'hosts'), resolvConf: join(dir, 'resolv.conf') };
  return { resolver: new SystemResolver({ ...files, servers: [address] }), dir };
}

const some = (ttl: number, ...a: string[]): { a: string[]; ttl: number } => ({ a, ttl });
const none = { kind: 'addresses', addresses: [], ttl: 30 };

test(
  'six names that nobody answers for hold up nobody: a healthy one is there at once, and as its TTL of 0 says',
  TIMEOUT,
  async (t) => {
    const silent = Array.from({ length: 6 }, (_, i) => `silent-${i}.test`);
    const dns = await server(t, {
      'well.test': some(0, '10.0.0.1'),
      ...Object.fromEntries(silent.map((s) => [s, null])),
    });
    const { resolver } = resolverOf(t, dns.address);
    let inner: SourceSink | null = null;
    const source: Source = {
      start: (sink) => {
        inner = sink;
      },
      stop: async () => {},
      rescan: () => {},
    };
    const sink = new MemorySink();
    const stage = new DnsStage(source, resolver, SYSTEM_TIMERS);
    t.after(() => stage.stop());
    stage.start(sink);
    const backend: Backend = {
      apiVersion: 'rauta.io/v1alpha1',
      kind: 'Backend',
      metadata: { name: 'b', namespace: 'default' },
      spec: {
        appProtocol: 'http',
        endpoints: [...silent, 'well.test'].map((hostname) => ({ hostname, port: 80, weight: 1 })),
      },
    };
    (inner as SourceSink | null)?.apply([backend], []);
    await sink.until(() => sink.objects.has('ResolvedHost//well.test'));
    assert.deepEqual([...sink.told], [], 'before anybody gave up on a silent name');
    const { addresses } = sink.objects.get('ResolvedHost//well.test') as ResolvedHost;
    assert.deepEqual(addresses, [{ address: '10.0.0.1', family: 4 }]);
    await dns.until('well.test A', 3);
    assert.deepEqual([...sink.told], [], 'nor has anybody when it was asked for the third time');
    await sink.until(() => sink.told.size === silent.length);
    const [problem] = sink.told.get('dns silent-0.test') ?? [];
    assert.equal(problem?.message, 'silent-0.test cannot be resolved (ETIMEOUT); it has no addresses yet');
  },
);

test(
  'the hosts file comes first and is read again when it changes; localhost is never asked for',
  TIMEOUT,
  async (t) => {
    const dns = await server(t, { 'app.test': some(60, '10.0.0.9') });
    const hosts =
      '# head\n10.0.0.1 App.test other # tail\n10.0.0.2\tapp.test\nfd00::1 app.test\nfe80::1%lo app.test\nx y\n';
    const { resolver, dir } = resolverOf(t, dns.address, '', hosts);
    assert.deepEqual(await resolver.resolve('app.test', 4), { ...none, addresses: ['10.0.0.1', '10.0.0.2'] });
    assert.deepEqual(await resolver.resolve('app.test', 6), { ...none, addresses: ['fd00::1'] });
    assert.deepEqual(await resolver.resolve('other', 6), none);
    assert.deepEqual(await resolver.resolve('localhost', 4), { ...none, addresses: ['127.0.0.1'] });
    assert.deepEqual(await resolver.resolve('a.localhost', 6), { ...none, addresses: ['::1'] });
    assert.deepEqual(dns.asked, []);
    writeFileSync(join(dir, 'hosts'), '127.0.0.1 localhost\n');
    assert.deepEqual(await resolver.resolve('app.test', 4), { kind: 'addresses', addresses: ['10.0.0.9'], ttl: 60 });
    assert.deepEqual(dns.asked, ['app.test A']);
  },
);

test('of more addresses than are taken those that count stay, in whatever order they are given', TIMEOUT, async (t) => {
  const all = Array.from({ length: 2 * LIMITS.DNS_ADDRESSES }, (_, i) => `10.1.${i >> 8}.${i & 255}`);
  const zone = { 'many.test': { a: all, ttl: 0 } };
  const dns = await server(t, zone);
  const { resolver } = resolverOf(t, dns.address);
  const first = await resolver.resolve('many.test', 4);
  assert.equal(first.kind === 'addresses' && first.addresses.length, LIMITS.DNS_ADDRESSES);
  zone['many.test'].a = all.toReversed();
  assert.deepEqual(await resolver.resolve('many.test', 4), first);
});

test('search domains and ndots of resolv.conf', TIMEOUT, async (t) => {
  const dns = await server(t, {
    'app.shop.svc.test': some(5, '10.0.0.1'),
    'db.svc.test': some(5, '10.0.0.2'),
    'a.b.test': some(5, '10.0.0.3'),
    'broken.shop.svc.test': SERVFAIL,
    'broken.svc.test': some(5, '10.0.0.4'),
    'half.shop.svc.test': SERVFAIL,
    'late.shop.svc.test': null,
  });
  const conf = '; words\nsearch shop.svc.test svc.test.\noptions rotate ndots:2\n';
  const { resolver } = resolverOf(t, dns.address, conf);
  const addresses = async (name: string): Promise<unknown> => {
    const answer = await resolver.resolve(name, 4);
    return answer.kind === 'addresses' ? answer.addresses : answer.code;
  };
  assert.deepEqual(await addresses('app'), ['10.0.0.1']);
  assert.deepEqual(await addresses('db'), ['10.0.0.2']);
  assert.deepEqual(await addresses('a.b.test'), ['10.0.0.3']);
  assert.deepEqual(await addresses('broken'), ['10.0.0.4']);
  assert.equal(await addresses('half'), 'ESERVFAIL');
  assert.deepEqual(await addresses('nobody'), []);
  assert.deepEqual(
    [...new Set(dns.asked.filter((a) => !/broken|half/.test(a)))],
    [
      'app.shop.svc.test A',
      'db.shop.svc.test A',
      'db.svc.test A',
      'a.b.test A',
      ...['nobody.shop.svc.test A', 'nobody.svc.test A', 'nobody A'],
    ],
  );
  // Who does not answer is not passed over: the name may be there.
  assert.equal(await addresses('late'), 'ETIMEOUT');
  assert.ok(!dns.asked.includes('late.svc.test A'));
});

test('a whole name, with a dot at its end, is asked for as it is, however few its dots', TIMEOUT, async (t) => {
  const dns = await server(t, {
    'app.other.svc.test': some(5, '10.0.0.1'),
    'app.other': some(5, '192.0.2.1'),
  });
  const conf = 'search shop.svc.test svc.test test\noptions ndots:5\n';
  const { resolver } = resolverOf(t, dns.address, conf, '10.0.0.9 kept.example\n');
  const addresses = async (name: string): Promise<unknown> => {
    const answer = await resolver.resolve(name, 4);
    return answer.kind === 'addresses' ? answer.addresses : answer.code;
  };
  assert.deepEqual(await addresses('app.other'), ['10.0.0.1'], 'as a Backend has it');
  assert.deepEqual(await addresses('app.other.'), ['192.0.2.1']);
  assert.deepEqual(await addresses('app.other.svc.'), []);
  assert.deepEqual(dns.asked.slice(-2), ['app.other A', 'app.other.svc A']);
  assert.deepEqual(await addresses('kept.example.'), ['10.0.0.9']);
  assert.deepEqual(await addresses('app.localhost.'), ['127.0.0.1']);
});

test('the domain of a cluster is read from the search domains that it gives to pods', () => {
  const domain = (search: string): string | undefined => clusterDomain(parseResolvConf(`search ${search}\n`));
  assert.equal(domain('shop.svc.corp.internal svc.corp.internal corp.internal office.test'), 'corp.internal');
  assert.equal(domain('office.test'), undefined);
});

test('resolv.conf: servers, the last of search and domain, what is wrong is passed over', () => {
  assert.deepEqual(parseResolvConf(''), { servers: ['127.0.0.1'], search: [], ndots: 1 });
  const text =
    'nameserver 10.0.0.1\n nameserver fd00::1 \nnameserver nobody\n#nameserver 10.9.9.9\nnameserver 10.0.0.2\n' +
    'nameserver 10.0.0.3\nsearch a.test\ndomain B.test.\noptions ndots:99 ndots:x timeout:1\n';
  assert.deepEqual(parseResolvConf(text), {
    servers: ['10.0.0.1', 'fd00::1', '10.0.0.2'],
    search: ['b.test'],
    ndots: 15,
  });
  const conf = { servers: [], search: ['x', 'y'.repeat(252)], ndots: 1 };
  assert.deepEqual(candidates('a', conf), ['a.x', 'a']);
  assert.deepEqual(candidates('a.b', conf), ['a.b', 'a.b.x']);
});

/** `query` answered with one address; what `change` makes of it. */
function reply(query: Buffer, address: readonly number[], change: (answer: Buffer, names: number) => void): Buffer {
  const question = query.subarray(0, query.indexOf(0, 12) + 5);
  const record = Buffer.from([0xc0, 12, 0, A, 0, 1, 0, 0, 0, 60, 0, 4, ...address]);
  const answer = Buffer.concat([question, record]);
  answer.writeUInt16BE(0x8180, 2);
  answer.writeUInt16BE(1, 6);
  answer.writeUInt32BE(0, 8);
  change(answer, 12);
  return answer;
}

test('who does not see a question cannot answer it, whatever name the answer is for', TIMEOUT, async (t) => {
  const real = createSocket('udp4');
  const other = createSocket('udp4');
  t.after(() => {
    real.close();
    other.close();
  });
  const seen = new Set<string>();
  real.on('message', (query, from) => {
    seen.add(`${query.readUInt16BE(0)} ${from.port}`);
    const say = (socket: Socket, answer: Buffer): void => socket.send(answer, from.port, from.address);
    const forged = [192, 0, 2, 66];
    // Another number than was asked with, another question, another server: each is passed over.
    say(
      real,
      reply(query, forged, (answer) => answer.writeUInt16BE(answer.readUInt16BE(0) ^ 1, 0)),
    );
    say(
      real,
      reply(query, forged, (answer, names) => answer.writeUInt8((answer[names + 1] as number) ^ 1, names + 1)),
    );
    say(
      other,
      reply(query, forged, () => {}),
    );
    setTimeout(
      () =>
        say(
          real,
          reply(query, [192, 0, 2, 1], () => {}),
        ),
      50,
    );
  });
  await new Promise<void>((resolve) => real.bind(0, '127.0.0.1', resolve));
  await new Promise<void>((resolve) => other.bind(0, '127.0.0.1', resolve));
  const resolver = new SystemResolver({ servers: [`127.0.0.1:${(real.address() as AddressInfo).port}`] });
  for (let n = 0; n < 8; n++) {
    const answer = await resolver.resolve(`name${n}.example.`, 4);
    assert.deepEqual(answer, { kind: 'addresses', addresses: ['192.0.2.1'], ttl: 60 });
  }
  const numbers = new Set([...seen].map((one) => one.split(' ')[0]));
  assert.ok(numbers.size >= 7, `${[...seen]}`);
  assert.ok(seen.size >= 8);
});
