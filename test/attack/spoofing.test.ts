// What a client says to be taken for somebody else or to be somewhere else: fields that only a proxy may set, fields
// that end at each hop (RFC 9110 section 7.6.1), and paths and hosts that two readers read differently.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { backendYaml, routeYaml } from '../process/support.ts';
import { answering, get, label, ok, RawBackend, responsesOf, Target, until } from './support.ts';

const EDITS =
  '      filters: [{ type: RequestHeaderModifier, requestHeaderModifier: { set: [{ name: X-Tenant, value: ours }, ' +
  '{ name: User-Agent, value: ours }], add: [{ name: X-More, value: ours }], remove: [X-Internal] } }]\n';

let target: Target;
let admin: RawBackend;
before(async () => {
  admin = await RawBackend.start(answering((r) => ok(`ADMIN ${label(r)}`)));
  target = await Target.start({
    routes: () =>
      `${routeYaml('edited', '/edited', 'app', EDITS)}${backendYaml('admin', admin.port)}${routeYaml('admin', '/admin', 'admin')}${routeYaml(
        'hosted',
        '/',
        'admin',
      ).replace('rules:', 'hostnames: [secret.example, "*.internal.example"]\n  rules:')}`,
  });
});
after(async () => {
  admin.close();
  await target.end();
});

/** Controls, and what turns the direction of text. */
const STEERS = /\p{Cc}|\u202e/u;

/** Sends the fields with a GET; the head that the backend saw. */
async function sent(fields: string): Promise<Map<string, string[]>> {
  target.backend.reset(answering());
  await target.exchange(get('/', `${fields}\r\n`));
  assert.deepEqual(target.backend.violations, []);
  const request = target.backend.requests[0];
  assert.ok(request !== undefined, `nothing reached the backend for ${fields}`);
  return request.headers;
}

test('no name that a backend could take for a forwarded field passes', async () => {
  const names = ['X-Forwarded-For', 'X-Forwarded-Proto', 'X-Forwarded-Host', 'X-Forwarded-Port', 'X-Forwarded-Server'];
  names.push('X-Forwarded-Client-Cert', 'X-Forwarded-Prefix', 'X-Real-IP', 'X-Request-ID');
  for (const name of names) {
    for (const written of [name, name.toLowerCase(), name.toUpperCase()]) {
      for (const joint of ['-', '_', '.', '~', '!']) {
        const seen = await sent(`${written.replaceAll('-', joint)}: 6.6.6.6`);
        const evil = [...seen].filter(([, values]) => values.some((v) => v.includes('6.6.6.6')));
        assert.deepEqual(evil, [], written.replaceAll('-', joint));
      }
    }
  }
  for (const line of [
    'Forwarded: for=6.6.6.6',
    'Proxy: http://6.6.6.6',
    'X_Forwarded-For: 6.6.6.6',
    'x-forwarded_for: 6.6.6.6',
  ]) {
    const seen = await sent(line);
    assert.ok(![...seen.values()].flat().some((v) => v.includes('6.6.6.6')), line);
  }
  // More digits than a request id is likely to repeat.
  for (const line of [
    'Content_Length: 6666666666',
    'Transfer_Encoding: chunked6666666666',
    'CONTENT.LENGTH: 6666666666',
  ]) {
    const seen = await sent(line);
    assert.ok(![...seen.values()].flat().some((v) => v.includes('6666666666')), line);
  }
});

test('what a rule sets or removes a client cannot say in another writing', async () => {
  for (const [line, passes] of [
    ['X_Tenant: evil', false],
    ['x.tenant: evil', false],
    ['X_Internal: evil', false],
    ['X-INTERNAL: evil', false],
    ['User_Agent: evil', false],
    ['X_Tenants: evil', true],
    // Added to, not said by the rule alone.
    ['X_More: evil', true],
  ] as const) {
    target.backend.reset(answering());
    await target.exchange(get('/edited', `${line}\r\n`));
    const [request] = target.backend.requests;
    assert.deepEqual(request?.headers.get('x-tenant'), ['ours']);
    assert.equal([...request.headers.values()].flat().includes('evil'), passes, line);
  }
});

test('what the proxy says of the client is said once, and cannot be named away', async () => {
  for (const option of ['X-Forwarded-For', 'x-forwarded-proto', 'X-Forwarded-Host', 'X-Request-ID', 'Host']) {
    const seen = await sent(`Connection: close, ${option}\r\nX-Forwarded-For: 6.6.6.6`);
    assert.deepEqual(seen.get('x-forwarded-for'), ['127.0.0.1'], option);
    assert.deepEqual(seen.get('x-forwarded-proto'), ['http'], option);
    assert.deepEqual(seen.get('x-forwarded-host'), ['a.example'], option);
    assert.deepEqual(seen.get('host'), ['a.example'], option);
    assert.equal(seen.get('x-request-id')?.length, 1, option);
  }
});

