import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CodecError, decodeEntry, encodeEntry } from './codec.ts';
import type {
  CellsEntry,
  CertificateEntry,
  ClusterEntry,
  EndpointsEntry,
  Entry,
  GatewayEntry,
  RuleEntry,
  ServerTls,
  SocketEntry,
  SocketHost,
  TrustEntry,
} from './ir.ts';

const socket: SocketEntry = {
  kind: 'socket',
  key: 'socket/0.0.0.0/8080/tcp',
  address: '0.0.0.0',
  port: 8080,
  transport: 'tcp',
  hosts: [{ hostname: '*', gateway: 'gateway/ns/edge', listener: 'http', port: 80, protocol: 'HTTP', tls: null }],
  fallback: null,
  proxyProtocol: null,
};

const gateway: GatewayEntry = { kind: 'gateway', key: 'gateway/ns/edge', name: 'ns/edge' };
const wishful: GatewayEntry = {
  ...gateway,
  errors: { type: 'problem', authority: 'https://errors.example' },
  clients: { trusted: ['10.0.0.0/8'], header: 'X-Client' },
  logs: 'warnings',
};

const edits = { set: [{ name: 'X-A', value: 'ä\n"' }], add: [], remove: ['X-B'] };
const rule: RuleEntry = {
  kind: 'rule',
  key: 'rule/HTTPRoute/ns/app/0',
  routeKind: 'HTTPRoute',
  route: 'ns/app',
  index: 0,
  name: '',
  created: 0,
  attachments: [{ socket: 'socket/0.0.0.0/8080/tcp', host: '*', hostnames: ['*'] }],
  matches: [
    {
      path: { type: 'PathPrefix', value: '/' },
      method: 'GET',
      headers: [{ name: 'x', type: 'Exact', value: '1' }],
      query: [{ name: 'q', type: 'RegularExpression', value: '.*' }],
    },
  ],
  filters: [
    { type: 'requestHeaders', edits },
    { type: 'rewrite', hostname: null, path: { type: 'ReplaceFullPath', value: '/x' } },
  ],
  action: {
    type: 'forward',
    backends: [{ cluster: null, backend: 'ns/app:80', weight: 1, filters: [{ type: 'responseHeaders', edits }] }],
  },
  timeouts: { requestMs: null, backendMs: 10 },
  retry: { attempts: 2, codes: [503], backoffMs: 100 },
};
const redirecting: RuleEntry = {
  ...rule,
  action: { type: 'redirect', redirect: { scheme: 'https', hostname: null, port: 8443, path: null, status: 301 } },
};
const refusing: RuleEntry = { ...rule, action: { type: 'respond', status: 500 } };
const cluster: ClusterEntry = {
  kind: 'cluster',
  key: 'cluster/Service/ns/app/80/0123456789ab',
  backend: 'ns/app',
  endpoints: 'endpoints/Service/ns/app/80',
  protocol: 'http1',
  proxyProtocol: null,
  tls: null,
  balancer: { type: 'maglev', key: 'header', name: 'x-user' },
};

const endpoints: EndpointsEntry = {
  kind: 'endpoints',
  key: 'endpoints/Service/ns/app/80',
  endpoints: [{ id: 'ns/pod', address: '10.0.0.1', port: 8080, zone: '', weight: 1, state: 'draining' }],
};

const secure: SocketEntry = {
  ...socket,
  fallback: {
    ...{ certificates: ['certificate/ns/cert'], minVersion: 'TLSv1.3', ciphers: [], suites: [], alpn: [] },
    clients: null,
  },
  hosts: [
    {
      hostname: 'a.example',
      gateway: 'gateway/ns/edge',
      listener: 'https',
      port: 443,
      protocol: 'HTTPS',
      tls: {
        certificates: ['certificate/ns/cert'],
        minVersion: 'TLSv1.2',
        ciphers: [],
        suites: ['TLS_AES_128_GCM_SHA256'],
        alpn: ['http/1.1'],
        clients: { trust: 'trust/ns/ca', mode: 'AllowValidOnly', forward: ['Hash', 'URI'] },
      },
    },
  ],
};
const certificate: CertificateEntry = {
  kind: 'certificate',
  key: 'certificate/ns/cert',
  chain: ['0\x82\x01', '0\xff\x02'],
  privateKey: 'secret',
  fingerprint: 'ab12',
  staple: '',
  stapleFrom: 0,
  stapleUntil: 0,
};
const trust: TrustEntry = { kind: 'trust', key: 'trust/ns/ca', authorities: ['MIID'], revoked: [] };
const cells: CellsEntry = { kind: 'cells', key: 'cells/HTTPRoute/ns/app', blocks: { route: 16 } };
const entries: readonly Entry[] = [
  socket,
  gateway,
  rule,
  redirecting,
  refusing,
  cluster,
  endpoints,
  secure,
  certificate,
  trust,
  cells,
];

