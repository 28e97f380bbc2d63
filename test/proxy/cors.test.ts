// Cross-origin requests (Fetch standard 3.3, Gateway API HTTPCORSFilter): preflights are answered here, responses say
// who may read them.

import assert from 'node:assert/strict';
import type { Cors, Filter } from '../../src/ir/ir.ts';
import { onBoth, type TestNet } from '../support/net.ts';
import { auth, site } from './auth-rig.ts';
import { get, ok, Rig, type RuleOptions, rule } from './rig.ts';

const CORS: Cors = {
  origins: ['https://www.foo.com', 'https://*.bar.com'],
  credentials: true,
  methods: ['GET', 'OPTIONS'],
  headers: ['x-header-1', 'x-header-2'],
  exposedHeaders: ['x-header-3'],
  maxAgeS: 3600,
};
const ANY: Cors = {
  origins: ['*'],
  credentials: false,
  methods: ['*'],
  headers: ['*'],
  exposedHeaders: [],
  maxAgeS: 5,
};

const filter = (cors: Partial<Cors>, base = CORS): Filter => ({ type: 'cors', cors: { ...base, ...cors } });

interface Seen {
  readonly status: number;
  readonly fields: ReadonlyMap<string, readonly string[]>;
  readonly requests: number;
}

async function ask(
  net: TestNet,
  cors: Filter,
  request: string,
  { answer = ok('x'), ...options }: RuleOptions & { readonly answer?: string } = {},
): Promise<Seen> {
  let requests = 0;
  const backend = net.serve(async (peer) => {
    await peer.readMessage();
    requests++;
    await peer.send(answer);
  });
  const rig = new Rig(net, [backend], [rule({ filters: [cors], ...options })]);
  const client = await rig.connect();
  await client.send(request);
  const message = await client.readMessage();
  client.close();
  await rig.end();
  return { status: message.status, fields: message.headers, requests };
}

const preflight = (origin: string, more = ''): string =>
  `OPTIONS / HTTP/1.1\r\nHost: a.example\r\nOrigin: ${origin}\r\nAccess-Control-Request-Method: PUT\r\n${more}\r\n`;
const said = ({ fields }: Seen): Record<string, string> =>
  Object.fromEntries(
    [...fields]
      .filter(([name]) => /^(access-control|vary)/.test(name))
      .map(([name, values]) => [name, values.join('|')]),
  );

const ALLOWED = {
  vary: 'Origin',
  'access-control-allow-origin': 'https://www.foo.com',
  'access-control-allow-credentials': 'true',
  'access-control-expose-headers': 'x-header-3',
};

onBoth('a preflight of an origin that is allowed is answered here, whole', async (net) => {
  const seen = await ask(net, filter({}), preflight('https://www.foo.com'));
  assert.deepEqual([seen.status, seen.requests], [204, 0]);
  assert.deepEqual(said(seen), {
    ...ALLOWED,
    'access-control-allow-methods': 'GET, OPTIONS',
    'access-control-allow-headers': 'x-header-1, x-header-2',
    'access-control-max-age': '3600',
  });
});

onBoth('one of an origin that is not is answered without any of it', async (net) => {
  for (const origin of [
    'https://foobar.com',
    'http://www.foo.com',
    'https://www.foo.com:8443',
    'https://bar.com',
    'null',
  ]) {
    const seen = await ask(net, filter({}), preflight(origin));
    assert.deepEqual([seen.status, seen.requests, said(seen)], [204, 0, { vary: 'Origin' }], origin);
  }
});

onBoth('a wildcard is for any number of labels, a port that is not said for the usual one', async (net) => {
  for (const origin of [
    'https://www.bar.com',
    'https://xpto.www.bar.com',
    'https://a.bar.com:443',
    'HTTPS://A.bar.com',
  ]) {
    const seen = await ask(net, filter({}), preflight(origin));
    assert.equal(said(seen)['access-control-allow-origin'], origin);
  }
});

onBoth('"*" gives what was asked for, and the same to all without credentials', async (net) => {
  const asks = preflight('https://any.example:12345', 'Access-Control-Request-Headers: x-a, x-b\r\n');
  assert.deepEqual(said(await ask(net, filter({}, ANY), asks)), {
    'access-control-allow-origin': '*',
    'access-control-allow-methods': 'PUT',
    'access-control-allow-headers': 'x-a, x-b',
    'access-control-max-age': '5',
  });
  assert.deepEqual(said(await ask(net, filter({ credentials: true }, ANY), asks)), {
    vary: 'Origin',
    'access-control-allow-origin': 'https://any.example:12345',
    'access-control-allow-credentials': 'true',
    'access-control-allow-methods': 'PUT',
    'access-control-allow-headers': 'x-a, x-b',
    'access-control-max-age': '5',
  });
});

onBoth('apps and extensions have origins of schemes of their own, which "*" allows, and who is named', async (net) => {
  const named = filter({ origins: ['capacitor://localhost', 'chrome-extension://*.b'] });
  for (const origin of ['capacitor://localhost', 'chrome-extension://a.b', 'file://', 'HTTPS://A.example']) {
    const request = get('/', `Origin: ${origin}\r\n`);
    assert.equal(said(await ask(net, filter({}, ANY), request))['access-control-allow-origin'], '*');
    const credentials = said(await ask(net, filter({ credentials: true }, ANY), request));
    assert.equal(credentials['access-control-allow-origin'], origin);
    const one = said(await ask(net, named, request))['access-control-allow-origin'];
    assert.equal(one, origin.startsWith('c') ? origin : undefined);
  }
  for (const origin of ['capacitor://localhost:80', 'ionic://localhost', 'https://localhost'])
    assert.deepEqual(said(await ask(net, named, get('/', `Origin: ${origin}\r\n`))), { vary: 'Origin' }, origin);
});

