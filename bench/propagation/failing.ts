// Endpoints that end, in three ways, under load: what of the requests fails, and for how long.

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import * as api from './api.ts';
import type { Figures, Place, Sizes } from './scenarios.ts';
import { Load, Probe, wait } from './traffic.ts';

/** Beside the port of the others' backend: each address is a process here. */
const portOf = ({ backendPort }: Place): number => backendPort + 1;
const RATE = 500;
/** So much later than it ended the cluster says of an endpoint that it is gone. */
const LATE_MS = 1_000;
const SILENT_MS = 3_000;
const ROLLOUTS = 10;

async function start(place: Place, address: string): Promise<ChildProcess> {
  const child = fork(fileURLToPath(new URL('./backend.ts', import.meta.url)), [String(portOf(place)), address]);
  await once(child, 'message');
  return child;
}

/** A route to both addresses, served; `spec` besides its rules' backends. */
async function site(place: Place, name: string, timeouts: object): Promise<Probe> {
  await api.create(api.namespace(name));
  await api.create(api.service(name, 'app', portOf(place)));
  await api.create(api.slice(name, 'app', portOf(place), place.addresses));
  const rules = api.rules('app').map((rule) => ({ ...rule, ...timeouts }));
  await api.create(api.route(name, name, 'probe', { rules }));
  const asker = new Probe(place.port);
  await asker.until(`${name}.example`);
  return asker;
}
const only = (name: string, endpoints: readonly object[]): Promise<unknown> =>
  api.change('EndpointSlice', name, 'app', { endpoints });

/** One of two is killed; a second later the cluster knows. */
export async function crash(_: Sizes, place: Place): Promise<Figures> {
  const [one, two] = place.addresses;
  const [stays, dies] = [await start(place, one), await start(place, two)];
  const asker = await site(place, 'crash', {});
  const load = new Load(place.port, RATE, () => 'crash.example');
  await wait(LATE_MS);
  dies.kill('SIGKILL');
  await wait(LATE_MS);
  await only('crash', api.endpoints([one]));
  await wait(LATE_MS);
  const { requests, errors } = await load.stop();
  asker.close();
  stays.kill('SIGKILL');
  return { requests, errors };
}

/** One of two takes connections and answers nothing; the rule waits half a second for it. */
export async function silent(_: Sizes, place: Place): Promise<Figures> {
  const [one, two] = place.addresses;
  const [stays, stops] = [await start(place, one), await start(place, two)];
  const asker = await site(place, 'silent', { timeouts: { backendRequest: '500ms' } });
  const load = new Load(place.port, RATE, () => 'silent.example');
  await wait(LATE_MS);
  stops.kill('SIGSTOP');
  await wait(SILENT_MS);
  await only('silent', api.endpoints([one]));
  // Those that are with it when it goes are waited for.
  await wait(LATE_MS);
  const until = await load.stop();
  const after = new Load(place.port, RATE, () => 'silent.example');
  await wait(LATE_MS);
  const { requests, errors } = await after.stop();
  asker.close();
  for (const child of [stays, stops]) child.kill('SIGKILL');
  return {
    'requests while one of two was silent': until.requests,
    'errors while one of two was silent': until.errors,
    'requests after the cluster said so': requests,
    'errors after the cluster said so': errors,
  };
}

/** Each address in turn is replaced: a new one is ready, the old one is terminating, then it ends. */
export async function rollout(_: Sizes, place: Place): Promise<Figures> {
  const [one, two] = place.addresses;
  let old = { address: one, child: await start(place, one) };
  const asker = await site(place, 'rollout', {});
  await only('rollout', api.endpoints([one]));
  const load = new Load(place.port, RATE, () => 'rollout.example');
  for (let i = 0; i < ROLLOUTS; i++) {
    const address = i % 2 === 0 ? two : one;
    const next = { address, child: await start(place, address) };
    await only('rollout', api.endpoints([old.address, address]));
    await wait(LATE_MS / 4);
    const conditions = { ready: false, serving: true, terminating: true };
    await only('rollout', [...api.endpoints([address]), { addresses: [old.address], conditions }]);
    await wait(LATE_MS);
    old.child.kill('SIGTERM');
    await only('rollout', api.endpoints([address]));
    old = next;
  }
  const { requests, errors } = await load.stop();
  asker.close();
  old.child.kill('SIGKILL');
  return { rollouts: ROLLOUTS, requests, errors };
}