test('every kind of entry survives', () => {
  for (const entry of entries) assert.deepEqual(decodeEntry(encodeEntry(entry)), entry);
});

test('equal entries are equal bytes, whatever the order of their fields', () => {
  const turn = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(turn);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value)
        .reverse()
        .map(([name, inner]) => [name, turn(inner)]),
    );
  };
  for (const entry of entries) assert.deepEqual(encodeEntry(turn(entry) as Entry), encodeEntry(entry));
});

test('what thousands of listeners have in common travels once, and is one thing where it arrives', () => {
  const [first] = secure.hosts as [SocketHost];
  const other: ServerTls = { ...(first.tls as ServerTls), minVersion: 'TLSv1.3' };
  const hosts = Array.from({ length: 1_000 }, (_, i): SocketHost => {
    const tls = { ...(i % 10 === 0 ? other : (first.tls as ServerTls)), certificates: [`certificate/ns/c${i}`] };
    return { ...first, hostname: `h${i}.example`, tls };
  });
  const bytes = encodeEntry({ ...secure, hosts });
  assert.ok(bytes.length < 1_000 * 200, `${bytes.length} bytes`);
  const read = decodeEntry(bytes) as SocketEntry;
  assert.deepEqual(read, { ...secure, hosts });
  assert.equal(read.hosts[1]?.tls?.suites, read.hosts[2]?.tls?.suites);
  const without = new TextDecoder().decode(bytes).replace(/"way":1/, '"way":2');
  assert.throws(() => decodeEntry(new TextEncoder().encode(without)), CodecError, 'a way that is not there');
});

test('what a Gateway wants comes through', () => {
  assert.deepEqual(decodeEntry(encodeEntry(wishful)), wishful);
});

test('refuses what is no entry, and says where', () => {
  const bytes = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
  const wrong: [unknown, RegExp][] = [
    [null, /known kind/],
    [{ kind: 'toString' }, /known kind/],
    [[], /known kind/],
    [{ ...socket, port: 65_536 }, /port: expected an integer/],
    [{ ...socket, hosts: [{}] }, /hosts\[0\]\.hostname: expected a text/],
    [{ ...secure, hosts: [{ ...secure.hosts[0], tls: { certificates: [] } }] }, /tls\.certificates/],
    [certificate, /known kind/],
    [{ ...rule, matches: [] }, /matches: expected a list of at least 1/],
    [{ ...rule, attachments: [{ socket: 's', host: '*', hostnames: [] }] }, /hostnames/],
    [{ ...rule, action: { type: 'explode' } }, /action\.type: expected one of forward/],
    [{ ...rule, action: { type: 'respond', status: 7 } }, /action\.status/],
    [{ ...rule, filters: [{ type: 'rewrite', hostname: 3, path: null }] }, /filters\[0\]\.hostname/],
    [{ ...redirecting, action: { type: 'redirect', redirect: { scheme: 'ftp' } } }, /scheme: expected one of/],
    [{ ...cluster, balancer: { type: 'maglev', key: 'moon', name: '' } }, /balancer\.key/],
    [{ ...endpoints, endpoints: [{ ...endpoints.endpoints[0], weight: -1 }] }, /endpoints\[0\]\.weight/],
    [{ ...rule, timeouts: { requestMs: -1, backendMs: null } }, /timeouts\.requestMs/],
    [{ ...rule, retry: { attempts: 1, codes: [7], backoffMs: 0 } }, /retry\.codes\[0\]/],
    [{ ...cells, blocks: { route: 1.5 } }, /blocks\.route/],
    [{ ...wishful, errors: { type: 'poem', authority: '' } }, /errors\.type: expected one of empty/],
    [{ ...wishful, clients: { header: null } }, /clients\.trusted: expected a list/],
    [{ ...wishful, logs: 'all' }, /logs: expected one of/],
  ];
  for (const [value, message] of wrong) {
    assert.throws(
      () => decodeEntry(bytes(value)),
      (error) => error instanceof CodecError && message.test(error.message),
      JSON.stringify(value),
    );
  }
  assert.throws(() => decodeEntry(new Uint8Array([0x7b])), CodecError);
  assert.throws(() => decodeEntry(new Uint8Array([0x22, 0xff, 0x22])), CodecError, 'not UTF-8');
});

