// What dies costs only what was its own: kill -9 of a worker, of the controller, of a worker that hangs.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import {
  type Answer,
  backend,
  backendYaml,
  childrenOf,
  freePort,
  gateway,
  get,
  Load,
  Rauta,
  routeYaml,
  until,
} from './support.ts';

async function counters(rauta: Rauta): Promise<Map<string, number>> {
  const text = (await rauta.ask('/metrics')).body;
  const types = new Map([...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map((m) => [m[1] as string, m[2] as string]));
  const out = new Map<string, number>();
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const name = (/^[^{ ]+/.exec(line) as RegExpExecArray)[0];
    const type = types.get(name) ?? types.get(name.replace(/_(bucket|sum|count)$/, ''));
    // What a controller says of itself begins anew with it.
    if (type === 'gauge' || /^process_/.test(name)) continue;
    out.set(line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1)));
  }
  return out;
}

function assertNotBackwards(before: Map<string, number>, after: Map<string, number>): void {
  for (const [series, n] of before)
    assert.ok((after.get(series) ?? 0) >= n, `${series} went from ${n} to ${after.get(series)}`);
}

test('a killed worker is replaced within a second and nothing counted is lost', async () => {
  const port = await freePort();
  const app = await backend('app');
  const rauta = await Rauta.start(
    { 'a.yaml': gateway(port) + routeYaml('app', '/', 'app') + backendYaml('app', app.port) },
    ['--workers', '2', '--log-level', 'debug'],
  );
  // Who takes the place is there already: what counts is not how long a start takes on this machine.
  await rauta.said('a spare worker waits');
  for (let i = 0; i < 50; i++) assert.equal((await get(port, '/x')).status, 200);
  const before = await counters(rauta);
  const [first] = await rauta.workers();
  process.kill((first as { pid: number }).pid, 'SIGKILL');
  const died = await rauta.said('worker died');
  assert.equal(died['signal'], 'SIGKILL');
  const { ms } = await until(
    async () => ({
      status: (await rauta.workers()).filter((w) => w.state === 'serving' && w.pid !== first?.pid).length,
      body: '',
      headers: {},
    }),
    (a) => a.status === 2,
  );
  assert.ok(ms < 5_000, `took ${ms} ms`);
  for (let i = 0; i < 50; i++)
    assert.equal((await get(port, '/x')).status, 200, "what waited in the dead worker's accept queue is served too");
  // The last one may be counted a moment after its answer was read.
  const series = 'rauta_requests_total{route="default/app",kind="HTTPRoute",method="GET",code="200"}';
  await until(
    async () => ({ status: (await counters(rauta)).get(series) ?? 0, body: '', headers: {} }),
    (a) => a.status === 100,
  );
  assertNotBackwards(before, await counters(rauta));
  assert.match((await rauta.ask('/metrics')).body, /rauta_worker_restarts_total\{cause="exit"\} 1/);
  assert.equal(await rauta.stop(), 0);
});

test('the spare takes the slot of a worker that dies, and another spare is made', async () => {
  const port = await freePort();
  const app = await backend('app');
  const rauta = await Rauta.start(
    { 'a.yaml': gateway(port) + routeYaml('app', '/', 'app') + backendYaml('app', app.port) },
    ['--log-level', 'debug'],
  );
  const spare = (await rauta.said('a spare worker waits'))['pid'];
  const [worker] = await rauta.workers();
  assert.notEqual(spare, worker?.pid);
  process.kill((worker as { pid: number }).pid, 'SIGKILL');
  assert.equal((await get(port, '/x')).status, 200);
  // What the controller knows of workers is a moment old.
  let next: { pid: number } | undefined;
  await until(
    async () => {
      [next] = await rauta.workers();
      return { status: next?.pid ?? 0, body: '', headers: {} };
    },
    (a) => a.status !== 0,
  );
  assert.equal(next?.pid, spare);
  const another = await rauta.said((line) => line.message === 'a spare worker waits' && line['pid'] !== spare);
  assert.notEqual(another['pid'], next?.pid);
  // It can die too.
  process.kill(another['pid'] as number, 'SIGKILL');
  await rauta.said('the spare worker died');
  const known = [spare, another['pid']];
  await rauta.said((line) => line.message === 'a spare worker waits' && !known.includes(line['pid']));
  assert.equal((await rauta.workers())[0]?.pid, spare);
  assert.equal(await rauta.metric('rauta_worker_restart_storm'), 0);
  assert.equal(await rauta.stop(), 0);
});

