// The proxies of the bench: how each is found, set up and started, always with access log, timeouts, limits and
// forwarded headers on, as its own documents advise.

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, openSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { authority, leaf, pem } from '../../tools/certificates.ts';

const here = fileURLToPath(new URL('.', import.meta.url));
const root = fileURLToPath(new URL('../..', import.meta.url));

export interface Peer {
  readonly name: string;
  readonly version: string;
  readonly pid: number;
  readonly port: number;
  /** The same by TLS, with one certificate on P-256 and its issuer. */
  readonly tlsPort: number;
  /** A port of TCP; 0 where it has none. */
  readonly tcpPort: number;
  /** HTTP/2 in the clear, for calls of gRPC. */
  readonly h2cPort: number;
  /** Empties its access log. */
  emptyLog(): void;
  /** Resolves when it has ended. */
  stop(): Promise<void>;
}

interface Kind {
  readonly name: string;
  /** null when it is not on this machine. */
  readonly version: () => string | null;
  readonly conf: string;
  readonly argv: (conf: string, run: string) => string[];
}

function output(argv: readonly string[]): string | null {
  const done = spawnSync(argv[0] as string, argv.slice(1), { encoding: 'utf8' });
  return done.error !== undefined || done.status !== 0 ? null : `${done.stdout}${done.stderr}`;
}

function match(text: string | null, pattern: RegExp): string | null {
  return text === null ? null : (pattern.exec(text)?.[1] ?? null);
}

/** Where the Envoy binary is: RAUTA_BENCH_ENVOY, or in PATH. */
const ENVOY = process.env['RAUTA_BENCH_ENVOY'] ?? 'envoy';

/** A checkout of RAUTA under a name of its own. */
function rauta(name: string, root: string | undefined): Kind {
  const bin = join(root ?? '', 'bin/rauta');
  return {
    name,
    version: () => (root === undefined ? null : match(output([bin, 'version']), /rauta (\S+)/)),
    conf: 'rauta.yaml',
    argv: (conf, run) => [
      bin,
      'serve',
      '--config',
      conf,
      '--workers',
      '1',
      '--admin',
      'off',
      '--listen',
      '127.0.0.1',
      '--access-log',
      join(run, `${name}.log`),
      '--log-level',
      'warn',
      '--user',
      'root',
    ],
  };
}

const KINDS: readonly Kind[] = [
  rauta('rauta', root),
  // The build before: another checkout, to be compared with `--base before`.
  rauta('before', process.env['RAUTA_BENCH_BEFORE']),
  {
    name: 'nginx',
    version: () => match(output(['nginx', '-v']), /nginx\/(\S+)/),
    conf: 'nginx.conf',
    argv: (conf, run) => ['nginx', '-p', run, '-c', conf],
  },
  {
    name: 'haproxy',
    version: () => match(output(['haproxy', '-v']), /version (\S+)/),
    conf: 'haproxy.cfg',
    argv: (conf) => ['haproxy', '-db', '-f', conf],
  },
  {
    name: 'envoy',
    version: () => match(output([ENVOY, '--version']), /version: \S*?\/(\d+\.\d+\.\d+)/),
    conf: 'envoy.yaml',
    argv: (conf) => [ENVOY, '-c', conf, '--concurrency', '1', '--log-level', 'error', '--disable-hot-restart'],
  },
];

/** Ports of TLS lie so far above those of the clear. */
const TLS_PORTS = 100;
const TCP_PORTS = 200;
const H2C_PORTS = 300;
/** From the backend's port to that of gRPC. */
export const GRPC_BACKEND = 400;
/** nginx passes bytes on by a module of its own (Debian: libnginx-mod-stream); where it lies elsewhere, as udp.ts. */
const STREAM_MODULE = process.env['RAUTA_BENCH_STREAM'] ?? '/usr/lib/nginx/modules/ngx_stream_module.so';
const issuer = authority('Bench');
const own = leaf(issuer, ['app.example.com', '127.0.0.1']);
const CHAIN = pem('CERTIFICATE', own.der) + pem('CERTIFICATE', issuer.der);
const KEY = pem('PRIVATE KEY', own.keyDer);
const PEMS = { 'chain.pem': CHAIN, 'key.pem': KEY, 'both.pem': CHAIN + KEY };
const base64 = (text: string): string => Buffer.from(text).toString('base64');
const SECRET = `---
apiVersion: v1
kind: Secret
metadata: { name: bench }
type: kubernetes.io/tls
data: { tls.crt: ${base64(CHAIN)}, tls.key: ${base64(KEY)} }
`;

export const PEERS: readonly string[] = KINDS.map((k) => k.name);

/** Starts `name` pinned to `core`, listening on `port`; null when it is not installed. */
export async function startPeer(
  name: string,
  run: string,
  port: number,
  backend: number,
  core: number,
): Promise<Peer | null> {
  const kind = KINDS.find((k) => k.name === name) as Kind;
  const version = kind.version();
  if (version === null) return null;
  // Apart from logs: who watches the folder of its configuration would see every write to one.
  mkdirSync(join(run, 'conf'), { recursive: true });
  // A file of its own: two checkouts of RAUTA read the same kind, and both watch it.
  const conf = join(run, 'conf', `${name}-${kind.conf}`);
  const tlsPort = port + TLS_PORTS;
  let text = readFileSync(join(here, 'conf', kind.conf), 'utf8') + (kind.conf === 'rauta.yaml' ? SECRET : '');
  // What only some can have stands behind marks of its own.
  const streams = existsSync(STREAM_MODULE);
  text = text.replaceAll('@STREAM@', streams ? '' : '#').replaceAll('@STREAM_MODULE@', STREAM_MODULE);
  for (const [mark, value] of [
    ['@PORT@', port],
    ['@TCPPORT@', port + TCP_PORTS],
    ['@TLSPORT@', tlsPort],
    ['@H2CPORT@', port + H2C_PORTS],
    ['@BACKEND@', backend],
    ['@GRPCBACKEND@', backend + GRPC_BACKEND],
    ['@RUN@', run],
  ] as const) {
    text = text.replaceAll(mark, String(value));
  }
  writeFileSync(conf, text);
  for (const [file, content] of Object.entries(PEMS)) writeFileSync(join(run, 'conf', file), content);
  const child = spawn('taskset', ['-c', String(core), ...kind.argv(conf, run)], {
    stdio: ['ignore', openSync(join(run, `${name}.out`), 'a'), openSync(join(run, `${name}.err`), 'a')],
    detached: true,
  });
  await answering(port, name, run);
  return {
    name,
    version,
    pid: child.pid as number,
    port,
    tlsPort,
    tcpPort: kind.conf === 'nginx.conf' && !streams ? 0 : port + TCP_PORTS,
    h2cPort: port + H2C_PORTS,
    emptyLog: () => {
      for (const log of [join(run, `${name}.log`), join(run, `${name}.out`)]) if (existsSync(log)) truncateSync(log);
    },
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
    },
  };
}

/** Waits for the first good answer through the proxy. */
async function answering(port: number, name: string, run: string): Promise<void> {
  for (let i = 0; i < 200; i++) {
    const done = spawnSync(
      'curl',
      [
        '-s',
        '-o',
        '/dev/null',
        '-w',
        '%{http_code}',
        '-H',
        'Host: app.example.com',
        `http://127.0.0.1:${port}/api/v1/items/1`,
      ],
      { encoding: 'utf8' },
    );
    if (done.stdout === '200') return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${name} does not answer on port ${port}; see ${join(run, `${name}.err`)}`);
}
