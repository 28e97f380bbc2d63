// What is wrong is found and mended by what `rauta check` and `rauta status` say, and nothing else: the form that each
// offers is put where it says.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  type Answer,
  backend,
  backendYaml,
  command,
  freePort,
  gateway,
  get,
  Rauta,
  routeYaml,
  until,
} from './support.ts';

/** Three things are wrong. */
const STEPS = 4;

/** The text with what a complaint offers (`file:line:column: severity: words`) in the place of what is wrong there. */
function mended(text: string, said: string): string {
  const [, line = '', column = ''] = /:(\d+):(\d+): (?:error|warning): /.exec(said) ?? [];
  const [, offer = ''] = /(?:[Dd]id you mean|: write) ([\w-]+)/.exec(said) ?? [];
  assert.ok(line !== '' && offer !== '', `it says where and what: ${said}`);
  const lines = text.split('\n');
  const at = lines[Number(line) - 1] as string;
  const [before, behind] = [at.slice(0, Number(column) - 1), at.slice(Number(column) - 1)];
  const [, missing] = /\/(\S+) does not exist/.exec(said) ?? [];
  const wrong = missing ?? /^[\w-]+/.exec(behind)?.[0] ?? '';
  lines[Number(line) - 1] = before + behind.replace(new RegExp(`\\b${wrong}\\b`), offer);
  return lines.join('\n');
}

test('a wrong route is found and mended by what check and status say', async () => {
  const [port, app] = [await freePort(), await backend('app')];
  const wrong = routeYaml('app', '/', 'ap').replace('matches:', 'matchs:').replace('name: web', 'name: wep');
  const files = { 'a.yaml': gateway(port) + backendYaml('app', app.port), 'route.yaml': wrong };
  const rauta = await Rauta.start(files);
  const admin = ['--admin', `127.0.0.1:${rauta.admin}`];
  assert.equal((await get(port, '/')).status, 404);
  const status = async (): Promise<Answer> => ({
    ...{ status: 0, headers: {}, body: (await command(['status', '--json', ...admin])).out },
  });
  // First what the program says, then what the files say, each mended as it is said to be.
  let text = wrong;
  for (let i = 0; i < STEPS; i++) {
    const { out } = await command(['status', '--quiet', ...admin]);
    const [said = ''] = out.split('\n').filter((line) => line.includes('route.yaml:'));
    if (said === '') break;
    text = mended(text, said);
    rauta.write('route.yaml', text);
    const words = said.slice(said.lastIndexOf(': ') + 2);
    await until(status, ({ body }) => !body.includes(words));
  }
  await until(
    () => get(port, '/'),
    ({ status: code }) => code === 200,
  );
  assert.equal(text, routeYaml('app', '/', 'app'), 'as it was meant');
  assert.equal((await command(['status', '--quiet', ...admin])).out, '');
  await rauta.stop();
});

test('the same route is mended by check alone', async () => {
  const wrong = routeYaml('app', '/', 'ap').replace('matches:', 'matchs:').replace('name: web', 'name: wep');
  const site = gateway(8080) + backendYaml('app', 9001);
  const elsewhere = Rauta.spawn({});
  elsewhere.write('a.yaml', site);
  let text = wrong;
  for (let i = 0; i < STEPS; i++) {
    elsewhere.write('route.yaml', text);
    const { out } = await command(['check', elsewhere.folder]);
    const [said = ''] = out.split('\n').filter((line) => line.startsWith(join(elsewhere.folder, 'route.yaml:')));
    if (said === '') break;
    text = mended(text, said);
  }
  assert.equal(text, routeYaml('app', '/', 'app'), 'as it was meant');
  assert.equal((await command(['check', elsewhere.folder])).code, 0);
  await elsewhere.stop();
});