onBoth('a response says who may read it, in place of what the backend says of that', async (net) => {
  const answer =
    'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nAccess-Control-Allow-Origin: *\r\naccess-control-max-age: 1\r\nVary: Accept\r\n\r\nx';
  const allowed = await ask(net, filter({}), get('/', 'Origin: https://www.foo.com\r\n'), { answer });
  assert.deepEqual(said(allowed), { ...ALLOWED, vary: 'Accept|Origin' });
  assert.equal(allowed.requests, 1);
  const refused = await ask(net, filter({}), get('/', 'Origin: https://foobar.com\r\n'), { answer });
  assert.deepEqual([refused.status, said(refused)], [200, { vary: 'Accept|Origin' }]);
  const none = await ask(net, filter({}), get('/'), { answer });
  assert.deepEqual([none.status, said(none)], [200, { vary: 'Accept|Origin' }]);
});

onBoth('edits of the response stand beside it', async (net) => {
  const edits: Filter = {
    type: 'responseHeaders',
    edits: { set: [{ name: 'X-Set', value: 'yes' }], add: [], remove: [] },
  };
  const seen = await ask(net, filter({}), get('/', 'Origin: https://www.foo.com\r\n'), {
    filters: [filter({}), edits],
  });
  assert.deepEqual(said(seen), ALLOWED);
  assert.deepEqual(seen.fields.get('x-set'), ['yes']);
});

onBoth('a script may read why no backend answered, and where a redirect leads', async (net) => {
  const origin = 'Origin: https://www.foo.com\r\n';
  const broken = await ask(net, filter({}), get('/', origin), { answer: 'HTTP/9\r\n\r\n' });
  assert.deepEqual([broken.status, said(broken)], [502, ALLOWED]);
  const moved = await ask(net, filter({}), get('/', origin), {
    action: {
      type: 'redirect',
      redirect: { scheme: 'https', hostname: 'b.example', port: null, path: null, status: 302 },
    },
  });
  assert.deepEqual([moved.status, said(moved)], [302, ALLOWED]);
  assert.deepEqual(moved.fields.get('location'), ['https://b.example/']);
});

onBoth('OPTIONS that is no preflight goes to the backend', async (net) => {
  const options = 'OPTIONS / HTTP/1.1\r\nHost: a.example\r\nOrigin: https://www.foo.com\r\n\r\n';
  const seen = await ask(net, filter({}), options);
  assert.deepEqual([seen.status, seen.requests, said(seen)], [200, 1, ALLOWED]);
});

onBoth('an origin that is none, or too long, is nobody', async (net) => {
  for (const origin of ['{{uuid}}', 'https://a b', 'https://a/', `https://${'a'.repeat(600)}`]) {
    const seen = await ask(net, filter({ credentials: true }, ANY), get('/', `Origin: ${origin}\r\n`));
    assert.deepEqual([seen.status, said(seen)], [200, { vary: 'Origin' }], origin);
  }
});

onBoth(
  'what the filter says is said once, whoever says it too: a filter, who decides, what is written',
  async (net) => {
    const origin = 'Origin: https://www.foo.com\r\n';
    const named = { name: 'access-control-allow-origin', value: '*' };
    const edits: Filter = { type: 'responseHeaders', edits: { set: [named], add: [], remove: [] } };
    const written = { type: 'static', status: 200, headers: [named], body: '' } as const;
    const redirect = { scheme: 'https', hostname: 'b.example', port: null, path: null, status: 302 } as const;
    const places: readonly RuleOptions[] = [
      { filters: [filter({}), edits] },
      { filters: [filter({}), edits], action: { type: 'redirect', redirect } },
      { action: written },
    ];
    for (const options of places)
      assert.deepEqual(said(await ask(net, filter({}), get('/', origin), options)), ALLOWED);
    const says =
      'HTTP/1.1 403 No\r\nAccess-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: x-secret\r\n' +
      'Access-Control-Max-Age: 1\r\nX-Why: w\r\nVary: Cookie\r\nContent-Length: 2\r\n\r\nno';
    for (const [from, allowed] of [
      [origin, ALLOWED],
      ['Origin: https://foobar.com\r\n', { vary: 'Origin' }],
    ] as const) {
      // In front of who decides, as rules have it.
      const { rig } = site(net, () => says, auth(), { filters: [filter({})] });
      const client = await rig.connect();
      await client.send(get('/', from));
      const { status, headers } = await client.readMessage();
      const seen = said({ status, fields: headers, requests: 0 });
      assert.deepEqual([status, headers.get('x-why'), seen], [403, ['w'], { ...allowed, vary: 'Cookie|Origin' }]);
      client.close();
      await rig.end();
    }
  },
);

onBoth(
  'a large request that no backend took, and a long list of fields for scripts: both give their memory back',
  async (net) => {
    const exposedHeaders = Array.from({ length: 60 }, (_, i) => `x-${i}-${'y'.repeat(200)}`);
    const rig = new Rig(net, [net.refuse()], [rule({ filters: [filter({ exposedHeaders })] })]);
    const client = await rig.connect();
    await client.send(get('/', `Origin: https://www.foo.com\r\nX-Large: ${'z'.repeat(12_000)}\r\n`));
    const { status, headers } = await client.readMessage();
    assert.deepEqual([status, headers.get('access-control-expose-headers')], [503, [exposedHeaders.join(', ')]]);
    client.close();
    await rig.end();
  },
);
