// One request of the random workload, what its backend is to answer, and who breaks off where. Both scripts act on it;
// the proxy sees only the bytes.

import { Random } from '../../src/sim/random.ts';
import { BROKEN_RESPONSES } from './hostile.ts';

export interface PlanOptions {
  readonly maxBodyBytes: number;
  /** Nobody breaks anything off. */
  readonly calm: boolean;
  /** Some backends answer what is no HTTP. */
  readonly rulesBroken: boolean;
}

/** How the backend ends the response. */
export type Fate = 'complete' | 'fin' | 'reset';

export interface Plan {
  readonly token: string;
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE';
  readonly version: '1.0' | '1.1';
  readonly keepAlive: boolean;
  readonly requestBody: Uint8Array;
  readonly requestChunked: boolean;
  readonly expect: boolean;
  readonly interim: boolean;
  readonly status: number;
  readonly responseBody: Uint8Array;
  readonly responseFraming: 'length' | 'chunked' | 'close';
  readonly trailer: boolean;
  readonly backendCloses: boolean;
  /** The backend answers before it reads the request's content; then it leaves, or reads it and stays. */
  readonly early: 'no' | 'leaves' | 'stays';
  /** Sent instead of the response; '' for none. */
  readonly broken: string;
  readonly fate: Fate;
  /** Bytes of the whole response after which `fate` strikes. */
  readonly fateAt: number;
  /** Bytes of the request after which the client leaves, Infinity for never; or of the response. */
  readonly clientGoneAt: number;
  readonly clientLeavesReading: number;
  readonly clientLeavesHow: 'reset' | 'close' | 'end';
  readonly pauseMs: number;
  readonly pieceBytes: number;
}

const NOISE_BYTES = 4 * 1024 * 1024;
const NOISE = noise();
function noise(): Uint8Array {
  const bytes = new Uint32Array(NOISE_BYTES / 4);
  const random = new Random(20_260_101);
  for (let i = 0; i < bytes.length; i++) bytes[i] = random.u32();
  return new Uint8Array(bytes.buffer);
}

function bodyOf(random: Random, length: number): Uint8Array {
  const from = random.below(NOISE_BYTES - length);
  return NOISE.subarray(from, from + length);
}

/** Draws a request and its fate. */
export function drawPlan(random: Random, options: PlanOptions, token: string): Plan {
  const { calm } = options;
  const method = random.pick(['GET', 'GET', 'GET', 'HEAD', 'POST', 'POST', 'PUT', 'DELETE'] as const);
  const version = random.chance(0.1) ? '1.0' : '1.1';
  const hasBody = method === 'POST' || method === 'PUT' || random.chance(0.05);
  const requestBody = bodyOf(random, hasBody ? drawLength(random, options.maxBodyBytes) : 0);
  const requestChunked = hasBody && version === '1.1' && random.chance(0.4);
  const status = random.chance(0.85) ? 200 : random.pick([201, 204, 304, 404, 500]);
  const bodiless = status === 204 || status === 304;
  const responseBody = bodyOf(random, bodiless ? 0 : drawLength(random, options.maxBodyBytes));
  const responseFraming = random.pick(['length', 'length', 'chunked', 'chunked', 'close'] as const);
  const early = !calm && hasBody && random.chance(0.15) ? random.pick(['leaves', 'stays'] as const) : 'no';
  const broken = !calm && random.chance(early === 'no' ? 0.15 : 0.4);
  const fate = broken ? random.pick(['fin', 'reset'] as const) : 'complete';
  return {
    token,
    method,
    version,
    keepAlive: random.chance(0.9),
    requestBody,
    requestChunked,
    expect: version === '1.1' && requestBody.length > 0 && random.chance(0.1),
    interim: version === '1.1' && random.chance(0.05),
    status,
    responseBody,
    responseFraming,
    trailer: random.chance(0.3),
    backendCloses: random.chance(0.1),
    // To HEAD nothing that is wrong about content can be seen.
    broken: options.rulesBroken && method !== 'HEAD' && random.chance(0.05) ? random.pick(BROKEN_RESPONSES) : '',
    early,
    // FIN is the end of a body without a length: breaking that off takes a reset.
    fate: fate === 'fin' && responseFraming === 'close' ? 'reset' : fate,
    fateAt: random.chance(0.3) ? random.below(200) : random.below(responseBody.length + 300),
    clientGoneAt: !calm && random.chance(0.07) ? random.below(requestBody.length + 200) : Number.POSITIVE_INFINITY,
    clientLeavesReading:
      !calm && random.chance(0.07)
        ? random.below((method === 'HEAD' ? 0 : responseBody.length) + 40)
        : Number.POSITIVE_INFINITY,
    clientLeavesHow: random.pick(['reset', 'close', 'end'] as const),
    pauseMs: random.chance(0.2) ? random.below(30) : 0,
    pieceBytes: random.pick([7, 100, 4096, 65_536, 1 << 20]),
  };
}

function drawLength(random: Random, maxBodyBytes: number): number {
  const pick = random.below(10);
  if (pick < 2) return 0;
  if (pick < 6) return random.below(2_000);
  if (pick < 9) return random.below(Math.min(100_000, maxBodyBytes));
  return random.below(maxBodyBytes + 1);
}

/** With HTTP/1.0 the end of the response may be the end of the connection, whatever was asked for. */
export function endsPipeline(plan: Plan): boolean {
  return !plan.keepAlive || plan.version === '1.0';
}

export function described(plan: Plan): string {
  return JSON.stringify(plan, (_, value: unknown) =>
    value instanceof Uint8Array ? value.length : value === Number.POSITIVE_INFINITY ? 'never' : value,
  );
}

/** The backend ends the connection behind its answer, and says so. */
export function leaves(plan: Plan): boolean {
  return plan.backendCloses || plan.responseFraming === 'close' || plan.early === 'leaves';
}

export function hasBody(plan: Plan): boolean {
  return plan.method !== 'HEAD' && plan.status !== 204 && plan.status !== 304;
}

export function responseHead(plan: Plan): Buffer {
  const fields = [`X-Token: ${plan.token}`];
  if (plan.status !== 204 && plan.status !== 304) {
    if (plan.responseFraming === 'length') fields.push(`Content-Length: ${plan.responseBody.length}`);
    if (plan.responseFraming === 'chunked') fields.push('Transfer-Encoding: chunked');
  }
  if (leaves(plan)) fields.push('Connection: close');
  return Buffer.from(`HTTP/1.1 ${plan.status} As Planned\r\n${fields.join('\r\n')}\r\n\r\n`, 'latin1');
}

/** Bytes of the whole response as the backend sends it. */
export function sizeOnWire(plan: Plan): number {
  const head = responseHead(plan).length;
  if (!hasBody(plan)) return head;
  // Its end is the FIN behind its last byte.
  if (plan.responseFraming === 'close') return head + plan.responseBody.length + 1;
  if (plan.responseFraming === 'length') return head + plan.responseBody.length;
  return head + chunked(plan.responseBody, plan).reduce((sum, piece) => sum + piece.length, 0);
}

const CHUNK_BYTES = 10_000;

export function chunked(body: Uint8Array, plan: Plan): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < body.length; at += CHUNK_BYTES) {
    const chunk = body.subarray(at, at + CHUNK_BYTES);
    pieces.push(Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from('\r\n'));
  }
  pieces.push(Buffer.from(plan.trailer ? '0\r\nX-Sum: 1\r\n\r\n' : '0\r\n\r\n'));
  return pieces;
}