test('a Gateway in a new file takes nothing away from one that serves, also after the controller came again', async () => {
  const port = await freePort();
  const [one, two] = [await backend('one'), await backend('two')];
  const rauta = await Rauta.start({
    'web.yaml': gateway(port) + routeYaml('app', '/', 'one') + backendYaml('one', one.port),
  });
  assert.equal((await get(port, '/x')).headers['x-backend'], 'one');
  // Before the other by file and by name, and neither has an age.
  rauta.write(
    'ant.yaml',
    gateway(port).replace('web', 'ant') +
      routeYaml('ant', '/', 'two').replace('name: web', 'name: ant') +
      backendYaml('two', two.port),
  );
  const told = async (): Promise<string> => {
    const { answer } = await until(
      async () => (await rauta.ask('/config/problems').catch(() => ({ status: 0, body: '' }))) as Answer,
      (a) => a.status === 200 && a.body.includes('default/web, which comes first'),
    );
    return answer.body;
  };
  assert.match(await told(), /Gateway\/default\/ant/);
  assert.equal((await get(port, '/x')).headers['x-backend'], 'one');
  const first = rauta.log.find((line) => line.message === 'admin server');
  const controller = childrenOf(rauta.process.pid as number).find((c) => c.command.includes('controller'));
  process.kill((controller as { pid: number }).pid, 'SIGKILL');
  await rauta.said((line) => line.message === 'admin server' && line !== first);
  assert.match(await told(), /Gateway\/default\/ant/);
  assert.equal((await get(port, '/x')).headers['x-backend'], 'one');
  assert.equal(await rauta.stop(), 0);
});

test('a killed controller costs no request, and the next one takes up where it was', async () => {
  const port = await freePort();
  const [one, two] = [await backend('one'), await backend('two')];
  const backends = backendYaml('one', one.port) + backendYaml('two', two.port);
  const rauta = await Rauta.start({
    'a.yaml': gateway(port) + backends + routeYaml('other', '/other', 'one'),
    'route.yaml': routeYaml('app', '/', 'one'),
  });
  for (let i = 0; i < 20; i++) await get(port, '/x');
  const before = await counters(rauta);
  const revision = await rauta.metric('rauta_config_revision');
  const first = rauta.log.find((line) => line.message === 'admin server');
  const load = new Load(port, '/x', 16);
  const keeper = rauta.process.pid as number;
  const controller = childrenOf(keeper).find((c) => c.command.includes('controller'));
  process.kill((controller as { pid: number }).pid, 'SIGKILL');
  const again = await rauta.said((line) => line.message === 'admin server' && line !== first);
  assert.equal(again['port'], rauta.admin, 'its port stays, with whoever waits there');
  await until(
    async () => (await rauta.ask('/readyz')) as never,
    (a) => a.status === 200,
  );
  // Whole files are read again, and nothing of it is news but the sockets' list.
  assert.ok((await rauta.metric('rauta_config_revision')) <= revision + 1);
  rauta.write('route.yaml', routeYaml('app', '/', 'two'));
  await until(
    () => get(port, '/x'),
    (a) => a.headers['x-backend'] === 'two',
  );
  const counts = await load.stop();
  assert.deepEqual(Object.keys(counts), ['200'], JSON.stringify(counts));
  assertNotBackwards(before, await counters(rauta));
  assert.equal(await rauta.stop(), 0);
});

test('restarts are counted by the program, whichever controller tells of them', async () => {
  const port = await freePort();
  const rauta = await Rauta.start({ 'a.yaml': gateway(port) });
  const [worker] = await rauta.workers();
  process.kill((worker as { pid: number }).pid, 'SIGKILL');
  await rauta.said('worker died');
  const controller = childrenOf(rauta.process.pid as number).find((c) => c.command.includes('controller'));
  process.kill((controller as { pid: number }).pid, 'SIGKILL');
  await rauta.said((line) => line.message.startsWith('controller died'));
  const { answer } = await until(
    () =>
      rauta.ask('/metrics').then(
        (a) => ({ ...a, headers: {} }),
        () => ({ status: 0, body: '', headers: {} }),
      ),
    (a) => a.status === 200,
  );
  assert.match(answer.body, /rauta_worker_restarts_total\{cause="exit"\} 1\n/);
  assert.match(answer.body, /rauta_controller_restarts_total\{cause="exit"\} 1\n/);
  assert.equal(await rauta.stop(), 0);
});

