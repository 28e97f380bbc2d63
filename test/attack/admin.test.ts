// The admin server: malformed questions and connections that keep others out.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { LIMITS } from '../../src/base/limits.ts';
import { responsesOf, statusesOf, Target, Wire } from './support.ts';

let target: Target;
before(async () => {
  target = await Target.start();
});
after(() => target.end());

const cases: readonly (readonly [request: string, fields: string, status: number])[] = [
  ['GET /config', 'Host: evil.example', 403],
  ['GET /config', 'Host: 127.0.0.1.evil.example', 403],
  ['GET /config', 'Host: localhost.evil.example', 403],
  ['GET /config', 'Host: localhost:80:x', 403],
  ['GET http://localhost/config', 'Host: evil.example', 403],
  ['GET /../../etc/passwd', 'Host: localhost', 404],
  ['GET /__proto__', 'Host: localhost', 404],
  ['GET /constructor', 'Host: localhost', 404],
  ['GET //[', 'Host: localhost', 400],
  ['GET http://[/', 'Host: localhost', 400],
  ['GET /requests?limit=-1', 'Host: localhost', 400],
  ['GET /requests?limit=1e9', 'Host: localhost', 400],
  ['GET /requests?status=%00', 'Host: localhost', 400],
  ['POST /config', 'Host: localhost\r\nContent-Length: 0', 405],
  ['PUT /log-level', 'Host: localhost\r\nContent-Length: 3\r\n\r\nxyz', 400],
  ['GET /livez', `Host: localhost\r\nX: ${'y'.repeat(20_000)}`, 431],
];

test('malformed questions get an answer, and only what they may', async () => {
  for (const [request, fields, status] of cases) {
    const client = await Wire.connect(target.rauta.admin);
    client.trySend(
      `${request} HTTP/1.1\r\nConnection: close\r\n${fields}${fields.includes('\r\n\r\n') ? '' : '\r\n\r\n'}`,
    );
    const { text } = await client.over();
    assert.deepEqual(statusesOf(await responsesOf(text)), [status], `${request} ${fields.slice(0, 40)}`);
    client.close();
  }
});

test('connections that ask nothing do not keep a probe out', async () => {
  const idle = await Promise.all(
    Array.from({ length: LIMITS.ADMIN_CONNECTIONS + 50 }, () => Wire.connect(target.rauta.admin)),
  );
  for (const path of ['/livez', '/readyz', '/metrics']) assert.equal((await target.rauta.ask(path)).status, 200);
  for (const client of idle) client.reset();
});
