// What a Gateway wants of everything that comes by it: how answers of RAUTA's own look, and whose client is believed.

import assert from 'node:assert/strict';
import type { Entry, GatewayEntry } from '../../src/ir/ir.ts';
import { ask as askH2, Http2Client, head } from '../support/http2.ts';
import { onBoth, plainly, type TestNet } from '../support/net.ts';
import { bodyText, GATEWAY, get, LISTENER, listener, ok, Rig, type RuleOptions, rule } from './rig.ts';

type Wishes = Pick<GatewayEntry, 'errors' | 'clients' | 'logs'>;

const HTML = { errors: { type: 'html', authority: '' } } as const;
const EMPTY = { errors: { type: 'empty', authority: '' } } as const;
const PROBLEM = { errors: { type: 'problem', authority: '' } } as const;
const PROBLEM_OF = { errors: { type: 'problem', authority: 'https://errors.example' } } as const;

interface Answered {
  readonly status: number;
  readonly type: string | undefined;
  readonly length: string | undefined;
  readonly body: string;
}

async function answered(
  net: TestNet,
  wishes: Wishes,
  request: string,
  entries: readonly Entry[] = [rule({ path: '/app' })],
): Promise<Answered> {
  const rig = new Rig(net, [], [{ ...GATEWAY, ...wishes }, ...entries]);
  const client = await rig.connect();
  await client.send(request);
  const { status, headers, ...rest } = await client.readMessage({ answersHead: request.startsWith('HEAD') });
  client.close();
  await rig.end();
  return {
    status,
    type: headers.get('content-type')?.join(),
    length: headers.get('content-length')?.join(),
    body: bodyText(rest),
  };
}

onBoth('a Gateway without wishes answers short plain text', async (net) => {
  const seen = await answered(net, {}, get('/'));
  assert.deepEqual(seen, { status: 404, type: 'text/plain; charset=utf-8', length: '9', body: 'no route\n' });
});

onBoth('empty answers have neither content nor its type', async (net) => {
  assert.deepEqual(await answered(net, EMPTY, get('/')), { status: 404, type: undefined, length: '0', body: '' });
  assert.equal((await answered(net, EMPTY, get('/app'))).status, 503);
});

onBoth('a page says status and cause', async (net) => {
  const { status, type, body } = await answered(net, HTML, get('/app'));
  assert.deepEqual([status, type], [503, 'text/html; charset=utf-8']);
  assert.match(body, /^<!doctype html>.*<title>503 Service Unavailable<\/title>.*<p>no ready endpoint<\/p>/s);
});

onBoth('a problem without an authority has the status for its title (RFC 9457 section 4.2.1)', async (net) => {
  const { status, type, body } = await answered(net, PROBLEM, get('/'));
  assert.deepEqual([status, type], [404, 'application/problem+json']);
  assert.deepEqual(JSON.parse(body), { title: 'Not Found', status: 404, detail: 'no route' });
});

onBoth('a problem with an authority has a type under it', async (net) => {
  const { body } = await answered(net, PROBLEM_OF, get('/app'));
  const type = 'https://errors.example/no_endpoint';
  assert.deepEqual(JSON.parse(body), { type, title: 'no ready endpoint', status: 503 });
});

onBoth('HEAD gets the fields of the problem and none of it', async (net) => {
  const seen = await answered(net, PROBLEM, 'HEAD / HTTP/1.1\r\nHost: a.example\r\n\r\n');
  assert.deepEqual([seen.status, seen.type, seen.body], [404, 'application/problem+json', '']);
  assert.ok(Number(seen.length) > 20);
});