test('fields of one hop end there, in both directions', async () => {
  const hop =
    'Connection: keep-alive, X-Named, Upgrade, HTTP2-Settings\r\nKeep-Alive: timeout=99\r\nProxy-Connection: keep-alive\r\n' +
    'Proxy-Authorization: Basic eDp5\r\nTE: gzip, deflate;q=0.5\r\nUpgrade: h2c, websocket\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nX-Named: secret';
  const seen = await sent(hop);
  for (const name of [
    'connection',
    'keep-alive',
    'proxy-connection',
    'proxy-authorization',
    'te',
    'upgrade',
    'http2-settings',
    'x-named',
  ]) {
    assert.equal(seen.get(name), undefined, name);
  }
  target.backend.reset(
    answering(() =>
      ok(
        'x',
        `Connection: X-Named, close\r\nKeep-Alive: timeout=99\r\nProxy-Connection: close\r\nProxy-Authenticate: Basic\r\nUpgrade: h2c\r\nX-Named: secret\r\n`,
      ),
    ),
  );
  const [answer] = await responsesOf(await target.exchange(get('/')));
  for (const name of ['connection', 'keep-alive', 'proxy-connection', 'proxy-authenticate', 'upgrade', 'x-named']) {
    assert.equal(answer?.headers.get(name), undefined, name);
  }
});

/**
 * Paths that must not reach anything but what `admin` is for when they mean /admin, and must be refused when it is
 * unclear.
 */
const paths: readonly (readonly [path: string, answer: string | number])[] = [
  ['/admin', 'ADMIN GET /admin'],
  ['/public/../admin', 'ADMIN GET /admin'],
  ['/public/%2e%2e/admin', 'ADMIN GET /admin'],
  ['/public/%2E./admin', 'ADMIN GET /admin'],
  ['/./admin', 'ADMIN GET /admin'],
  ['/%2e/admin', 'ADMIN GET /admin'],
  ['//admin', 'ADMIN GET /admin'],
  ['///admin', 'ADMIN GET /admin'],
  ['/admin//x', 'ADMIN GET /admin/x'],
  ['/%61dmin', 'ADMIN GET /admin'],
  ['/%61%64%6d%69%6e/', 'ADMIN GET /admin/'],
  ['/admin/..', 'GET /'],
  ['/admin/../x', 'GET /x'],
  ['/admin?/../x', 'ADMIN GET /admin?/../x'],
  ['/x?/../admin', 'GET /x?/../admin'],
  ['/x%3f/../admin', 'ADMIN GET /admin'],
  ['/x?', 'GET /x?'],
  ['/x??a=%00&b=%', 'GET /x??a=%00&b=%'],
  ['/Admin', 'GET /Admin'],
  ['/adminx', 'GET /adminx'],
  ['/admin%00', 400],
  ['/admin%2fx', 'GET /admin%2Fx'],
  ['/public/..;/admin', 400],
  ['/public/..;a=b/admin', 400],
  ['/public/.;/admin', 400],
  ['/public/..%3b/admin', 400],
  ['/public/..%2fadmin', 400],
  ['/public%2f..%2fadmin', 400],
  ['/public%2f../admin', 400],
  ['/public\\..\\admin', 400],
  ['/public/..\\admin', 400],
  ['/public/..%5cadmin', 400],
  ['/public%5c..%5cadmin', 400],
  ['/../admin', 400],
  ['/..', 400],
  ['/a/../../admin', 400],
  ['/%2e%2e/admin', 400],
  ['/%zz', 400],
  ['/%', 400],
  ['/%2', 400],
  ['/%u002e%u002e/admin', 400],
  // One decoding only: what is escaped twice is data.
  ['/public/%252e%252e/admin', 'GET /public/%252e%252e/admin'],
  ['/public/%252e%252e%252fadmin', 'GET /public/%252e%252e%252fadmin'],
  ['http://a.example/admin', 'ADMIN GET /admin'],
  ['http://a.example/public/../admin', 'ADMIN GET /admin'],
  ['http://a.example//admin', 'ADMIN GET /admin'],
  ['http://a.example?/admin', 'GET /?/admin'],
  ['HTTP://a.example/admin', 'ADMIN GET /admin'],
];

test('a rule and its backend read the same path', async () => {
  target.backend.reset(answering());
  admin.reset(answering((r) => ok(`ADMIN ${label(r)}`)));
  for (const [path, expected] of paths) {
    const [answer, ...more] = await responsesOf(await target.exchange(get(path)));
    const got = answer?.status === 200 ? Buffer.from(answer.body).toString('latin1') : answer?.status;
    assert.equal(got, expected, path);
    assert.deepEqual(more, [], path);
  }
});

