// UDP beside nginx's stream module: CPU per exchange (a datagram and its answer) of all of a proxy's processes, proxies
// on one core, load and backend on the other, in paired interleaved rounds. `bin/node bench/macro/udp.ts [--works
// udp-64,udp-2000] [--rounds 12] [--seconds 2] [--flood] [--out udp]`. Both write a log of sessions to a file. Where
// nginx's module lies elsewhere than Debian's libnginx-mod-stream puts it: RAUTA_BENCH_STREAM.

import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { cpuNs, family } from './measure.ts';
import { circumstances, writeResult } from './result.ts';
import { median, ratio } from './stats.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const PROXY_CORE = 0;
const LOAD_CORE = 1;
const BACKEND = 19_300;
/** Where nobody listens. */
const CLOSED = 19_399;
const BYTES = 64;
const WARM_UPS = 6;
const MODULE = process.env['RAUTA_BENCH_STREAM'] ?? '/usr/lib/nginx/modules/ngx_stream_module.so';

interface Work {
  readonly name: string;
  readonly what: string;
  readonly flows: number;
  readonly window: number;
  /** Datagrams a second, one at a time; 0: as fast as answers come. */
  readonly rate: number;
}
const WORKS: readonly Work[] = [
  { name: 'udp-64', what: '64 flows, one datagram each under way', flows: 64, window: 1, rate: 0 },
  { name: 'udp-2000', what: '2,000 flows, one datagram each under way', flows: 2_000, window: 1, rate: 0 },
  { name: 'udp-burst', what: '64 flows, 16 datagrams each under way', flows: 64, window: 16, rate: 0 },
  { name: 'udp-paced', what: '15,000 a second, one by one, 64 flows', flows: 64, window: 1, rate: 15_000 },
];

const { values: args } = parseArgs({
  options: {
    works: { type: 'string', default: WORKS.map((work) => work.name).join() },
    rounds: { type: 'string', default: '12' },
    seconds: { type: 'string', default: '2' },
    out: { type: 'string', default: 'udp' },
    flood: { type: 'boolean', default: false },
  },
});

const run = mkdtempSync(join(tmpdir(), 'rauta-bench-udp-'));
const load = join(run, 'udp');