test('a worker that makes no turn is killed and replaced', async () => {
  const port = await freePort();
  const app = await backend('app');
  const rauta = await Rauta.start({
    'a.yaml': gateway(port) + routeYaml('app', '/', 'app') + backendYaml('app', app.port),
  });
  const [worker] = await rauta.workers();
  process.kill((worker as { pid: number }).pid, 'SIGSTOP');
  await rauta.said('worker makes no progress, killing it');
  const { answer } = await until(
    () => get(port, '/x').catch(() => ({ status: 0, body: '', headers: {} })),
    (a) => a.status === 200,
  );
  assert.equal(answer.status, 200);
  assert.match((await rauta.ask('/metrics')).body, /rauta_worker_restarts_total\{cause="stalled"\} 1/);
  assert.equal(await rauta.stop(), 0);
});

test('what a killed worker had in flight is not in flight any more', async () => {
  const port = await freePort();
  const silent = await backend('silent', () => {});
  const rauta = await Rauta.start({
    'a.yaml': gateway(port) + routeYaml('app', '/', 'silent') + backendYaml('silent', silent.port),
  });
  type Shown = { endpoints: { active: number; connections: number; requests: number }[] }[];
  const shown = async (): Promise<Shown[0]['endpoints'][0] | undefined> =>
    (JSON.parse((await rauta.ask('/clusters')).body) as Shown)[0]?.endpoints[0];
  const flight = get(port, '/').catch(() => null);
  const is = (active: number): Promise<unknown> =>
    until(
      async () => ({ status: (await shown())?.active ?? -1, body: '', headers: {} }),
      ({ status }) => status === active,
    );
  await is(1);
  process.kill((await rauta.workers())[0]?.pid as number, 'SIGKILL');
  await flight;
  await is(0);
  const { active, connections, requests } = (await shown()) as Shown[0]['endpoints'][0];
  assert.deepEqual({ active, connections, requests }, { active: 0, connections: 0, requests: 1 });
  await rauta.stop();
  silent.server.closeAllConnections();
  silent.server.close();
});

test('a dead keeper takes everybody with it', async () => {
  const port = await freePort();
  // One request never gets its answer, and holds its worker no longer than --drain-timeout.
  const app = await backend('app', () => {});
  const rauta = await Rauta.start(
    { 'a.yaml': gateway(port) + routeYaml('app', '/', 'app') + backendYaml('app', app.port) },
    ['--drain-timeout', '300ms'],
  );
  const late = get(port, '/never');
  await until(
    async () => ({ status: await rauta.metric('rauta_requests_active'), body: '', headers: {} }),
    (a) => a.status === 1,
  );
  const children = childrenOf(rauta.process.pid as number).map((c) => c.pid);
  assert.ok(children.length >= 2);
  rauta.process.kill('SIGKILL');
  await rauta.exited;
  const alive = (): number[] =>
    children.filter((pid) => {
      try {
        return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
      } catch {
        return false;
      }
    });
  await until(
    async () => {
      await new Promise((resolve) => setImmediate(resolve));
      return { status: alive().length, body: '', headers: {} };
    },
    (a) => a.status === 0,
  );
  assert.equal((await late).status, 503);
  await rauta.stop();
});