test('every field that the data plane relies on is checked', () => {
  const paths = (value: unknown, at: readonly string[]): string[][] =>
    typeof value === 'object' && value !== null
      ? Object.entries(value).flatMap(([name, inner]) => [[...at, name], ...paths(inner, [...at, name])])
      : [];
  const without = (value: unknown, [name, ...rest]: readonly string[]): unknown => {
    if (Array.isArray(value)) {
      if (rest.length === 0) return value.with(Number(name), undefined);
      return value.with(Number(name), without(value[Number(name)], rest));
    }
    const { [name as string]: inner, ...others } = value as Record<string, unknown>;
    return rest.length === 0 ? others : { ...others, [name as string]: without(inner, rest) };
  };
  for (const entry of entries) {
    const [text, binary] = partsOf(entry);
    const wire: unknown = JSON.parse(text);
    for (const path of paths(wire, [])) {
      // A map's keys are free: a missing one is just not there.
      if (path[0] === 'blocks' && path.length > 1) continue;
      const bytes = wholeOf(JSON.stringify(without(wire, path)), binary);
      assert.throws(() => decodeEntry(bytes), CodecError, `${entry.kind} without ${path.join('.')}`);
    }
  }
});

/** What an entry says as JSON, and what stands behind that; null where nothing may. */
function partsOf(entry: Entry): [text: string, binary: Buffer | null] {
  const bytes = encodeEntry(entry);
  if (entry.kind !== 'certificate') return [bytes.toString(), null];
  const end = 5 + bytes.readUInt32LE(1);
  return [bytes.toString('utf8', 5, end), bytes.subarray(end)];
}

function wholeOf(text: string, binary: Buffer | null): Buffer {
  if (binary === null) return Buffer.from(text);
  const head = Buffer.alloc(5);
  head.writeUInt32LE(Buffer.byteLength(text), 1);
  return Buffer.concat([head, Buffer.from(text), binary]);
}

test('a certificate whose lengths are not those of its bytes is refused, whatever they are', () => {
  const [text, binary] = partsOf(certificate);
  const said = JSON.parse(text) as { chain: number[]; privateKey: number };
  assert.deepEqual(decodeEntry(wholeOf(text, binary)), certificate);
  const [first] = said.chain as [number];
  const wrong = [
    { chain: [] },
    { chain: [first + 1] },
    { chain: [first - 1] },
    { chain: [-1, ...said.chain] },
    { chain: [0.5, ...said.chain] },
    { chain: ['1', ...said.chain] },
    { chain: first },
    { privateKey: said.privateKey + 1 },
    { privateKey: 2 ** 40 },
    { privateKey: null },
  ];
  for (const part of wrong) {
    const bytes = wholeOf(JSON.stringify({ ...said, ...part }), binary);
    assert.throws(() => decodeEntry(bytes), CodecError, JSON.stringify(part));
  }
  const whole = wholeOf(text, binary);
  for (let length = 0; length < whole.length; length++)
    assert.throws(() => decodeEntry(whole.subarray(0, length)), CodecError, `${length} bytes`);
  assert.throws(() => decodeEntry(Buffer.concat([whole, Buffer.alloc(1)])), CodecError);
});

test('no message quotes what was read: it may be a key', () => {
  const [text, binary] = partsOf(certificate);
  for (const odd of [
    text.slice(0, -60),
    text.replace('"kind"', 'secret'),
    text.replace(/"key":"[^"]*"/, '"key":[1]'),
  ]) {
    assert.throws(
      () => decodeEntry(wholeOf(odd, binary)),
      (error) => error instanceof CodecError && !/secret|MII/.test(error.message),
    );
  }
});