onBoth('a request that cannot be read is answered so, too, by the only Gateway of the socket', async (net) => {
  const { status, body } = await answered(net, PROBLEM, 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n');
  assert.deepEqual(
    [status, JSON.parse(body)],
    [400, { title: 'Bad Request', status: 400, detail: 'malformed request' }],
  );
});

const failing: RuleOptions = {
  action: { type: 'respond', status: 500 },
  filters: [
    { type: 'responseHeaders', edits: { set: [{ name: 'X-Set', value: 'here' }], add: [], remove: [] } },
    {
      type: 'cors',
      cors: { origins: ['*'], credentials: false, methods: [], headers: [], exposedHeaders: [], maxAgeS: 5 },
    },
  ],
};

onBoth('a rule that could not be made whole says so, with what its filters add', async (net) => {
  const rig = new Rig(net, [], [{ ...GATEWAY, ...PROBLEM_OF }, rule(failing)]);
  const client = await rig.connect();
  for (let i = 0; i < 2; i++) {
    await client.send(get('/', 'Origin: https://shop.example\r\n'));
    const message = await client.readMessage();
    assert.equal(message.status, 500);
    assert.deepEqual(message.headers.get('x-set'), ['here']);
    assert.deepEqual(message.headers.get('access-control-allow-origin'), ['*']);
    assert.equal(JSON.parse(bodyText(message)).type, 'https://errors.example/invalid_rule');
  }
  client.close();
  await rig.end();
  const plain = await answered(net, {}, get('/'), [rule(failing)]);
  assert.deepEqual([plain.status, plain.body], [500, '']);
});

onBoth("what somebody wrote is nobody else's: a static response stays as it is", async (net) => {
  const action = { type: 'static', status: 503, headers: [], body: Buffer.from('mine').toString('base64') } as const;
  const { status, body } = await answered(net, HTML, get('/'), [rule({ action })]);
  assert.deepEqual([status, body], [503, 'mine']);
});

/** Two Gateways on one socket. */
function shared(a: Wishes, b: Wishes): Entry[] {
  const other = { kind: 'gateway', key: 'gateway/default/b', name: 'default/b' } as const;
  const [host] = listener().hosts;
  assert.ok(host);
  const hosts = [
    { ...host, hostname: 'a.example' },
    { ...host, hostname: 'b.example', gateway: other.key, listener: 'b' },
  ];
  const attachments = ['a.example', 'b.example'].map((name) => ({ socket: LISTENER, host: name, hostnames: [name] }));
  return [
    { ...GATEWAY, ...a },
    { ...other, ...b },
    { ...listener(), hosts },
    { ...rule({ path: '/app' }), attachments },
  ];
}

onBoth("Gateways that share a socket answer each in its own way, nobody's host as before", async (net) => {
  const rig = new Rig(net, [], shared(HTML, PROBLEM));
  const client = await rig.connect();
  const types: (string | undefined)[] = [];
  for (const host of ['a.example', 'b.example', 'c.example']) {
    await client.send(`GET /none HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    types.push((await client.readMessage()).headers.get('content-type')?.join());
  }
  assert.deepEqual(types, ['text/html; charset=utf-8', 'application/problem+json', 'text/plain; charset=utf-8']);
  client.close();
  await rig.end();
});

onBoth('a wish that changes holds from the next request on, on connections that are open', async (net) => {
  const rig = new Rig(net, [], [{ ...GATEWAY, ...HTML }, rule({ path: '/app' })]);
  const client = await rig.connect();
  const type = async (): Promise<string | undefined> => {
    await client.send(get('/'));
    return (await client.readMessage()).headers.get('content-type')?.join();
  };
  assert.equal(await type(), 'text/html; charset=utf-8');
  rig.apply({ upserts: [{ ...GATEWAY, ...PROBLEM }], removals: [] });
  assert.equal(await type(), 'application/problem+json');
  rig.apply({ upserts: [GATEWAY], removals: [] });
  assert.equal(await type(), 'text/plain; charset=utf-8');
  client.close();
  await rig.end();
});

onBoth('a range that is none refuses the revision and leaves what was there', async (net) => {
  const rig = new Rig(net, [], [{ ...GATEWAY, ...HTML }, rule({ path: '/app' })]);
  const clients = { trusted: ['10.0.0.0/33'], header: null };
  assert.throws(() => rig.apply({ upserts: [{ ...GATEWAY, clients }], removals: [] }), /10\.0\.0\.0\/33/);
  const client = await rig.connect();
  await client.send(get('/'));
  assert.equal((await client.readMessage()).headers.get('content-type')?.join(), 'text/html; charset=utf-8');
  client.close();
  await rig.end();
});

plainly('over TLS clients agree on the protocol by ALPN').onBoth(
  'a call of gRPC keeps its status, whatever its Gateway answers others',
  async (net) => {
    const rig = new Rig(net, [], [{ ...GATEWAY, ...PROBLEM_OF }, rule({ path: '/app', to: ['app'] })]);
    const client = await Http2Client.open(await rig.connect());
    const fields = askH2('/pkg.Echo/Unary', [['content-type', 'application/grpc']], 'POST');
    await client.send(head(1, fields, true));
    const { status, fields: seen, body } = await client.outcome(1);
    assert.deepEqual(
      [status, seen.get('grpc-status'), seen.get('content-type'), body.length],
      [200, '12', 'application/grpc', 0],
    );
    client.peer.close();
    await rig.end();
  },
);

// ---- clients

interface Told {
  /** What the backend saw. */
  readonly fields: ReadonlyMap<string, readonly string[]>;
  /** What the log says. */
  readonly client: string;
}

async function told(net: TestNet, wishes: Wishes, more: string, trustedProxies: readonly string[] = []): Promise<Told> {
  let fields: ReadonlyMap<string, readonly string[]> = new Map();
  const backend = net.serve(async (peer) => {
    fields = (await peer.readMessage()).headers;
    await peer.send(ok('x'));
  });
  const rig = new Rig(net, [backend], [{ ...GATEWAY, ...wishes }, rule({})], { trustedProxies });
  const client = await rig.connect();
  await client.send(get('/', more));
  assert.equal((await client.readMessage()).status, 200);
  client.close();
  await rig.end();
  return { fields, client: rig.records.last.client };
}

const FORWARDED = 'X-Forwarded-For: 203.0.113.9, 192.0.2.1\r\nX-Request-ID: theirs\r\n';
const LOOPBACK = { clients: { trusted: ['127.0.0.0/8', '192.0.2.1'], header: null } };

onBoth('a Gateway believes those whom it trusts, though the program trusts nobody', async (net) => {
  const { fields, client } = await told(net, LOOPBACK, FORWARDED);
  assert.equal(client, '203.0.113.9');
  assert.deepEqual(fields.get('x-forwarded-for'), ['203.0.113.9, 192.0.2.1, 127.0.0.1']);
  assert.deepEqual(fields.get('x-request-id'), ['theirs']);
});

onBoth('a Gateway that trusts nobody does not, though the program does', async (net) => {
  const { fields, client } = await told(net, { clients: { trusted: [], header: null } }, FORWARDED, ['127.0.0.0/8']);
  assert.equal(client, '127.0.0.1');
  assert.deepEqual(fields.get('x-forwarded-for'), ['127.0.0.1']);
  assert.notDeepEqual(fields.get('x-request-id'), ['theirs']);
});

const NAMED = { clients: { trusted: ['127.0.0.0/8'], header: 'CF-Connecting-IP' } };

onBoth('a field that names the client is believed from those who are trusted', async (net) => {
  const { fields, client } = await told(net, NAMED, 'cf-connecting-ip: 2001:db8::7\r\n');
  assert.equal(client, '2001:db8::7');
  assert.deepEqual(fields.get('cf-connecting-ip'), ['2001:db8::7']);
  assert.equal((await told(net, NAMED, '')).client, '127.0.0.1', 'nothing is said');
  assert.equal((await told(net, NAMED, 'CF-Connecting-IP: me\r\n')).client, '127.0.0.1', 'no address');
  const twice = 'CF-Connecting-IP: 6.6.6.6\r\nCF-Connecting-IP: 203.0.113.9\r\n';
  assert.equal((await told(net, NAMED, twice)).client, '203.0.113.9', 'the nearest said the last');
});

onBoth('from others it goes to no backend', async (net) => {
  const wishes = { clients: { ...NAMED.clients, trusted: ['10.0.0.0/8'] } };
  for (const name of ['CF-Connecting-IP', 'cf_connecting_ip', 'CF.Connecting-IP']) {
    const { fields, client } = await told(net, wishes, `${name}: 6.6.6.6\r\n`, ['127.0.0.0/8']);
    assert.equal(client, '127.0.0.1');
    assert.equal(fields.get(name.toLowerCase()), undefined, name);
  }
});

onBoth('Gateways that share a socket believe each whom it trusts', async (net) => {
  const backend = net.serve(async (peer) => {
    while ((await peer.readMessage().catch(() => null)) !== null) await peer.send(ok('x'));
  });
  const rig = new Rig(net, [backend], shared(LOOPBACK, { clients: { trusted: [], header: null } }));
  const client = await rig.connect();
  for (const host of ['a.example', 'b.example']) {
    await client.send(`GET /app HTTP/1.1\r\nHost: ${host}\r\n${FORWARDED}\r\n`);
    assert.equal((await client.readMessage()).status, 200);
  }
  client.close();
  await rig.end();
  assert.deepEqual(
    rig.records.all.map((record) => record.client),
    ['203.0.113.9', '127.0.0.1'],
  );
});

onBoth('who may ask is decided by the client that the Gateway believes', async (net) => {
  const filters = [{ type: 'access', effect: 'allow', ranges: ['203.0.113.0/24'], methods: [], paths: [] }] as const;
  const entries = [rule({ filters, action: { type: 'forward', backends: [] }, to: [] })];
  assert.equal((await answered(net, LOOPBACK, get('/', FORWARDED), entries)).status, 500, 'it got through');
  assert.equal((await answered(net, {}, get('/', FORWARDED), entries)).status, 403);
});
