// HTTP/1.1, HTTP/2, calls of gRPC and tunnels (WebSocket) beside each other over TLS, while certificates are replaced
// all the time, clients come and go, some reset what they asked for and some leave in the middle of a handshake. Every
// body, message and byte of a tunnel is compared at both ends; at the end counters add up, nothing is left, and memory
// stayed flat. `bin/node test/soak/mixed.ts [--seconds 1200] [--clients 24] [--seed 1] [--out soak-mixed]`

import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect as connectHttp2,
  createServer as createHttp2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import { Agent, request } from 'node:https';
import { type AddressInfo, connect, type Server, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { parseArgs } from 'node:util';
import { circumstances, writeResult } from '../../bench/macro/result.ts';
import { authority, leaf, pem } from '../../tools/certificates.ts';
import { backendYaml, freePort, gateway, Rauta, routeYaml } from '../process/support.ts';
import { mulberry32 } from '../support/mulberry32.ts';
import { switched } from '../support/websocket.ts';
import { bodyOf, Check, send } from './bytes.ts';

const HOST = 'soak.example';
const LARGEST = 2 * 1024 * 1024;
const RESET_SHARE = 0.05;
const ROTATE_MS = 100;
const SCARE_MS = 50;
const SAMPLE_MS = 5_000;
/** Of the run, before memory is looked at; how much larger it may be in the last third than in the one before. */
const WARM_UP = 0.3;
const GROWTH = 1.1;
/** Of one connection: exchanges of HTTP/1.1, rounds of streams of HTTP/2 with so many at once. */
const EXCHANGES = 20;
const ROUNDS = 10;
const STREAMS = 8;
const MESSAGES = 30;
const MESSAGE_BYTES = 3_000;

const { values: args } = parseArgs({
  options: {
    seconds: { type: 'string', default: '1200' },
    clients: { type: 'string', default: '24' },
    seed: { type: 'string', default: '1' },
    out: { type: 'string', default: 'soak-mixed' },
  },
});
const seconds = Number(args.seconds);

const KINDS = ['http1', 'http2', 'grpc', 'tunnel1', 'tunnel2'] as const;
type Kind = (typeof KINDS)[number];
const done: Record<Kind, number> = { http1: 0, http2: 0, grpc: 0, tunnel1: 0, tunnel2: 0 };
const tally = { begun: 0, reset: 0, wrong: 0, failed: 0, bytes: 0, rotations: 0, scares: 0 };
const complaints: string[] = [];

function complain(what: 'wrong' | 'failed', text: string): void {
  tally[what]++;
  if (complaints.length < 20) complaints.push(text);
}

function count(check: Check, part: Uint8Array): void {
  check.take(part);
  tally.bytes += part.length;
}

// ---- backends: the path tells everything, /seed/request size/response size

const numbers = (path: string): number[] => path.split('/').slice(2).map(Number);

async function listening(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

const tunnels = new Set<Socket>();
const plain = createServer((incoming, response) => {
  const [seed = 0, requestSize = 0, responseSize = 0] = numbers(incoming.url ?? '');
  const check = new Check(seed, requestSize);
  incoming.on('data', (part: Buffer) => count(check, part));
  incoming.on('end', () => {
    if (check.verdict() !== '') complain('wrong', `request body ${incoming.url}: ${check.verdict()}`);
    response.writeHead(200, { 'x-seed': seed });
    void send(response, seed + 1, responseSize);
  });
  incoming.on('error', () => response.destroy());
});
plain.on('upgrade', ({ headers }: IncomingMessage, socket: Socket, head: Buffer) => {
  tunnels.add(socket);
  socket.on('close', () => tunnels.delete(socket));
  socket.on('error', () => {});
  socket.write(switched(`\r\nsec-websocket-key: ${headers['sec-websocket-key']}\r\n`));
  socket.write(head);
  socket.pipe(socket);
});
plain.keepAliveTimeout = 70_000;

/** A bidirectional stream: each message is returned as it comes, then the status. */
const calls = createHttp2Server();
calls.on('stream', (stream: ServerHttp2Stream) => {
  stream.on('error', () => {});
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  stream.pipe(stream);
});

const authorityOfAll = authority('Soak');
function secret(): string {
  const { der, keyDer } = leaf(authorityOfAll, [HOST]);
  const [crt, key] = [pem('CERTIFICATE', der), pem('PRIVATE KEY', keyDer)].map((text) =>
    Buffer.from(text).toString('base64'),
  );
  return `apiVersion: v1
kind: Secret
metadata: { name: soak }
data: { tls.crt: ${crt}, tls.key: ${key} }
`;
}
const port = await freePort();
const site = [
  gateway(port).replace('protocol: HTTP }', 'protocol: HTTPS, tls: { certificateRefs: [{ name: soak }] } }'),
  routeYaml('app', '/', 'app'),
  backendYaml('app', await listening(plain)),
  routeYaml('calls', '/calls', 'calls'),
  backendYaml('calls', await listening(calls)).replace('spec:\n', 'spec:\n  appProtocol: kubernetes.io/h2c\n'),
].join('');
const rauta = await Rauta.start({ 'a.yaml': site, 'secret.yaml': secret() }, ['--access-log', 'off', '--workers', '2']);
const until = performance.now() + seconds * 1000;
const over = (): boolean => performance.now() >= until;

// ---- clients

const TLS = { host: '127.0.0.1', port, servername: HOST, rejectUnauthorized: false };
const size = (next: () => number): number => (next() < 0.1 ? 0 : Math.floor(2 ** (next() * Math.log2(LARGEST))));
const seedOf = (next: () => number): number => Math.floor(next() * 2 ** 31);

/** One thing is over, in order or not; `reset`: the client had meant to break it off. */
function settle(kind: Kind, reset: boolean, fault: string): void {
  if (fault === '') done[kind]++;
  else if (reset) tally.reset++;
  else complain('failed', `${kind}: ${fault}`);
}

function asksHttp1(agent: Agent, next: () => number): Promise<void> {
  const [seed, requestSize, responseSize] = [seedOf(next), next() < 0.5 ? 0 : size(next), size(next)];
  const path = `/h1/${seed}/${requestSize}/${responseSize}`;
  const reset = next() < RESET_SHARE;
  tally.begun++;
  return new Promise((resolve) => {
    const end = (fault: string): void => {
      if (settled) return;
      settled = true;
      settle('http1', reset, fault);
      resolve();
    };
    let settled = false;
    const headers = { host: HOST, ...(requestSize > 0 ? { 'content-length': requestSize } : {}) };
    const options = { ...TLS, path, agent, headers, method: requestSize > 0 ? 'POST' : 'GET' };
    const outgoing = request(options, (response) => {
      const check = new Check(seed + 1, responseSize);
      if (response.statusCode !== 200) complain('wrong', `${path}: ${response.statusCode}`);
      response.on('data', (part: Buffer) => count(check, part));
      response.on('error', (error) => end(error.message));
      response.on('end', () => {
        if (check.verdict() !== '') complain('wrong', `response body ${path}: ${check.verdict()}`);
        end('');
      });
    });
    outgoing.on('error', (error) => end(error.message));
    if (reset) setTimeout(() => outgoing.destroy(new Error('reset')), next() * 50);
    void send(outgoing, seed, requestSize);
  });
}

/** A stream to its end: what `onEnd` finds wrong, or how else it ended. */
function streamed(kind: Kind, stream: ClientHttp2Stream, reset: boolean, onEnd: () => string): Promise<void> {
  return new Promise((resolve) => {
    let whole = false;
    stream.on('error', () => {});
    stream.on('end', () => {
      whole = stream.rstCode === 0 && !stream.aborted;
    });
    stream.on('close', () => {
      const verdict = whole ? onEnd() : `code ${stream.rstCode}`;
      if (whole && verdict !== '') complain('wrong', `${kind}: ${verdict}`);
      settle(kind, reset, whole ? '' : verdict);
      resolve();
    });
  });
}

function asksHttp2(session: ClientHttp2Session, next: () => number): Promise<void> {
  const [seed, requestSize, responseSize] = [seedOf(next), next() < 0.5 ? 0 : size(next), size(next)];
  const reset = next() < RESET_SHARE;
  tally.begun++;
  const head = { ':path': `/h2/${seed}/${requestSize}/${responseSize}`, ':authority': HOST };
  // Node's `close` says END_STREAM in front of its RST_STREAM: without a length that is a request like any other.
  const length = reset && requestSize > 0 ? { 'content-length': requestSize } : {};
  const method = { ':method': requestSize > 0 ? 'POST' : 'GET' };
  const stream = session.request({ ...head, ...method, ...length }, { endStream: false });
  const check = new Check(seed + 1, responseSize);
  let status: unknown = 0;
  stream.on('response', (answer: IncomingHttpHeaders) => {
    status = (answer as Record<string, unknown>)[':status'];
  });
  stream.on('data', (part: Buffer) => count(check, part));
  if (reset) setTimeout(() => stream.close(8), next() * 50);
  void send(stream, seed, requestSize);
  return streamed('http2', stream, reset, () => (status === 200 ? check.verdict() : `status ${status}`));
}

/** Messages that go and come back one by one, as a call of gRPC does. */
function calling(session: ClientHttp2Session, next: () => number): Promise<void> {
  const seed = seedOf(next);
  const reset = next() < RESET_SHARE;
  tally.begun++;
  const fields = { 'content-type': 'application/grpc', te: 'trailers' };
  const path = { ':path': '/calls/Echo', ':method': 'POST', ':authority': HOST };
  const stream = session.request({ ...path, ...fields }, { endStream: false });
  const message = Buffer.alloc(5 + MESSAGE_BYTES);
  message.writeUInt32BE(MESSAGE_BYTES, 1);
  bodyOf(seed, MESSAGE_BYTES).copy(message, 5);
  let [sent, got, status] = [0, 0, ''];
  let same = true;
  const say = (): void => {
    sent++;
    if (sent <= MESSAGES) stream.write(message);
    else stream.end();
  };
  stream.on('trailers', (trailers: IncomingHttpHeaders) => {
    status = String(trailers['grpc-status']);
  });
  stream.on('data', (part: Buffer) => {
    for (let at = 0; at < part.length; ) {
      const from = got % message.length;
      const n = Math.min(message.length - from, part.length - at);
      if (message.compare(part, at, at + n, from, from + n) !== 0) same = false;
      got += n;
      at += n;
      if (got % message.length === 0) say();
    }
    tally.bytes += part.length;
  });
  if (reset) setTimeout(() => stream.close(8), next() * 50);
  say();
  return streamed('grpc', stream, reset, () => {
    if (!same || got !== MESSAGES * message.length) return `messages: ${got} bytes, ${same ? 'as sent' : 'others'}`;
    return status === '0' ? '' : `grpc-status ${status}`;
  });
}

function tunnelHttp2(session: ClientHttp2Session, next: () => number): Promise<void> {
  const [seed, bytes] = [seedOf(next), size(next)];
  const reset = next() < RESET_SHARE;
  tally.begun++;
  const head = {
    ':method': 'CONNECT',
    ':protocol': 'websocket',
    ':scheme': 'https',
    ':path': '/ws',
    ':authority': HOST,
  };
  const stream = session.request({ ...head, 'sec-websocket-version': '13' }, { endStream: false });
  const check = new Check(seed, bytes);
  stream.on('data', (part: Buffer) => count(check, part));
  stream.once('response', () => void send(stream, seed, bytes));
  if (reset) setTimeout(() => stream.close(8), next() * 50);
  return streamed('tunnel2', stream, reset, () => check.verdict());
}

async function tunnelHttp1(next: () => number): Promise<void> {
  const [seed, bytes] = [seedOf(next), size(next)];
  const reset = next() < RESET_SHARE;
  tally.begun++;
  const socket = connectTls({ ...TLS, ALPNProtocols: ['http/1.1'] });
  const check = new Check(seed, bytes);
  let head = '';
  let fault = '';
  socket.on('error', (error) => {
    fault = error.message;
  });
  socket.write(`GET /ws HTTP/1.1\r\nHost: ${HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`);
  socket.on('data', (part: Buffer) => {
    if (head.endsWith('\r\n\r\n')) return count(check, part);
    head += part.toString('latin1');
    const end = head.indexOf('\r\n\r\n');
    if (end < 0) return;
    const rest = Buffer.from(head.slice(end + 4), 'latin1');
    head = head.slice(0, end + 4);
    count(check, rest);
    void send(socket, seed, bytes);
  });
  let whole = false;
  socket.on('end', () => {
    whole = true;
  });
  if (reset) setTimeout(() => socket.destroy(new Error('reset')), next() * 50);
  await once(socket, 'close').catch(() => {});
  const verdict = whole && fault === '' ? check.verdict() : '';
  if (verdict !== '') complain('wrong', `tunnel1: ${verdict}`);
  settle('tunnel1', reset, whole ? fault : fault || 'no end');
}

async function clientHttp1(next: () => number): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  for (let n = 0; n < EXCHANGES && !over(); n++) await asksHttp1(agent, next);
  agent.destroy();
}

async function clientHttp2(next: () => number): Promise<void> {
  const session = connectHttp2(`https://127.0.0.1:${port}`, { servername: HOST, rejectUnauthorized: false });
  session.on('error', (error) => complain('failed', `a connection of HTTP/2: ${error.message}`));
  await once(session, 'remoteSettings');
  for (let n = 0; n < ROUNDS && !over(); n++) {
    const one = (): Promise<void> => {
      const kind = next();
      if (kind < 0.6) return asksHttp2(session, next);
      return kind < 0.8 ? calling(session, next) : tunnelHttp2(session, next);
    };
    await Promise.all(Array.from({ length: STREAMS }, one));
  }
  session.close();
  if (!session.destroyed) await once(session, 'close');
}

async function client(index: number): Promise<void> {
  const next = mulberry32(Number(args.seed) * 1000 + index);
  while (!over()) {
    if (index % 3 === 0) await clientHttp1(next);
    else if (index % 3 === 1) await clientHttp2(next);
    else await tunnelHttp1(next);
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function rotate(): Promise<void> {
  while (!over()) {
    writeFileSync(`${rauta.folder}/secret.yaml`, secret());
    tally.rotations++;
    await pause(ROTATE_MS);
  }
}

/** Clients that leave before the ClientHello, within the handshake, and right behind it. */
async function scare(): Promise<void> {
  while (!over()) {
    const socket = connect(port, '127.0.0.1').on('error', () => {});
    const half = connectTls({ socket, servername: HOST, rejectUnauthorized: false }).on('error', () => {});
    const leave = (): void => void socket.resetAndDestroy();
    if (tally.scares % 3 === 0) socket.once('connect', leave);
    else if (tally.scares % 3 === 1) setTimeout(leave, tally.scares % 8);
    else half.once('secureConnect', leave);
    tally.scares++;
    await pause(SCARE_MS);
  }
}

// ---- the run

/** A metric, summed over its labels. */
async function metric(name: string): Promise<number> {
  const text = (await rauta.ask('/metrics')).body;
  return [...text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (.*)$`, 'gm'))].reduce((n, m) => n + Number(m[1]), 0);
}

const memory: { readonly second: number; readonly rssMb: number }[] = [];
const sampler = setInterval(async () => {
  const second = Math.round(seconds - (until - performance.now()) / 1000);
  const rssMb = (await metric('rauta_worker_resident_memory_bytes')) / 1e6;
  memory.push({ second, rssMb });
  process.stdout.write(`${second} s: ${JSON.stringify({ ...done, ...tally, rssMb: Math.round(rssMb) })}\n`);
}, SAMPLE_MS);
const clients = Array.from({ length: Number(args.clients) }, (_, index) => client(index));
await Promise.all([...clients, rotate(), scare()]);
clearInterval(sampler);

/** What is to be nothing once all clients are gone. */
const GAUGES = ['rauta_requests_active', 'rauta_connections', 'rauta_tunnels', 'rauta_http2_streams'];
async function leftOver(): Promise<Record<string, number>> {
  for (let tries = 0; ; tries++) {
    const left = await Promise.all(GAUGES.map(async (name) => [name, await metric(name)] as const));
    if (left.every(([, n]) => n === 0) || tries === 100) return Object.fromEntries(left);
    await pause(200);
  }
}

const left = await leftOver();
const counted = await metric('rauta_requests_total');
const whole = Object.values(done).reduce((sum, n) => sum + n, 0);
// What a client broke off may not have come so far; all else is counted, once.
const adds = counted >= whole && counted <= tally.begun;
const warm = memory.filter(({ second }) => second >= seconds * WARM_UP);
const middle = Math.floor(warm.length / 2);
const most = (part: typeof memory): number => Math.max(...part.map(({ rssMb }) => rssMb), 0);
const flat = warm.length < 4 || most(warm.slice(middle)) <= most(warm.slice(0, middle)) * GROWTH;
const deaths = rauta.log.filter((line) => line.message === 'worker died').length;
const code = await rauta.stop();
for (const socket of tunnels) socket.destroy();
plain.close();
plain.closeAllConnections();
calls.close();
const empty = Object.values(left).every((n) => n === 0);
const good =
  tally.wrong + tally.failed + deaths + (code ?? 1) === 0 && flat && adds && empty && KINDS.every((k) => done[k] > 0);
const command = `bin/node test/soak/mixed.ts --seconds ${seconds} --clients ${args.clients} --seed ${args.seed}`;
const result = { ...circumstances(), command, good, done, ...tally, counted, complaints, deaths, exitCode: code };
writeResult(args.out, { ...result, memoryFlatAfterWarmUp: flat, countersAddUp: adds, left, memory });
process.stdout.write(
  `${good ? 'good' : `BAD: ${complaints.join('; ')}`}: ${JSON.stringify({ ...result, flat, left })}\n`,
);
process.exitCode = good ? 0 : 1;
