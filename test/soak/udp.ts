// 10,000 flows through the whole program, ten minutes long, while endpoints come and go, workers die and programs take
// over: no datagram may come to a client that did not ask for it, or twice, and few may be lost. `bin/node
// test/soak/udp.ts [--seconds 600] [--flows 10000] [--seed 1] [--out soak-udp]`

import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { circumstances, writeResult } from '../../bench/macro/result.ts';
import { backendYaml, Rauta, udpFiles } from '../process/support.ts';
import { OWN_ADDRESS, ownPort } from '../support/keeper.ts';
import { mulberry32 } from '../support/mulberry32.ts';

const IDLE = 'rauta.io/idle-timeout: 30s';
/** Clients of one address: fewer than a worker lets one have. */
const PER_ADDRESS = 500;
const ENDPOINTS = 8;
/** Sent at once, so that no socket overflows; the next when nearly all are answered, or after so long. */
const WAVE = 500;
const WAVE_MS = 250;

export interface UdpSoak {
  readonly sent: number;
  readonly answered: number;
  /** Came to a client that had not sent it, or came again. */
  readonly wrong: readonly string[];
  readonly churns: number;
  readonly deaths: number;
  readonly takeovers: number;
}

export interface UdpSoakOptions {
  readonly flows: number;
  /** Each client sends once in each. */
  readonly rounds: number;
  /** Ends it before all rounds are done. */
  readonly over?: () => boolean;
  /** Rounds between two deaths of a worker, and between two programs. */
  readonly deathEvery: number;
  readonly takeoverEvery: number;
  readonly random: () => number;
}

class Client {
  readonly socket: Socket;
  readonly #name: string;
  readonly #due = new Set<string>();
  #sent = 0;
  answered = 0;

  private constructor(name: string, wrong: string[]) {
    this.#name = name;
    this.socket = createSocket('udp4');
    this.socket.unref();
    this.socket.on('error', () => {});
    this.socket.on('message', (bytes) => {
      const text = bytes.toString();
      if (this.#due.delete(text)) this.answered++;
      else wrong.push(`${name} got ${text}`);
    });
  }

  static async open(index: number, wrong: string[]): Promise<Client> {
    const client = new Client(`c${index}`, wrong);
    const host = Math.floor(index / PER_ADDRESS);
    client.socket.bind(0, `127.0.${10 + (host >> 7)}.${1 + (host & 127)}`);
    await once(client.socket, 'listening');
    return client;
  }

  get sent(): number {
    return this.#sent;
  }

  ask(port: number): void {
    const text = `${this.#name}/${this.#sent++}`;
    this.#due.add(text);
    this.socket.send(text, port, OWN_ADDRESS);
  }
}

async function endpoint(): Promise<Socket> {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 4 << 20 });
  socket.on('message', (bytes, { address, port }) => socket.send(bytes, port, address));
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  socket.unref();
  return socket;
}

/** Resolves at the next turn of the loop, or after `ms`. */
function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

export async function udpSoak(options: UdpSoakOptions): Promise<UdpSoak> {
  const { flows, rounds, random } = options;
  const wrong: string[] = [];
  const folder = mkdtempSync(join(tmpdir(), 'rauta-udp-soak-'));
  const port = ownPort();
  const endpoints = await Promise.all(Array.from({ length: ENDPOINTS }, endpoint));
  const ports = endpoints.map((socket) => socket.address().port);
  const flags = ['--workers', '2', '--takeover', join(folder, 'socket'), '--access-log', 'off'];
  let rauta = await Rauta.start(udpFiles(port, ports, IDLE), flags);
  const clients: Client[] = [];
  while (clients.length < flows) clients.push(await Client.open(clients.length, wrong));
  const total = (of: (client: Client) => number): number => clients.reduce((sum, client) => sum + of(client), 0);
  let [churns, deaths, takeovers] = [0, 0, 0];
  for (let round = 1; round <= rounds && options.over?.() !== true; round++) {
    if (round % options.deathEvery === 0) {
      const [worker] = await rauta.workers();
      if (worker !== undefined && worker.pid > 0) process.kill(worker.pid, 'SIGKILL');
      deaths++;
    }
    if (round % options.takeoverEvery === 0) {
      const next = Rauta.spawn(udpFiles(port, ports, IDLE), flags);
      const said = await next.said('admin server');
      next.admin = said['port'] as number;
      await next.said('serving');
      await rauta.exited;
      await rauta.stop();
      rauta = next;
      takeovers++;
    }
    for (let at = 0; at < clients.length; at += WAVE) {
      const wave = clients.slice(at, at + WAVE);
      const before = wave.reduce((sum, client) => sum + client.answered, 0);
      for (const client of wave) client.ask(port);
      // Endpoints go and come within a wave, while answers are under way.
      if (random() < 0.3) {
        const kept = ports.filter(() => random() < 0.6);
        rauta.write('b.yaml', backendYaml('app', ...(kept.length > 0 ? kept : ports)));
        churns++;
      }
      const end = performance.now() + WAVE_MS;
      const answered = (): number => wave.reduce((sum, client) => sum + client.answered, 0) - before;
      while (answered() < wave.length && performance.now() < end) await pause(1);
    }
  }
  await pause(WAVE_MS);
  const result = {
    sent: total((client) => client.sent),
    answered: total((client) => client.answered),
    wrong,
    churns,
    deaths,
    takeovers,
  };
  for (const client of clients) client.socket.close();
  for (const socket of endpoints) socket.close();
  await rauta.stop();
  rmSync(folder, { recursive: true });
  return result;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '600' },
      flows: { type: 'string', default: '10000' },
      seed: { type: 'string', default: '1' },
      out: { type: 'string', default: '' },
    },
  });
  const end = performance.now() + Number(values.seconds) * 1000;
  const result = await udpSoak({
    flows: Number(values.flows),
    rounds: Number.MAX_SAFE_INTEGER,
    over: () => performance.now() > end,
    deathEvery: 17,
    takeoverEvery: 41,
    random: mulberry32(Number(values.seed)),
  });
  const { wrong, ...counts } = result;
  const lost = 1 - counts.answered / counts.sent;
  process.stdout.write(`${JSON.stringify({ ...counts, lost, wrong: wrong.length })}\n`);
  if (values.out !== '') writeResult(values.out, { ...circumstances(), flows: Number(values.flows), ...counts, lost });
  assert.deepEqual(wrong.slice(0, 10), []);
  assert.ok(lost < 0.05, `${lost} lost`);
}

if (import.meta.main) await main();
