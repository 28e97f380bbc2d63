// What /readyz says, and when.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Answer, backend, backendYaml, freePort, gateway, get, Rauta, routeYaml, until } from './support.ts';

test('an installation with nothing to serve is ready and says why, and serves when there is something', async () => {
  const rauta = Rauta.spawn({ 'a.yaml': '# nothing yet\n' });
  rauta.admin = (await rauta.said('admin server'))['port'] as number;
  const ready = async (): Promise<Answer> => (await rauta.ask('/readyz')) as Answer;
  const { answer } = await until(ready, (a) => a.status === 200);
  assert.equal(answer.body, 'nothing to serve: there is no Gateway\n');
  await rauta.said('serving');
  const [port, app] = [await freePort(), await backend('app')];
  rauta.write('a.yaml', gateway(port).replace('gatewayClassName: rauta', 'gatewayClassName: other'));
  await until(ready, (a) => a.body.startsWith('nothing to serve: no listener of a Gateway is ours'));
  rauta.write('a.yaml', gateway(port) + routeYaml('app', '/', 'app') + backendYaml('app', app.port));
  await until(ready, (a) => a.body === 'ok\n');
  await until(
    () => get(port, '/x').catch(() => ({ status: 0, body: '', headers: {} })),
    (a) => a.status === 200,
  );
  assert.equal(await rauta.stop(), 0);
});
