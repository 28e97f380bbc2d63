// One flow: a client's address and port at one listener, and the socket by which an endpoint is spoken to for it. The
// objects are used again, by their number in the table of flows.

import { type Handle, NO_HANDLE, type ReadySink } from '../../io/io.ts';
import type { SocketHost } from '../../ir/ir.ts';
import { type Fragment, NO_FRAGMENT } from '../../telemetry/fragment.ts';
import type { CompiledRelay } from '../relay/relay.ts';
import type { EndpointPool } from '../upstream/endpoint.ts';
import type { UdpSocket } from './socket.ts';

/** Who reads what came back for a flow. */
export interface AnswerReader {
  answers(flow: Flow): void;
}

export class Flow implements ReadySink {
  readonly number: number;
  readonly #reader: AnswerReader;
  /** NO_HANDLE: it is over. */
  handle: Handle = NO_HANDLE;
  socket: UdpSocket | null = null;
  host: SocketHost | null = null;
  endpoint: EndpointPool | null = null;
  relay: CompiledRelay | null = null;
  backendJson: Fragment = NO_FRAGMENT;
  startUs = 0;
  startWallMs = 0;
  /** When a datagram moved last, either way (monotonic ms). */
  usedMs = 0;
  /** Milliseconds after which it is idle; 0: never. */
  idleMs = 0;
  requestBytes = 0;
  responseBytes = 0;
  /** Datagrams. */
  requests = 0;
  answers = 0;
  /** Time to the first answer (microseconds); -1 while there is none. */
  answeredUs = -1;
  attempts = 0;
  /** Datagrams that are read at once: more only while more is found waiting, turn after turn. */
  burst = 1;
  turn = 0;
  /** A limit kept an answer from its client. */
  held = false;

  constructor(number: number, reader: AnswerReader) {
    this.number = number;
    this.#reader = reader;
  }

  onReady(): void {
    if (this.handle >= 0) this.#reader.answers(this);
  }

  clear(): void {
    this.handle = NO_HANDLE;
    this.socket = null;
    this.host = null;
    this.endpoint = null;
    this.relay = null;
    this.backendJson = NO_FRAGMENT;
    this.requestBytes = 0;
    this.responseBytes = 0;
    this.requests = 0;
    this.answers = 0;
    this.answeredUs = -1;
    this.attempts = 0;
    this.burst = 1;
    this.held = false;
  }
}
