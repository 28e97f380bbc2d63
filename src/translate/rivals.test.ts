import assert from 'node:assert/strict';
import { test } from 'node:test';
import { olderFirst } from './context.ts';
import { compare } from './dependencies.ts';
import { intersect } from './hostname.ts';
import { type Claim, losersOf, type Rivals } from './rivals.ts';

const AT = 'Gateway/default/edge#http';
const HOSTS = [
  '*',
  '*.com',
  'a.com',
  '*.a.com',
  'b.a.com',
  'c.b.a.com',
  '*.b.a.com',
  'org',
  'a.org',
  '*.org',
  'xa.com',
];

function rivals(claims: readonly Claim[]): Rivals {
  const of = (kind: string): Map<string, Claim> =>
    new Map(claims.filter((claim) => claim.kind === kind).map((claim) => [`${kind}/${claim.name}`, claim]));
  return { HTTPRoute: of('HTTPRoute'), GRPCRoute: of('GRPCRoute') };
}

/** One by one, each against all that were accepted: what the index has to come to. */
function plainly(claims: readonly Claim[]): string[] {
  const accepted: Claim[] = [];
  const losers: string[] = [];
  const meets = (a: Claim, b: Claim): boolean =>
    a.kind !== b.kind && a.hostnames.some((x) => b.hostnames.some((y) => intersect(x, y) !== null));
  for (const claim of [...claims].sort((a, b) => olderFirst(a, b) || compare(a.kind, b.kind))) {
    if (accepted.some((other) => meets(claim, other))) losers.push(`${claim.kind}/${claim.name}`);
    else accepted.push(claim);
  }
  return losers.sort();
}

test('of rivals with hostnames in common one is accepted, whatever the wildcards: as one by one', () => {
  let seed = 7;
  const next = (n: number): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
    return (seed >> 8) % n;
  };
  let lost = 0;
  for (let round = 0; round < 2_000; round++) {
    const claims = Array.from({ length: 2 + next(7) }, (_, i): Claim => {
      const hostnames = Array.from({ length: 1 + next(3) }, () => HOSTS[next(HOSTS.length)] as string);
      const kind = next(2) === 0 ? 'HTTPRoute' : 'GRPCRoute';
      return { kind, at: AT, name: `default/${next(3)}${i}`, created: next(3), hostnames };
    });
    const found = losersOf(rivals(claims));
    assert.deepEqual([...found.keys()].sort(), plainly(claims), JSON.stringify(claims));
    for (const [key, { kind, hostname }] of found) {
      assert.ok(!key.startsWith(kind), 'loses to the other kind');
      assert.ok(HOSTS.includes(hostname));
    }
    lost += found.size;
  }
  assert.ok(lost > 1_000, String(lost));
});

test('who has the hostname is named, with one that both have', () => {
  const claims: Claim[] = [
    { kind: 'HTTPRoute', at: AT, name: 'shop/pages', created: 1, hostnames: ['*.example.com'] },
    { kind: 'GRPCRoute', at: AT, name: 'shop/calls', created: 2, hostnames: ['example.org', 'api.example.com'] },
  ];
  assert.deepEqual(
    [...losersOf(rivals(claims))],
    [['GRPCRoute/shop/calls', { kind: 'HTTPRoute', name: 'shop/pages', older: true, hostname: 'api.example.com' }]],
  );
});
