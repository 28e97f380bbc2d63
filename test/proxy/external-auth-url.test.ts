// One URL that is asked about every request, as an Ingress with auth-url has it: what a server like oauth2-proxy is
// told, and what becomes of its answers.

import assert from 'node:assert/strict';
import type { AuthSubrequest, ExternalAuth } from '../../src/ir/ir.ts';
import { authCell } from '../../src/telemetry/layout.ts';
import { onBoth } from '../support/net.ts';
import { auth, post, type Says, site } from './auth-rig.ts';
import { answering, bodyText, cluster, endpoint, get, ok, Rig, rule } from './rig.ts';

function login(more: Partial<AuthSubrequest> = {}, rest: Partial<ExternalAuth> = {}): ExternalAuth {
  const subrequest: AuthSubrequest = {
    method: 'GET',
    host: 'oauth2-proxy.sso.svc.cluster.local:4180',
    target: '/oauth2/auth?allowed_groups=staff',
    signin: [
      { type: 'text', text: 'https://sso.example/oauth2/start?rd=' },
      { type: 'scheme', text: '' },
      { type: 'text', text: '://' },
      { type: 'host', text: '' },
      { type: 'escapedUri', text: '' },
    ],
    redirect: [],
    ...more,
  };
  return auth({ responseHeaders: ['x-auth-request-user'], subrequest, ...rest });
}

/** Knows who shows its cookie, and renews it. */
const proxy: Says = (_target, head) =>
  /^cookie: _oauth2_proxy=good/im.test(head)
    ? 'HTTP/1.1 202 Accepted\r\nX-Auth-Request-User: alice\r\nX-Other: no\r\nSet-Cookie: _oauth2_proxy=new; Path=/\r\n' +
      'Set-Cookie: b=2\r\nContent-Length: 0\r\n\r\n'
    : 'HTTP/1.1 401 Unauthorized\r\nSet-Cookie: _oauth2_proxy=; Max-Age=0\r\nWWW-Authenticate: Basic\r\n' +
      'Content-Length: 2\r\n\r\nno';

const KNOWN = 'Cookie: _oauth2_proxy=good\r\n';

onBoth('one URL is asked, with all fields and without content, and told what the request was', async (net) => {
  const { rig, asked, served } = site(net, proxy, login());
  const client = await rig.connect();
  const sly =
    'X-Original-URL: https://sly/\r\nX_Original_Method: PUT\r\nX-Original-URI: /sly\r\nX-Real-IP: sly\r\nX-Auth-Request-Redirect: /sly\r\n';
  const more = `${KNOWN}${sly}X-Auth-Request-User: mallory\r\nX-Forwarded-Uri: /free\r\nIf-None-Match: "1"\r\nRange: bytes=0-1\r\nX-More: 1\r\n`;
  await client.send(post('content', more).replace('/p ', '/p%20q?a=%C3%A4&b=c '));
  const answer = await client.readMessage();
  assert.equal(bodyText(answer), 'app');
  const [question = ''] = asked;
  assert.match(question, /^GET \/oauth2\/auth\?allowed_groups=staff\n/);
  assert.match(question, /\r\nHost: oauth2-proxy\.sso\.svc\.cluster\.local:4180\r\n/);
  assert.match(question, /cookie: _oauth2_proxy=good\r\n[\s\S]*x-more: 1\r\n/);
  assert.match(question, /x-original-url: https?:\/\/a\.example\/p%20q\?a=%C3%A4&b=c\r\n/);
  assert.match(question, /x-original-method: POST\r\nx-auth-request-redirect: \/p%20q\?a=%C3%A4&b=c\r\n/);
  assert.match(question, /x-forwarded-for: 127\.0\.0\.1\r\n/);
  assert.match(question, /x-forwarded-host: a\.example\r\n/);
  assert.match(question, /\r\nx-real-ip: 127\.0\.0\.1\r\n/);
  assert.doesNotMatch(question, /sly|free|if-none-match|range|content$|x_original/i);
  assert.match(question, /Content-Length: 0\r\n/);
  const [backend = ''] = served;
  assert.match(backend, /^POST \/p%20q\?a=%C3%A4&b=c\n[\s\S]*x-auth-request-user: alice\r\n[\s\S]*\ncontent$/);
  assert.doesNotMatch(backend, /mallory|x-other/i);
  assert.match(answer.head, /set-cookie: _oauth2_proxy=new; Path=\/\r\nset-cookie: b=2\r\n/i);
  assert.deepEqual([rig.get(authCell('allowed')), rig.records.last.auth], [1, 'allowed']);
  client.close();
  await rig.end();
});