const CONFIGURATION = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: bench }
spec: { gatewayClassName: rauta, listeners: [{ name: udp, port: @PORT@, protocol: UDP }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: UDPRoute
metadata: { name: bench }
spec:
  parentRefs: [{ name: bench }]
  rules: [{ backendRefs: [{ group: rauta.io, kind: Backend, name: app }] }]
---
apiVersion: rauta.io/v1alpha1
kind: Backend
metadata: { name: app }
spec: { endpoints: [{ address: 127.0.0.1, port: ${BACKEND} }] }
`;
const NGINX = `load_module ${MODULE};
user root; worker_processes 1; daemon off; pid ${run}/nginx.pid; error_log ${run}/nginx.err warn; worker_rlimit_nofile 20000;
events { worker_connections 19000; multi_accept on; }
stream {
  log_format json '{"time":"$time_iso8601","client":"$remote_addr","protocol":"$protocol","request_bytes":$bytes_received,"response_bytes":$bytes_sent,"duration":$session_time,"endpoint":"$upstream_addr"}';
  access_log ${run}/nginx.log json buffer=64k flush=1s;
  server { listen 127.0.0.1:@PORT@ udp reuseport rcvbuf=4m sndbuf=4m; proxy_pass 127.0.0.1:${BACKEND}; proxy_timeout 60s; }
}
`;

interface Proxy {
  readonly name: string;
  readonly port: number;
  readonly process: ChildProcess;
}
interface Sample {
  readonly cpuUs: number;
  readonly perSecond: number;
  /** Not back within 0.2 s. */
  readonly lost: number;
  /** Came to a flow that had not asked, or not any more. */
  readonly wrong: number;
  readonly p99Us: number;
}

function pinned(core: number, argv: readonly string[]): ChildProcess {
  return spawn('taskset', ['-c', String(core), ...argv], { stdio: 'ignore' });
}

function start(name: string, port: number, text: string, argv: (conf: string) => string[]): Proxy {
  const conf = join(run, `${name}.yaml`);
  writeFileSync(conf, text.replaceAll('@PORT@', String(port)));
  return { name, port, process: pinned(PROXY_CORE, argv(conf)) };
}

function proxies(): Proxy[] {
  const flags = ['--workers', '1', '--admin', 'off', '--listen', '127.0.0.1', '--log-level', 'warn', '--user', 'root'];
  const log = ['--access-log', join(run, 'rauta.log')];
  const bin = join(root, 'bin/rauta');
  const started = [start('rauta', 19_301, CONFIGURATION, (conf) => [bin, 'serve', '--config', conf, ...flags, ...log])];
  if (existsSync(MODULE)) started.push(start('nginx', 19_302, NGINX, (conf) => ['nginx', '-p', run, '-c', conf]));
  else process.stdout.write(`nginx has no streams (${MODULE} is not there): left out\n`);
  return started;
}

/** What the load saw, and what the proxy took for it. */
function sample({ port, process: { pid } }: Proxy, { flows, window, rate }: Work, seconds: number): Sample {
  const pids = family(pid as number);
  const before = cpuNs(pids);
  const numbers = [port, flows, window, BYTES, seconds, rate].map(String);
  const { stdout } = spawnSync('taskset', ['-c', String(LOAD_CORE), load, 'load', ...numbers], { encoding: 'utf8' });
  const cpu = cpuNs(pids) - before;
  const { got, ...rest } = JSON.parse(stdout) as { got: number; wrong: number; lost: number; p99Us: number };
  return { cpuUs: cpu / 1000 / got, perSecond: got / seconds, ...rest };
}

function answers(proxy: Proxy): boolean {
  return sample(proxy, { name: '', what: '', flows: 1, window: 1, rate: 0 }, 0.3).perSecond > 0;
}

/**
 * A victim of 200 datagrams a second by 20 flows, open loop, beside a flood of new senders: aimed at where nobody
 * listens, and at the victim's own port. The bar (quality of a flood): p99 at most 5 ms more.
 */
function flooded(proxy: Proxy): Record<string, unknown>[] {
  return [CLOSED, proxy.port].map((target) => {
    // The victim's flows are there before it begins.
    const attacker = pinned(LOAD_CORE, ['sh', '-c', `sleep 0.5; exec ${load} flood ${target}`]);
    const victim = { name: '', what: '', flows: 20, window: 1, rate: 200 };
    const { p99Us, perSecond } = sample(proxy, victim, Number(args.seconds));
    attacker.kill('SIGKILL');
    const row = { peer: proxy.name, flooded: target === CLOSED ? 'a closed port' : 'its port', p99Us, perSecond };
    process.stdout.write(`${JSON.stringify(row)}\n`);
    return row;
  });
}

execFileSync('cc', ['-O2', '-o', load, join(root, 'bench/macro/udp.c')]);
const backend = pinned(LOAD_CORE, [load, 'echo', String(BACKEND)]);
const peers = proxies();
try {
  for (const peer of peers) for (let i = 0; i < 100 && !answers(peer); i++);
  const rows: Record<string, unknown>[] = [];
  for (const work of WORKS.filter(({ name }) => args.works.split(',').includes(name))) {
    const samples = new Map(peers.map((peer) => [peer.name, [] as Sample[]]));
    for (let i = 0; i < WARM_UPS; i++) for (const peer of peers) sample(peer, work, 1);
    for (let round = 0; round < Number(args.rounds); round++) {
      for (let i = 0; i < peers.length; i++) {
        const peer = peers[(i + round) % peers.length] as Proxy;
        samples.get(peer.name)?.push(sample(peer, work, Number(args.seconds)));
      }
    }
    const cpu = (name: string): number[] => (samples.get(name) ?? []).map((one) => one.cpuUs);
    for (const { name } of peers) {
      const all = samples.get(name) ?? [];
      const cheaper = name === 'nginx' || peers.length === 1 ? null : ratio(cpu('nginx'), cpu(name));
      const perSecond = median(all.map((one) => one.perSecond));
      const lost = all.reduce((sum, one) => sum + one.lost, 0);
      const wrong = all.reduce((sum, one) => sum + one.wrong, 0);
      if (name === 'rauta' && wrong > 0) process.exitCode = 1;
      rows.push({ work: work.name, peer: name, cpuUs: median(cpu(name)), perSecond, lost, wrong, cheaper });
      const times =
        cheaper === null ? '' : `, x${cheaper.mean.toFixed(2)} (${cheaper.low.toFixed(2)}-${cheaper.high.toFixed(2)})`;
      process.stdout.write(
        `${work.what}: ${name} ${median(cpu(name)).toFixed(2)} us, ${Math.round(perSecond)}/s, ${lost} lost, ${wrong} wrong${times}\n`,
      );
    }
  }
  if (args.flood) for (const peer of peers) rows.push(...flooded(peer));
  const method =
    'paired interleaved rounds, CPU of all processes (schedstat), proxies on core 0, load and backend on core 1';
  writeResult(args.out, { ...circumstances(), method, seconds: Number(args.seconds), rows });
} finally {
  const ended = peers.map((peer) => once(peer.process, 'exit'));
  for (const peer of peers) peer.process.kill('SIGTERM');
  backend.kill('SIGKILL');
  await Promise.all(ended);
  rmSync(run, { recursive: true, force: true });
}
