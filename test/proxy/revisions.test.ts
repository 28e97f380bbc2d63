// A large revision under traffic: made in pieces of bounded work between which requests are served, and switched at
// once, so that no request sees half of it.

import assert from 'node:assert/strict';
import { LIMITS } from '../../src/base/limits.ts';
import type { Entry, RuleEntry } from '../../src/ir/ir.ts';
import { ApplyError } from '../../src/proxy/engine.ts';
import { type Peer, simOnly } from '../support/net.ts';
import { answering, bodyText, cluster, clusterKey, endpoint, get, LISTENER, listener, ok, Rig, rule } from './rig.ts';

const FILLERS = 3 * LIMITS.REVISION_WORK_PER_TURN;

async function ask(client: Peer, target: string): Promise<string> {
  await client.send(get(target));
  const answer = await client.readMessage();
  return answer.status === 200 ? bodyText(answer) : String(answer.status);
}

/** What somebody who asks for each of `paths` gets. */
async function seen(client: Peer, paths: readonly string[]): Promise<string> {
  const answers: string[] = [];
  for (const path of paths) answers.push(await ask(client, path));
  return answers.join(' ');
}

/** Rules that fill a revision; `touched` is told of each that is compiled. */
function fillers(to: string, touched: (key: string) => void = () => {}): RuleEntry[] {
  return Array.from({ length: FILLERS }, (_, i) => {
    const { action, ...entry } = rule({ name: `f${i}`, path: `/f/${i}`, to: [to] });
    return {
      ...entry,
      get action() {
        touched(entry.key);
        return action;
      },
    };
  });
}

const to = (name: string, path: string, backend: string): RuleEntry => rule({ name, path, to: [backend] });

simOnly('a large revision: between its pieces requests are served, and none sees half of it', async (net) => {
  const one = answering(net, () => ok('one'));
  const two = answering(net, () => ok('two'));
  const rig = new Rig(net, [one], []);
  const trade = [to('a', '/a', 'app'), to('b', '/b', 'two'), to('gone', '/gone', 'app'), to('broken', '/x', 'two')];
  rig.apply({ upserts: [cluster('two', [endpoint(two)]), ...fillers('app'), ...trade], removals: [] });
  const client = await rig.connect();
  const paths = ['/a', '/b', '/gone', '/new', '/x', '/f/0', `/f/${FILLERS - 1}`];
  const before = await seen(client, paths);
  assert.equal(before, 'one two one 404 two one one');

  const perPiece: Set<string>[] = [];
  const upserts: Entry[] = [
    ...fillers('three', (key) => perPiece.at(-1)?.add(key)),
    ...[to('a', '/a', 'three'), to('b', '/b', 'app'), to('new', '/new', 'three')],
    ...cluster('three', [endpoint(two)]),
  ];
  const removals = [to('gone', '/', 'app').key, clusterKey('two')];
  const steps = rig.applying({ upserts, removals });
  const all: string[] = [];
  for (let done = false; !done; ) {
    perPiece.push(new Set());
    done = steps.next().done === true;
    all.push(await seen(client, paths));
  }
  const after = 'two one 404 two 500 two two';
  assert.equal(all.at(-1), after);
  const switched = all.indexOf(after);
  assert.ok(switched > 3, 'what is made beside is seen by nobody');
  assert.deepEqual(new Set(all.slice(0, switched)), new Set([before]));
  assert.deepEqual(new Set(all.slice(switched)), new Set([after]));
  const most = Math.max(...perPiece.map((keys) => keys.size));
  assert.ok(most <= LIMITS.REVISION_WORK_PER_TURN, `${most} rules in one piece`);
  assert.ok(perPiece.length >= (2 * FILLERS) / LIMITS.REVISION_WORK_PER_TURN, `${perPiece.length} pieces`);
  client.close();
  await rig.end();
});

simOnly('a large revision brings its listener, other hosts of it and its end', async (net) => {
  const rig = new Rig(net, [answering(net, () => ok('one'))], []);
  const client = await rig.connect();
  rig.apply({ upserts: [], removals: [LISTENER] });
  rig.apply({ upserts: [listener(), ...fillers('app')], removals: [] });
  const again = await rig.connect();
  assert.equal(await ask(again, '/f/1'), 'one');
  const on = listener();
  const hosts = on.hosts.map((host) => ({ ...host, hostname: 'a.example' }));
  const moved = fillers('app').map((entry) => ({
    ...entry,
    attachments: entry.attachments.map((attachment) => ({ ...attachment, host: 'a.example' })),
  }));
  rig.apply({ upserts: [{ ...on, hosts }, ...moved], removals: [] });
  assert.equal(await ask(again, '/f/1'), 'one');
  rig.apply({ upserts: [on], removals: moved.map(({ key }) => key) });
  assert.equal(await ask(again, '/f/1'), '404');
  client.close();
  again.close();
  await rig.end();
});

simOnly('a large revision that is refused by its last entry was never seen, and leaves nothing', async (net) => {
  const rig = new Rig(net, [answering(net, () => ok('one'))], []);
  rig.apply({ upserts: [to('a', '/a', 'app')], removals: [] });
  const client = await rig.connect();
  const bad = rule({ name: 'bad', match: { path: { type: 'RegularExpression', value: '(' } } });
  const { rules } = rig.engine.stats();
  const steps = rig.applying({ upserts: [...fillers('app'), to('a', '/b', 'app'), bad], removals: [] });
  const go = async (): Promise<void> => {
    while (steps.next().done !== true) assert.equal(await seen(client, ['/a', '/b', '/f/0']), 'one 404 404');
  };
  await assert.rejects(go(), (error) => error instanceof ApplyError && error.key === bad.key);
  assert.equal(await seen(client, ['/a', '/b', '/f/0']), 'one 404 404');
  assert.equal(rig.engine.stats().rules, rules);
  client.close();
  await rig.end();
});
