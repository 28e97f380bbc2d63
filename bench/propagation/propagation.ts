// From a change in the API server to the bytes that show it, and what it costs: run.sh starts a cluster and this in it.
// Definitions after the public gateway-api-bench; the smallest unit that is asked in is a millisecond.

import { fork, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { family } from '../macro/measure.ts';
import { circumstances, writeResult } from '../macro/result.ts';
import * as api from './api.ts';
import { crash, rollout, silent } from './failing.ts';
import { PEERS } from './peers.ts';
import { attached, change, type Figures, type Place, probe, type Sizes, scale, sets } from './scenarios.ts';
import { wait } from './traffic.ts';

const PORT = 8_080;
const ADMIN = 'http://127.0.0.1:9090';
const root = fileURLToPath(new URL('../..', import.meta.url));
const { values: args } = parseArgs({
  options: {
    small: { type: 'boolean', default: false },
    out: { type: 'string', default: 'propagation-cluster' },
    only: { type: 'string', default: '' },
    /** The churn is measured so often; the median counts. */
    churns: { type: 'string', default: '1' },
  },
});
const sizes: Sizes = args.small
  ? { attached: 50, probed: 50, scale: 100, sets: 20, churnSeconds: 6, churns: Number(args.churns) }
  : { attached: 1_000, probed: 3_000, scale: 5_000, sets: 300, churnSeconds: 60, churns: Number(args.churns) };

const ports = { attached: 8_081, probe: PORT, scale: 8_082, sets: 8_083 };
const place: Omit<Place, 'planes'> = {
  port: PORT,
  backendPort: 3_000,
  addresses: ['10.250.200.1', '10.250.200.2'],
  metric: async (name) => {
    const lines = (await (await fetch(`${ADMIN}/metrics`)).text()).split('\n').filter((l) => /^[a-z]/.test(l));
    if (name === '*') return lines.length;
    // Of several workers the sum.
    const own = lines.filter((l) => l.startsWith(`${name} `) || l.startsWith(`${name}{`));
    return own.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
  },
};

const backend = fork(fileURLToPath(new URL('./backend.ts', import.meta.url)), [
  String(place.backendPort),
  ...place.addresses,
]);
await new Promise((resolve) => backend.once('message', resolve));
const rauta = spawn('sh', ['bin/node', 'test/conformance/serve.ts', '--listen', '127.0.0.1', '--workers', '1'], {
  cwd: root,
  stdio: ['ignore', 'ignore', 'ignore'],
});
const planes = (): { controller: number; worker: number } => {
  const found = { controller: 0, worker: 0 };
  for (const pid of family(rauta.pid as number)) {
    const plane = /__child\0(controller|worker)/.exec(readFileSync(`/proc/${pid}/cmdline`, 'utf8'))?.[1];
    // The spare that waits for the worker's death came after it.
    if (plane !== undefined && found[plane as 'worker'] === 0) found[plane as 'worker'] = pid;
  }
  return found;
};
try {
  await api.create(api.namespace('bench'));
  for (const [name, port] of Object.entries(ports)) await api.create(api.gateway(name, port));
  while (
    !(await fetch(`${ADMIN}/readyz`).then(
      (r) => r.ok,
      () => false,
    ))
  )
    await wait(100);
  const scenarios = { attached, probe, change, crash, silent, rollout, sets, scale };
  const results: Record<string, Figures> = {};
  for (const [name, run] of Object.entries(scenarios)) {
    if (args.only !== '' && !args.only.split(',').includes(name)) continue;
    const started = performance.now();
    const port = name === 'scale' || name === 'sets' ? ports[name] : PORT;
    const before = await stages();
    results[name] = { ...(await run(sizes, { ...place, planes, port })), ...p99(before, await stages()) };
    process.stdout.write(`${name}: ${Math.round((performance.now() - started) / 1000)} s\n`);
  }
  const result = {
    ...circumstances(),
    command: `sh bench/propagation/run.sh ${process.argv.slice(2).join(' ')}`.trim(),
    method: 'one machine for API server, controller, worker, backend and load; 1 worker; flags at their defaults',
    sizes,
    results,
  };
  const out = writeResult(args.out, result);
  writeFileSync(`${out}.md`, page(result));
  process.stdout.write(page(result));
} finally {
  rauta.kill('SIGTERM');
  backend.kill('SIGKILL');
  await new Promise((resolve) => rauta.on('exit', resolve));
  await api.stop();
}

/** `rauta_propagation_seconds`: how many took at most so long, by stage and bound in seconds. */
async function stages(): Promise<Map<string, Map<number, number>>> {
  const out = new Map<string, Map<number, number>>();
  const text = await (await fetch(`${ADMIN}/metrics`)).text();
  for (const [, stage = '', le, n] of text.matchAll(
    /^rauta_propagation_seconds_bucket\{stage="(\w+)",le="(.+)"\} (\d+)$/gm,
  ))
    out.set(stage, (out.get(stage) ?? new Map()).set(le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le), Number(n)));
  return out;
}
/** Between two looks: the bound under which 99 of 100 revisions stayed, which is all that buckets tell. */
function p99(before: Map<string, Map<number, number>>, after: Map<string, Map<number, number>>): Figures {
  const figures: Figures = {};
  for (const [stage, buckets] of after) {
    const counts = [...buckets].map(([bound, n]) => [bound, n - (before.get(stage)?.get(bound) ?? 0)] as const);
    const total = counts.at(-1)?.[1] ?? 0;
    const found = counts.find(([, n]) => n >= 0.99 * total)?.[0];
    if (total > 0 && found !== undefined) figures[`event to ${stage}, p99 at most, ms (own histogram)`] = found * 1000;
    if (stage === 'total') figures['revisions'] = total;
  }
  return figures;
}

interface Result extends ReturnType<typeof circumstances> {
  readonly command: string;
  readonly method: string;
  readonly results: Readonly<Record<string, Figures>>;
}
function page({ date, commit, machine, node, command, method, results }: Result): string {
  const head = `# Propagation in a cluster\n\n${date}, commit ${commit},\n${machine}, Node ${node}.\n\`${command}\`\n\n${method}.\nThe peers: bench/propagation/peers.ts.\n`;
  const tables = Object.entries(results).map(([name, figures]) => {
    const rows = Object.entries(figures).map(([what, value]) => {
      const [envoy = '', traefik = ''] = PEERS[name]?.[what] ?? [];
      return `| ${what} | ${value} | ${envoy} | ${traefik} |`;
    });
    return `\n| ${name} | rauta | envoy gateway | traefik |\n|---|---|---|---|\n${rows.join('\n')}\n`;
  });
  return head + tables.join('');
}