const hosts: readonly (readonly [host: string, secret: boolean | number])[] = [
  ['secret.example', true],
  ['SECRET.example', true],
  ['secret.example.', true],
  ['secret.example:80', true],
  ['secret.example:', true],
  ['secret.example.:8080', true],
  ['secret.example..', false],
  ['x.internal.example', true],
  ['X.Internal.Example:1', true],
  ['internal.example', false],
  ['.internal.example', false],
  ['secret.example,a.example', false],
  ['secret%2eexample', false],
  ['xn--secret.example', false],
  ['127.0.0.1', false],
  ['[::1]:80', false],
  [`${'x'.repeat(300)}.internal.example`, true],
  ['secret.example:80:80', 400],
  ['secret.example ', true],
  ['secret.example\t', true],
  ['secret .example', 400],
  ['a@secret.example', 400],
  ['secret.example@a', 400],
  ['secret.example/', 400],
  ['secret.example\x00', 400],
];

test('a host is one host', async () => {
  target.backend.reset(answering());
  admin.reset(answering((r) => ok(`ADMIN ${label(r)}`)));
  for (const [host, secret] of hosts) {
    for (const text of [
      `GET /h HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
      ...(/[\s\0]/.test(host) ? [] : [`GET http://${host}/h HTTP/1.1\r\nHost: other.example\r\n\r\n`]),
    ]) {
      // An empty path: the slash of userinfo or host ends the authority of an absolute target, so there it is another
      // path.
      if (text.startsWith('GET http') && host.endsWith('/')) continue;
      const [answer] = await responsesOf(await target.exchange(text));
      const got =
        answer?.status === 200 ? Buffer.from(answer.body).toString('latin1').startsWith('ADMIN') : answer?.status;
      assert.equal(got, secret, JSON.stringify(text));
    }
  }
  // The authority of an absolute target is the host, and what the backend is told.
  await target.exchange('GET http://x.internal.example:8/h HTTP/1.1\r\nHost: other.example\r\n\r\n');
  const seen = admin.requests.at(-1);
  assert.deepEqual(seen?.headers.get('host'), ['x.internal.example:8']);
  assert.deepEqual(seen?.headers.get('x-forwarded-host'), ['x.internal.example:8']);
  assert.deepEqual(admin.violations, []);
});

test('nothing that a client says breaks out of a log line, the list of requests or a metric', async () => {
  target.backend.reset(answering());
  // No control byte below 0x20 passes the parser.
  const evil = '\x9b31m"},{"status":200,"x":"\xe2\x80\xae\\\xff\xc2\x85';
  const logged = async (path: string): Promise<number> => {
    await until(() => target.rauta.access.includes(path), 'the line');
    return target.rauta.access.length;
  };
  await target.exchange(get('/begin'));
  const before = await logged('"/begin"');
  await target.exchange(
    `GET /log"\\%0d%0a?q="x HTTP/1.1\r\nHost: a.example\r\nUser-Agent: ${evil}\r\nCookie: ${evil}\r\n\r\n`,
  );
  await target.exchange(`GET /log HTTP/1.1\r\nHost: ${'h'.repeat(5000)}\r\nUser-Agent: last\r\n\r\n`);
  await target.exchange(`G"'%\`E / HTTP/1.1\r\nHost: a.example\r\nUser-Agent: \xe2\x80\xaex\r\n\r\n`);
  await target.exchange(get('/end'));
  await logged('"/end"');
  const lines = target.rauta.access.slice(before).trimEnd().split('\n');
  assert.equal(lines.length, 4);
  for (const line of lines) {
    JSON.parse(line);
    assert.doesNotMatch(line, STEERS);
  }
  const [quoted, long] = lines.map((line) => JSON.parse(line));
  assert.equal(quoted.path, '/log"\\%0d%0a');
  // A host that is too long to keep hides nothing else.
  assert.deepEqual([long.path, long.user_agent, long.status], ['/log', 'last', 200]);
  assert.match(long.id, /^[0-9a-f-]{36}$/);
  const shown = (await target.rauta.ask('/requests')).body;
  assert.doesNotMatch(shown.replaceAll('\n', ''), STEERS);
  for (const line of (await target.rauta.ask('/metrics')).body.split('\n')) {
    if (line !== '' && !line.startsWith('#'))
      assert.match(line, /^[a-z][a-z0-9_]*(\{([a-z_]+="[^"\\]*",?)*\})? [-+.0-9eNainf]+$/);
  }
});
