import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RuleEntry } from '../ir/ir.ts';
import { Shadows } from './shadows.ts';

function entry(route: string, path: string, created = 0): RuleEntry {
  return {
    kind: 'rule',
    key: `rule/HTTPRoute/${route}/0`,
    routeKind: 'HTTPRoute',
    route,
    index: 0,
    name: '',
    created,
    attachments: [{ socket: 's', host: '*', hostnames: ['*'] }],
    matches: [{ path: { type: 'PathPrefix', value: path }, method: '', headers: [], query: [] }],
    filters: [],
    action: { type: 'respond', status: 500 },
    timeouts: { requestMs: null, backendMs: null },
    retry: null,
  };
}

/** Who is told what, by looking at each alone. */
function plainly(rules: ReadonlyMap<string, RuleEntry>): Record<string, string | null> {
  const order = [...rules.values()].sort((a, b) => a.created - b.created || (a.route < b.route ? -1 : 1));
  return Object.fromEntries(
    [...rules.values()].map((rule) => {
      const first = order.find((other) => other.matches[0]?.path.value === rule.matches[0]?.path.value);
      return [rule.route, first === undefined || first === rule ? null : first.route];
    }),
  );
}

test('whatever comes and goes, those of whom something else is to be said are named, and it is right', () => {
  let seed = 5;
  const next = (n: number): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
    return (seed >> 8) % n;
  };
  const shadows = new Shadows();
  const rules = new Map<string, RuleEntry>();
  const told = new Map<string, string | null>();
  let hidden = 0;
  for (let round = 0; round < 3_000; round++) {
    const route = `default/r${next(9)}`;
    const before = rules.get(route);
    const after = next(4) === 0 ? undefined : entry(route, `/${next(3)}`, next(3));
    if (after === undefined) rules.delete(route);
    else rules.set(route, after);
    const changed = shadows.replace(before === undefined ? [] : [before], after === undefined ? [] : [after]);
    for (const name of new Set([route, ...[...changed].map((key) => key.slice('HTTPRoute/'.length))])) {
      const rule = rules.get(name);
      const [problem] = rule === undefined ? [] : shadows.problemsOf([rule]);
      told.set(name, /^HTTPRoute (\S+), rule 0, matches the same/.exec(problem?.message ?? '')?.[1] ?? null);
      if (rule === undefined) told.delete(name);
    }
    const expected = plainly(rules);
    assert.deepEqual(
      Object.fromEntries([...told].sort()),
      Object.fromEntries(Object.entries(expected).sort()),
      `${round}`,
    );
    hidden += Object.values(expected).filter((name) => name !== null).length;
  }
  assert.ok(hidden > 3_000, String(hidden));
});

test('a thousand routes that ask for the same are told in time that grows with their number', () => {
  const shadows = new Shadows();
  let named = 0;
  for (let i = 0; i < 1_000; i++) named += shadows.replace([], [entry(`default/r${1_000 + i}`, '/')]).size;
  assert.ok(named < 2_000, String(named));
});
