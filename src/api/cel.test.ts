import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BREAKING, GATEWAY_API, Mutator, object } from '../../test/support/definitions.ts';
import { type Cel, loadCel } from './cel.ts';
import { CEL_RULES } from './generated/cel.ts';
import { shapeOf } from './kinds.ts';
import { type Problem, Problems } from './problem.ts';
import { type CheckOptions, checkObject } from './schema.ts';
import type { Shape } from './shape.ts';

const cel = await loadCel();

interface Judged {
  /** What the checks of rules.ts say. */
  readonly own: readonly Problem[];
  /** What CEL says, as if nobody else had said anything. */
  readonly cel: readonly Problem[];
}

/** Null: the object has not even the shape of its kind. */
function judge(object: unknown): Judged | null {
  let judged: Judged | null = null;
  const listener = {
    check(apiVersion: string, kind: string, shape: Shape, body: Record<string, unknown>, problems: Problems) {
      const alone = new Problems(null);
      cel.check(apiVersion, kind, shape, body, alone);
      judged = { own: problems.found.filter(({ severity }) => severity === 'error'), cel: alone.found };
    },
  };
  checkObject(object, { cel: listener as unknown as Cel } satisfies CheckOptions);
  return judged;
}

/** What definitions check by other means (oneOf, formats of Gateway addresses), and what they do not (of Backends). */
const NOT_BY_CEL = /^spec\.(addresses\[\d+\]\.value|endpoints\[\d+\]\.address)$/;

test('our checks and the rules of the definitions refuse the same objects', () => {
  const mutator = new Mutator(31);
  const broken = new Set<string>();
  let shaped = 0;
  for (let i = 0; i < 6_000; i++) {
    const object = mutator.object();
    const judged = judge(object);
    if (judged === null) continue;
    shaped++;
    for (const { message } of judged.cel) broken.add(message);
    const own = judged.own.filter(({ place: { field = '' } }) => !NOT_BY_CEL.test(field) || judged.cel.length > 0);
    const said = JSON.stringify([object, judged], null, 1);
    assert.equal(own.length > 0, judged.cel.length > 0, said);
  }
  assert.ok(shaped > 2_000 && broken.size > 30, `${shaped} of the right shape, ${broken.size} rules broken`);
});

/** The shapes let nothing through that would break these. */
const NEVER_BROKEN = [
  'Listener name must be unique within the Gateway',
  'Port for TLS configuration must be unique within the Gateway',
  "type must be one of ['Exact', 'PathPrefix', 'RegularExpression']",
  'Hostnames must be valid based on RFC-1123',
  'Wildcards on hostnames must be the first label, and the rest of hostname must be valid based on RFC-1123',
];

test('every rule is broken by an object, and our checks refuse that object, too', () => {
  const broken = new Set<string>();
  const bad: string[] = [];
  for (const breaking of BREAKING) {
    const judged = judge(breaking);
    const said = JSON.stringify([breaking, judged ?? checkObject(breaking).problems]);
    if (judged === null || judged.cel.length === 0 || judged.own.length === 0) bad.push(said);
    for (const { message } of judged?.cel ?? []) broken.add(message);
  }
  assert.deepEqual(bad, []);
  const all = new Set(CEL_RULES.map(([, message]) => message));
  assert.deepEqual([...all].filter((message) => !broken.has(message)).sort(), NEVER_BROKEN.toSorted());
});

test('a rule speaks where nobody else has: with its own place, and its own words', () => {
  const silent: Shape = shapeOf(GATEWAY_API, 'HTTPRoute') as Shape;
  const body = {
    spec: {
      rules: [
        {
          matches: [],
          filters: [
            { type: 'CORS', cors: {} },
            { type: 'CORS', cors: {} },
          ],
        },
      ],
    },
  };
  const alone = new Problems(null);
  cel.check(GATEWAY_API, 'HTTPRoute', silent, body, alone);
  assert.deepEqual(
    alone.found.map(({ place, message }) => [place.field, message]),
    [['spec.rules[0].filters', 'CORS filter cannot be repeated']],
  );
  const after = new Problems(null);
  after.error('spec.rules[0].filters[1]', 'once is enough');
  cel.check(GATEWAY_API, 'HTTPRoute', silent, body, after);
  assert.equal(after.errors, 1);
});

test('names that are words of CEL, whole numbers and addresses are seen as Kubernetes sees them', () => {
  const refs = (...namespaces: readonly string[]): unknown =>
    object('HTTPRoute', { parentRefs: namespaces.map((namespace) => ({ name: 'edge', namespace })) });
  assert.deepEqual(judge(refs('a', 'b'))?.cel, []);
  assert.equal(judge(refs('a', 'a'))?.cel.length, 1);
  const ips = (...trustedIps: readonly string[]): number | undefined =>
    judge(object('GatewayParameters', { clientAddresses: { proxies: { trustedIps } } }, 'rauta.io/v1alpha1'))?.cel
      .length;
  assert.equal(ips('192.0.2.1', '2001:db8::1'), 0);
  for (const wrong of ['::ffff:192.0.2.1', 'fe80::1%eth0', '192.0.2.01', '10.0.0.0/8'])
    assert.equal(ips(wrong), 1, wrong);
});
