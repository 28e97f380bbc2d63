// What gRPC asks of a proxy (PROTOCOL-HTTP2 of gRPC): answers as a status in the head, deadlines that the client says,
// and how a call ended for the log.

import { bytesOf, equalLowerAt } from '../../base/bytes.ts';
import { FAULTS, type Fault } from '../../base/errors.ts';
import { FieldName } from '../field-name.ts';
import { FieldLines } from '../filter/field-lines.ts';
import { type Head, NAME } from '../head.ts';
import { PHRASES } from '../phrases.ts';
import { Answer, FaultAnswers, NO_BODY } from './answer.ts';

const CONTENT_TYPE = bytesOf('application/grpc');
const TIMEOUT = new FieldName('grpc-timeout');
const STATUS = bytesOf('grpc-status:');
const SEMICOLON = 0x3b;
const PLUS = 0x2b;
const SPACE = 0x20;

/** Codes of gRPC that are told here. */
const CODE = { UNKNOWN: 2, DEADLINE_EXCEEDED: 4, PERMISSION_DENIED: 7, UNIMPLEMENTED: 12, INTERNAL: 13 } as const;
const UNAVAILABLE = 14;
const UNAUTHENTICATED = 16;
const LAST_CODE = 16;
const CANCELLED = 1;
const RESOURCE_EXHAUSTED = 8;

/** What says more than its status does; of resets as PROTOCOL-HTTP2 of gRPC maps them. */
const BY_FAULT: ReadonlyMap<Fault, number> = new Map<Fault, number>([
  [FAULTS.grpcDeadline, CODE.DEADLINE_EXCEEDED],
  [FAULTS.upstreamCancelled, CANCELLED],
  [FAULTS.upstreamCalm, RESOURCE_EXHAUSTED],
]);

/** The code that stands for a status of HTTP (statuscodes and http-grpc-status-mapping of gRPC). */
const BY_STATUS: Readonly<Record<number, number>> = {
  400: CODE.INTERNAL,
  401: UNAUTHENTICATED,
  403: CODE.PERMISSION_DENIED,
  404: CODE.UNIMPLEMENTED,
  429: UNAVAILABLE,
  502: UNAVAILABLE,
  503: UNAVAILABLE,
  504: UNAVAILABLE,
};

/** Whether the request is a call: HTTP/2, and application/grpc, maybe with a `+format` or parameters. */
export function isGrpc(mem: Uint8Array, head: Head): boolean {
  if (head.version !== 20) return false;
  const k = head.find(NAME.CONTENT_TYPE);
  if (k < 0) return false;
  return isGrpcType(mem, head.valueStart(k), head.valueEnd(k));
}

/** Whether mem[start..stop) is that content type. */
export function isGrpcType(mem: Uint8Array, start: number, stop: number): boolean {
  const end = start + CONTENT_TYPE.length;
  if (end > stop || !equalLowerAt(mem, start, CONTENT_TYPE)) return false;
  return end === stop || mem[end] === PLUS || mem[end] === SEMICOLON || mem[end] === SPACE;
}

/** Milliseconds of each unit of grpc-timeout: hours, minutes, seconds, milli-, micro- and nanoseconds. */
const UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 };
const LONGEST_MS = 2 ** 31 - 1;

/** What is left of the call's time by its `grpc-timeout`, in ms, at least 1; 0 when it says none. */
export function grpcTimeoutMs(mem: Uint8Array, head: Head): number {
  for (let k = 0; k < head.count; k++) {
    if (!TIMEOUT.is(mem, head, k)) continue;
    const last = head.valueEnd(k) - 1;
    const start = head.valueStart(k);
    const unit = last > start ? UNIT_MS[String.fromCharCode(mem[last] as number)] : undefined;
    // TimeoutValue: a positive integer of at most eight digits.
    if (unit === undefined || last - start > 8) return 0;
    let value = 0;
    for (let i = start; i < last; i++) {
      const digit = (mem[i] as number) - 0x30;
      if (digit < 0 || digit > 9) return 0;
      value = value * 10 + digit;
    }
    return Math.min(LONGEST_MS, Math.max(1, Math.ceil(value * unit)));
  }
  return 0;
}

/** The grpc-status among the lines mem[start..end); -1 when there is none, 2 (UNKNOWN) for one that is no code. */
export function grpcStatusIn(mem: Uint8Array, start: number, end: number): number {
  for (let line = start; line + STATUS.length < end; ) {
    if (equalLowerAt(mem, line, STATUS)) {
      let at = line + STATUS.length;
      while (mem[at] === SPACE) at++;
      let code = 0;
      let digits = 0;
      for (; at < end && digits < 3; at++, digits++) {
        const digit = (mem[at] as number) - 0x30;
        if (digit < 0 || digit > 9) break;
        code = code * 10 + digit;
      }
      return digits > 0 && code <= LAST_CODE ? code : CODE.UNKNOWN;
    }
    while (line < end && mem[line] !== 0x0a) line++;
    line++;
  }
  return -1;
}

/** Trailers only: an answer whose head says how the call ended. */
function answer(code: number, message: string, closes: boolean): Answer {
  const fields = new FieldLines([
    { name: 'Content-Type', value: 'application/grpc' },
    { name: 'grpc-status', value: String(code) },
    { name: 'grpc-message', value: message },
  ]);
  return new Answer(200, fields, NO_BODY, closes);
}

/** The code that a fault is told as. */
export function grpcCodeOf(fault: Fault): number {
  return BY_FAULT.get(fault) ?? BY_STATUS[fault.status] ?? CODE.UNKNOWN;
}

/** What the faults look like to a client of gRPC (docs/reference/answers.md). */
export const GRPC_ANSWERS = new FaultAnswers((fault) =>
  answer(grpcCodeOf(fault), fault.text, fault.source === 'downstream'),
);

const BY_STATUS_ANSWERS: (Answer | undefined)[] = [];

/** The same for an answer that is no fault's: a rule's own status, a redirect, a verdict. */
export function grpcAnswerOf(status: number): Answer {
  let made = BY_STATUS_ANSWERS[status];
  if (made === undefined) {
    made = answer(BY_STATUS[status] ?? CODE.UNKNOWN, (PHRASES[status] ?? `status ${status}`).toLowerCase(), false);
    BY_STATUS_ANSWERS[status] = made;
  }
  return made;
}

/** The code that such an answer says. */
export function grpcStatusOf({ fields }: Answer): number {
  return Number(fields?.lines.find(({ name }) => name === 'grpc-status')?.value ?? CODE.UNKNOWN);
}