onBoth('who is not known is sent to sign in, and told where to come back to', async (net) => {
  const { rig, served } = site(net, proxy, login());
  const client = await rig.connect();
  await client.send(get('/a b?c=d&e=%2f'.replace(' ', '%20')));
  const answer = await client.readMessage();
  assert.match(answer.head, /^HTTP\/1\.1 302 /);
  const back =
    /\r\nLocation: https:\/\/sso\.example\/oauth2\/start\?rd=https?:\/\/a\.example%2Fa%2520b%3Fc%3Dd%26e%3D%252f\r\n/;
  assert.match(answer.head, back);
  assert.match(answer.head, /Set-Cookie: _oauth2_proxy=; Max-Age=0\r\n/);
  assert.doesNotMatch(answer.head, /WWW-Authenticate/i);
  assert.equal(bodyText(answer), '');
  assert.deepEqual(served, []);
  const { status, flags, auth: said } = rig.records.last;
  assert.deepEqual([status, flags, said, rig.get(authCell('denied'))], [302, 'UAEX', 'denied', 1]);
  client.close();
  await rig.end();
});

onBoth('a place to sign in at may be told the method, and the query by itself', async (net) => {
  const text = (said: string) => ({ type: 'text', text: said }) as const;
  const part = (type: 'method' | 'mark' | 'query') => ({ type, text: '' }) as const;
  const signin = [text('https://sso.example/?rm='), part('method'), text('&q'), part('mark'), part('query')];
  const { rig } = site(net, proxy, login({ signin }));
  for (const [path, said] of [
    ['/a?c=d&e=%2f?', '&q?c=d&e=%2f?'],
    ['/a?', '&q'],
    ['/a', '&q'],
  ] as const) {
    const client = await rig.connect();
    await client.send(get(path));
    const { head } = await client.readMessage();
    assert.ok(head.includes(`\r\nLocation: https://sso.example/?rm=GET${said}\r\n`), head);
    client.close();
  }
  await rig.end();
});

onBoth(
  'with nowhere to sign in the answer is the client’s; 403 always is; anything else keeps everybody out',
  async (net) => {
    let status = '401 Unauthorized';
    const says: Says = () => `HTTP/1.1 ${status}\r\nWWW-Authenticate: Basic\r\nContent-Length: 2\r\n\r\nno`;
    for (const filter of [login({ signin: [] }), login()]) {
      const { rig, served } = site(net, says, filter);
      const client = await rig.connect();
      const answered = async (text: string): Promise<string> => {
        status = text;
        await client.send(get('/'));
        const answer = await client.readMessage();
        return `${answer.head.slice(9, 12)} ${bodyText(answer)}`;
      };
      const signs = filter.subrequest?.signin.length !== 0;
      assert.equal(await answered('401 Unauthorized'), signs ? '302 ' : '401 no');
      assert.equal(await answered('403 Forbidden'), '403 no');
      for (const odd of ['302 Found', '404 Not Found', '500 Broken', '304 Not Modified'])
        assert.match(await answered(odd), /^403 authorization failed/, odd);
      assert.deepEqual(served, []);
      client.close();
      await rig.end();
    }
  },
);

onBoth('another method, a redirect of one’s own, and no field that was not asked for', async (net) => {
  const filter = login(
    {
      method: 'HEAD',
      redirect: [
        { type: 'text', text: 'https://' },
        { type: 'host', text: '' },
      ],
    },
    { responseHeaders: [] },
  );
  const { rig, asked, served } = site(
    net,
    () => ok('', 'X-User: eve\r\n').replace(/\r\n\r\n[\s\S]*/, '\r\n\r\n'),
    filter,
  );
  const client = await rig.connect();
  await client.send(get('/', 'X-User: mine\r\n'));
  assert.equal(bodyText(await client.readMessage()), 'app');
  assert.match(asked[0] ?? '', /^HEAD \/oauth2\/auth[\s\S]*x-auth-request-redirect: https:\/\/a\.example\r\n/);
  assert.match(served[0] ?? '', /X-User: mine\r\n/);
  assert.doesNotMatch(served[0] ?? '', /eve/);
  client.close();
  await rig.end();
});

onBoth(
  'a proxy that is trusted passes on what clients say of URL and method, too: nobody is told that',
  async (net) => {
    const asked: string[] = [];
    const server = answering(net, ({ head }) => {
      asked.push(head);
      return ok('');
    });
    const entries = [rule({ filters: [login()] }), cluster('auth', [endpoint(server)])];
    const rig = new Rig(net, [answering(net, () => ok('app'))], entries, { trustedProxies: ['127.0.0.0/8'] });
    const client = await rig.connect();
    const sly = 'X-Forwarded-Uri: /free\r\nX-Forwarded-Method: GET\r\nX-Forwarded-Prefix: /p\r\n';
    await client.send(post('content', `${sly}X-Forwarded-For: 192.0.2.1\r\n`));
    assert.equal(bodyText(await client.readMessage()), 'app');
    assert.match(asked[0] ?? '', /x-forwarded-for: 192\.0\.2\.1, 127\.0\.0\.1\r\n/);
    assert.match(asked[0] ?? '', /x-forwarded-prefix: \/p\r\n[\s\S]*x-original-method: POST\r\n/);
    assert.doesNotMatch(asked[0] ?? '', /free|forwarded-method/i);
    client.close();
    await rig.end();
  },
);
