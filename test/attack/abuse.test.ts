// Each attack of bench/abuse against the whole program, by count and not by time: connections end as they should or are
// held within what is allowed, a neighbour is answered meanwhile, memory stays bounded, and nothing is left behind.
// What each costs is measured by bench/abuse/abuse.ts.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Spent } from '../../bench/abuse/attacker.ts';
import { ATTACKS, type Attack } from '../../bench/abuse/attacks.ts';
import { backend, backendYaml, freePort, gateway, get, Rauta, routeYaml, until } from '../process/support.ts';

const CONNECTIONS = 2;
/** Connections that are to be ended of each attack, and requests of a neighbour beside each. */
const ENDS = 8;
const NEIGHBOURS = 20;
/**
 * What the worker may grow by, whatever comes: windows, queues and tables of so many connections, and their garbage.
 */
const GROWTH_MB = 96;

const ATTACKER = fileURLToPath(new URL('../../bench/abuse/attacker.ts', import.meta.url));

/** Attacks in a process of its own, until ENDS connections were ended or it is stopped. */
function attacking(t: TestContext, port: number, { name, end }: Attack): { over: Promise<Spent>; stop: () => void } {
  const until = end === 'open' ? [] : [String(ENDS)];
  const child = spawn(process.execPath, [ATTACKER, String(port), name, String(CONNECTIONS), ...until], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  t.after(() => child.kill('SIGKILL'));
  child.stdin.on('error', () => {});
  let said = '';
  child.stdout.on('data', (part) => {
    said += String(part);
  });
  const over = once(child, 'close').then(() => JSON.parse(said.slice(said.indexOf('\n'))) as Spent);
  return { over, stop: () => child.stdin.end() };
}

function memoryMb(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}

test('attacks by HTTP/2: each ends as it should, and nobody else notices', { timeout: 300_000 }, async (t) => {
  const port = await freePort();
  const large = 'x'.repeat(1_000_000);
  const app = await backend('app', (request, response) => response.end(request.url === '/static/1m' ? large : 'small'));
  const rauta = await Rauta.start(
    { 'a.yaml': gateway(port) + routeYaml('app', '/', 'app') + backendYaml('app', app.port) },
    ['--access-log', 'off'],
  );
  t.after(() => rauta.stop());
  const pid = (await rauta.workers())[0]?.pid as number;
  for (let n = 0; n < 200; n++) assert.equal((await get(port, '/')).status, 200);
  let most = memoryMb(pid);
  const before = most;
  for (const attack of ATTACKS) {
    const { over, stop } = attacking(t, port, attack);
    for (let n = 0; n < NEIGHBOURS; n++) {
      const answer = await get(port, '/');
      assert.deepEqual([answer.status, answer.body], [200, 'small'], attack.name);
      most = Math.max(most, memoryMb(pid));
    }
    if (attack.end === 'open') stop();
    const { ends } = await over;
    most = Math.max(most, memoryMb(pid));
    // Those that were going on when the attacker stopped are `open`; a code may be lost to the reset behind it, when
    // too much was on its way.
    const good = ['open', 'no code', attack.end];
    assert.deepEqual(
      Object.keys(ends).filter((end) => !good.includes(end)),
      [],
      attack.name,
    );
    assert.ok((ends[attack.end] ?? 0) > 0, JSON.stringify([attack.name, ends]));
    await until(
      async () => ({ status: await rauta.metric('rauta_http2_streams{side="downstream"}'), body: '', headers: {} }),
      ({ status }) => status === 0,
    );
  }
  t.diagnostic(`memory of the worker: ${Math.round(before)} MB, at most ${Math.round(most)} MB`);
  assert.ok(most - before < GROWTH_MB, `it grew from ${before} to ${most} MB`);
  await until(
    async () => ({ status: await rauta.metric('rauta_requests_active'), body: '', headers: {} }),
    ({ status }) => status === 0,
  );
  assert.equal((await rauta.workers())[0]?.pid, pid, 'the same worker');
});
