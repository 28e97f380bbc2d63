// What every exchange of a worker shares. One per worker, passed down instead of globals.

import { LIMITS } from '../base/limits.ts';
import type { Io, SocketAddress } from '../io/io.ts';
import type { Cells } from '../telemetry/cells.ts';
import type { RecordSink } from '../telemetry/record.ts';
import { Head } from './head.ts';
import { KeptHeads } from './kept-heads.ts';
import { type LeadsTo, Loops } from './relay/loops.ts';
import { Sessions } from './relay/sessions.ts';
import { RequestIds } from './request-id.ts';
import { Shared } from './transport/shared.ts';
import type { TrustedProxies } from './trusted.ts';

export interface CoreOptions {
  readonly io: Io;
  readonly cells: Cells;
  readonly records: RecordSink;
  readonly trusted: TrustedProxies;
  /** How long a client's connection may stay between two requests; LIMITS.IDLE_MS if not given. */
  readonly clientIdleMs?: number | undefined;
  /** A client that has sent FIN still gets its answers (docs/adr/0011-half-close.md); it does not if not given. */
  readonly halfClose?: boolean | undefined;
  /** A request in which no byte moves for so long is ended; LIMITS.STREAM_IDLE_MS if not given. */
  readonly streamIdleMs?: number | undefined;
  /** Content of a request comes at least so often; LIMITS.BODY_PROGRESS_MS if not given. */
  readonly bodyProgressMs?: number | undefined;
  /** The log has a place for the Referer of requests; it has none if not given. */
  readonly notesReferer?: boolean | undefined;
  /** Where no connection may go: the program's own admin server. Anywhere may if not given. */
  readonly refuses?: ((address: SocketAddress) => boolean) | undefined;
  /** Which addresses lead to a socket of ours; those that are written alike if not given. */
  readonly leadsTo?: LeadsTo | undefined;
}

export class Core {
  readonly io: Io;
  readonly mem: Uint8Array;
  /** The same memory, for words of four bytes. */
  readonly view: DataView;
  readonly cells: Cells;
  readonly records: RecordSink;
  readonly trusted: TrustedProxies;
  readonly clientIdleMs: number;
  readonly halfClose: boolean;
  readonly streamIdleMs: number;
  readonly bodyProgressMs: number;
  readonly notesReferer: boolean;
  readonly refuses: (address: SocketAddress) => boolean;
  readonly heads = new KeptHeads();
  readonly shared: Shared;
  readonly ids: RequestIds;
  readonly sessions: Sessions;
  readonly loops: Loops;
  /** The head of the request, and of the response, being handled right now. */
  readonly request = new Head();
  readonly response = new Head();
  /** The worker is about to leave: answers say `Connection: close`. */
  leaving = false;
  /** It leaves: idle connections end soon. */
  draining = false;
  /** It waits for tunnels no longer: none is opened. */
  tunnelsOver = false;
  /** The worker has left: nothing is kept for later. */
  stopping = false;

  constructor(options: CoreOptions) {
    this.io = options.io;
    this.mem = options.io.mem;
    this.view = new DataView(this.mem.buffer, this.mem.byteOffset, this.mem.length);
    this.cells = options.cells;
    this.records = options.records;
    this.trusted = options.trusted;
    this.clientIdleMs = options.clientIdleMs ?? LIMITS.IDLE_MS;
    this.halfClose = options.halfClose ?? false;
    this.streamIdleMs = options.streamIdleMs ?? LIMITS.STREAM_IDLE_MS;
    this.bodyProgressMs = options.bodyProgressMs ?? LIMITS.BODY_PROGRESS_MS;
    this.notesReferer = options.notesReferer ?? false;
    this.refuses = options.refuses ?? (() => false);
    this.shared = new Shared(options.io, options.cells);
    this.ids = new RequestIds(options.io);
    this.sessions = new Sessions(options.cells, options.records);
    this.loops = new Loops(options.leadsTo ?? ((bound, address) => bound === address));
  }

  /** Frees what is kept for later; nothing may be under way. */
  dispose(): void {
    this.shared.dispose();
  }
}
