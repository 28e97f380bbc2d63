// Worlds of paths, by chance: what a rule's prefix takes, and where a rewrite or redirect of it leads, for paths in
// every writing, beside a model of normalisation (RFC 3986 section 6.2.2) and of HTTPPathModifier. SEEDS=1000 for a
// long run, SEED=n to repeat one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PathModifier } from '../../src/ir/ir.ts';
import { NO_FAULTS } from '../../src/sim/faults.ts';
import { answering, get, ok, Rig, rule } from '../proxy/rig.ts';
import { runSeed, seedsOf } from '../support/net.ts';
import type { SimNet } from '../support/sim-net.ts';
import { Dice } from './auth-asks.ts';

const SEEDS = 15;
const SEGMENTS = [
  ...['a', 'b', 'ab', '', '', '.', '..', '%61', '%2F', '%2f', 'a;b', 'A', '~', '%7e', 'a.b', '...', '%2E', 'a%20b'],
  ...['*', '@:', '%2e%2e', '..;x', 'a%5Cb'],
];
const PREFIXES = ['/', '/a', '/a/', '/a/b', '/a/b/', '/ab', '/a.b', '/A', '/~'];
const VALUES = ['/', '', '/x', '/x/', 'x', '/x/y//', '/a b', '/%41', '/\xfc', '/x?y', '/*'];

/** The path as everybody is to see it; null: it leads out of the root. */
function normalised(path: string): string | null {
  const decoded = path.replace(/%([0-9A-Fa-f]{2})/g, (written, digits: string) => {
    const sign = String.fromCharCode(Number.parseInt(digits, 16));
    return /[A-Za-z0-9._~-]/.test(sign) ? sign : written.toUpperCase();
  });
  const segments = decoded.split('/').slice(1);
  const kept: string[] = [];
  for (const [i, segment] of segments.entries()) {
    if (segment !== '.' && segment !== '..') {
      kept.push(segment);
      continue;
    }
    if (segment === '..' && kept.pop() === undefined) return null;
    if (i === segments.length - 1) kept.push('');
  }
  return `/${kept.join('/')}`.replace(/\/+/g, '/');
}

/** Whether some reader sees a segment of dots that is none by the RFC: behind %2F or %5C, or with parameters. */
function hidesDots(path: string): boolean {
  const text = path.replace(/%2e/gi, '.');
  const odd = '(?:%2f|%5c)';
  return (
    new RegExp(`(?:^|/|${odd})\\.{1,2}(?:;|${odd})`, 'i').test(text) ||
    new RegExp(`${odd}\\.{1,2}(?:/|$|;|${odd})`, 'i').test(text)
  );
}

function escaped(value: string): string {
  const path = value.replace(/[^A-Za-z0-9/._~!$&'()*+,;=:@%-]/gu, (sign) => encodeURIComponent(sign));
  return path === '' || path.startsWith('/') ? path : `/${path}`;
}

/** Where the path leads that the prefix takes. */
function edited({ type, value }: PathModifier, meant: string, prefix: string): string {
  const path = escaped(value);
  if (type === 'ReplaceFullPath') return path === '' ? '/' : path;
  const whole = path.replace(/\/+$/, '') + meant.slice(prefix.length);
  return whole === '' ? '/' : whole;
}

async function world(net: SimNet, seed: number): Promise<void> {
  const dice = new Dice(seed);
  const prefix = dice.pick(PREFIXES);
  const path: PathModifier = { type: dice.pick(['ReplacePrefixMatch', 'ReplaceFullPath']), value: dice.pick(VALUES) };
  const redirects = dice.chance(0.4);
  const redirect = { scheme: 'http', hostname: null, port: null, path, status: 302 } as const;
  let served = '';
  const app = answering(net, ({ target }) => {
    served = target;
    return ok('');
  });
  const entry = redirects
    ? rule({ path: prefix, action: { type: 'redirect', redirect } })
    : rule({ path: prefix, filters: [{ type: 'rewrite', hostname: null, path }] });
  const rig = new Rig(net, [app], [entry]);
  const covered = (normalised(prefix) ?? '').replace(/\/+$/, '');
  for (let i = 0; i < 40; i++) {
    const start = dice.chance(0.6) ? `${prefix}${dice.chance(0.5) ? '/' : ''}` : '/';
    const raw = start + Array.from({ length: dice.int(4) }, () => dice.pick(SEGMENTS)).join('/');
    const query = dice.pick(['', '', '?', '?q=/../a', '?a?b']);
    served = '';
    const client = await rig.connect();
    await client.send(get(raw + query, 'Connection: close\r\n'));
    const { status, headers } = await client.readMessage();
    client.close();
    const meant = normalised(raw);
    const refused = meant === null || hidesDots(raw);
    const fits = meant !== null && (meant === covered || meant.startsWith(`${covered}/`));
    const wanted = refused ? 400 : fits ? (redirects ? 302 : 200) : 404;
    const what = JSON.stringify({ prefix, path, redirects, raw, query });
    assert.equal(status, wanted, what);
    const there = refused || !fits ? '' : edited(path, meant, covered) + query;
    const location = headers.get('location')?.[0];
    assert.deepEqual(
      [served, location],
      redirects && fits && !refused ? ['', `http://a.example${there}`] : [there, undefined],
      what,
    );
  }
  await rig.end();
}

test('paths are taken, rewritten and redirected as the model says', async () => {
  for (const seed of seedsOf(SEEDS)) await runSeed(seed, (net) => world(net, seed), NO_FAULTS);
});