test('workers, also one that waits, hold no privileges, no environment and no core dumps', async () => {
  const port = await freePort();
  const rauta = await Rauta.start({ 'a.yaml': gateway(port) }, ['--log-level', 'debug'], { SECRET_TOKEN: 'sesame' });
  const [worker] = await rauta.workers();
  const spare = (await rauta.said('a spare worker waits'))['pid'] as number;
  // It is told to give them up when it has said that it waits.
  const free = (): boolean => /^CapEff:\s+0+$/m.test(readFileSync(`/proc/${spare}/status`, 'utf8'));
  await until(
    async () => {
      await new Promise((resolve) => setImmediate(resolve));
      return { status: free() ? 200 : 0, body: '', headers: {} };
    },
    (a) => a.status === 200,
  );
  for (const pid of [(worker as { pid: number }).pid, spare]) {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    assert.match(status, /^NoNewPrivs:\s+1$/m);
    if (process.getuid?.() !== 0) continue;
    assert.doesNotMatch(status, /^Uid:\s+0\s/m);
    assert.match(status, /^CapEff:\s+0+$/m);
    assert.match(status, /^CapPrm:\s+0+$/m);
    assert.match(readFileSync(`/proc/${pid}/limits`, 'utf8'), /^Max core file size\s+0\s+0/m);
    assert.match(readFileSync(`/proc/${pid}/environ`, 'utf8'), /^RAUTA_COMPILE_CACHE=[^\0]*\0?$/);
  }
  assert.equal(await rauta.stop(), 0);
});

test('a revision that two workers die of is quarantined until the next one', async () => {
  const port = await freePort();
  const [one, two] = [await backend('one'), await backend('two')];
  const backends = backendYaml('one', one.port) + backendYaml('two', two.port);
  const files = { 'a.yaml': gateway(port) + backends, 'route.yaml': routeYaml('app', '/', 'one') };
  const rauta = await Rauta.start(files, ['--log-level', 'debug']);
  // Who takes the first one's place is there already: two that die far from each other are none of a revision's doing.
  await rauta.said('a spare worker waits');
  rauta.write('route.yaml', routeYaml('app', '/', 'two'));
  const ask = (): ReturnType<typeof get> => get(port, '/x').catch(() => ({ status: 0, body: '', headers: {} }));
  await until(ask, (a) => a.headers['x-backend'] === 'two');
  const killed = new Set<number>();
  for (let death = 0; death < 2; death++) {
    let pid = 0;
    await until(
      async () => {
        // What the controller knows of workers is a moment old.
        pid = (await rauta.workers()).find((w) => w.state === 'serving' && !killed.has(w.pid))?.pid ?? 0;
        return { status: pid, body: '', headers: {} };
      },
      (a) => a.status !== 0,
    );
    killed.add(pid);
    process.kill(pid, 'SIGKILL');
    await rauta.said((line) => line.message === 'worker died' && line['pid'] === pid);
  }
  await rauta.said((line) => line.message.startsWith('revision is quarantined'));
  await until(ask, (a) => a.headers['x-backend'] === 'one');
  const quarantined = async (): Promise<Answer> => ({
    status: await rauta.metric('rauta_config_quarantined'),
    body: '',
    headers: {},
  });
  await until(quarantined, (a) => a.status === 1);
  const { quarantined: held, acked } = JSON.parse((await rauta.ask('/config')).body);
  assert.deepEqual([held, acked], [2, 1], 'what is called served is served');
  assert.equal(await rauta.metric('rauta_config_revision_acked'), 1);
  assert.deepEqual(
    (await rauta.workers()).map((w) => w.revision),
    [1],
  );
  assert.match((await rauta.ask('/config/problems')).body, /revision 2 is held back: 2 workers died/);
  // A controller that comes anew knows, and does not bring it back by saying what the one before said.
  const controller = childrenOf(rauta.process.pid as number).find((c) => c.command.includes('controller'));
  process.kill((controller as { pid: number }).pid, 'SIGKILL');
  await rauta.said((line) => line.message.startsWith('controller died'));
  await until(
    () =>
      rauta.ask('/config').then(
        (a) => ({ ...a, headers: {} }),
        () => ({ status: 0, body: '', headers: {} }),
      ),
    (a) => a.status === 200 && /"HTTPRoute"/.test(a.body),
  );
  await until(quarantined, (a) => a.status === 1);
  assert.equal(JSON.parse((await rauta.ask('/config')).body).quarantined, 2, 'nothing is new, so nothing is published');
  assert.equal((await ask()).headers['x-backend'], 'one');
  rauta.write('route.yaml', routeYaml('app', '/', 'two', '      timeouts: { request: 5s }\n'));
  await until(ask, (a) => a.headers['x-backend'] === 'two');
  await until(quarantined, (a) => a.status === 0);
  assert.equal(await rauta.stop(), 0);
});
