// What RFC 9113 says of a connection, as small as it can be said: the states of its streams (section 5.1), what is a
// fault of the connection and what of a stream (5.4), the windows (6.9). It judges each frame of the peer's before the
// proxy sees it, and watches each that the proxy sends. It shares numbers with the codec, and no code.

import { CODE, FIRST_WINDOW, FLAG, FRAME_PAYLOAD, MOST, TYPE } from '../../src/proxy/http2/frames.ts';
import type { Frame } from '../support/http2.ts';

/** What stands in a field section. */
export type Section = 'request' | 'response' | 'interim' | 'trailers' | 'malformed' | 'garbage';

export interface Sent extends Frame {
  /** Of HEADERS: what its section says once it is whole, its Content-Length, and who asks. */
  readonly section?: Section;
  readonly announced?: number;
  readonly tag?: string;
}

/** What may answer a frame. Both empty: nothing. */
export interface Verdict {
  /** GOAWAY with one of these, and the end of the connection. */
  readonly connection: ReadonlySet<number>;
  /** RST_STREAM of `stream` with one of these; an endpoint may also take it for a fault of the connection. */
  readonly stream: ReadonlySet<number>;
  readonly id: number;
  /** Nothing may answer it as well. */
  readonly lax: boolean;
}

export interface State {
  /** Of the two: the peer that the frames are generated for, and the proxy. */
  theirEnd: boolean;
  ourEnd: boolean;
  closed: 'no' | 'end' | 'their reset' | 'our reset';
  /** Bytes of content that may still go, by direction. */
  theirWindow: number;
  ourWindow: number;
  announced: number;
  got: number;
  tag: string;
  /** A final head of the peer's came (its request, or its final response). */
  headed: boolean;
  ourHead: boolean;
  /** The peer's message was read to its end and was well-formed. */
  whole: boolean;
  /** All the content came that was announced. */
  reached: boolean;
}

function verdict(id: number, connection: readonly number[], stream: readonly number[] = [], lax = false): Verdict {
  return { id, connection: new Set(connection), stream: new Set(stream), lax };
}

export class Model {
  /** The proxy is the client of this connection, the peer a server. */
  readonly fromServer: boolean;
  readonly streams = new Map<number, State>();
  #settled = false;
  #block: { frame: Sent; flags: number } | null = null;
  #last = 0;
  /** Connection's windows, and what streams begin with. */
  theirWindow = FIRST_WINDOW;
  ourWindow = FIRST_WINDOW;
  theirFirst = FIRST_WINDOW;
  ourFirst = FIRST_WINDOW;
  /** Most streams that the peer may have open. */
  most = MOST;
  goaway: number | null = null;
  /** Tags of requests that are good, as far as the head says. */
  readonly good = new Set<string>();
  /** What the proxy did against the RFC. */
  readonly wrong: string[] = [];

  constructor(fromServer: boolean) {
    this.fromServer = fromServer;
  }

  get open(): number {
    let n = 0;
    for (const state of this.streams.values()) if (state.closed === 'no') n++;
    return n;
  }

  #new(tag: string): State {
    return {
      ...{ theirEnd: false, ourEnd: false, closed: 'no', theirWindow: this.theirFirst, ourWindow: this.ourFirst },
      ...{ announced: -1, got: 0, tag, headed: false, ourHead: false, whole: false, reached: false },
    };
  }

  #idle(id: number): boolean {
    if (this.streams.has(id)) return false;
    return this.fromServer || (id & 1) === 0 || id > this.#last;
  }

  // ---- the peer's frames

  judge(frame: Sent): Verdict {
    const { type, flags, stream: id, payload } = frame;
    const size = payload.length;
    const faults: number[] = [];
    if (size > FRAME_PAYLOAD) faults.push(CODE.FRAME_SIZE_ERROR);
    if (!this.#settled && (type !== TYPE.SETTINGS || (flags & FLAG.ACK) !== 0)) faults.push(CODE.PROTOCOL_ERROR);
    if (this.#block !== null && (type !== TYPE.CONTINUATION || id !== this.#block.frame.stream))
      faults.push(CODE.PROTOCOL_ERROR);
    if (faults.length > 0) return verdict(id, [...faults, CODE.FRAME_SIZE_ERROR]);
    switch (type) {
      case TYPE.DATA:
        return this.#data(frame);
      case TYPE.HEADERS:
        return this.#headers(frame);
      case TYPE.CONTINUATION:
        return this.#continuation(frame);
      case TYPE.PRIORITY:
        return this.#priority(frame);
      case TYPE.RST_STREAM:
        return this.#reset(frame);
      case TYPE.SETTINGS:
        return this.#settings(frame);
      case TYPE.PUSH_PROMISE:
        return verdict(id, [CODE.PROTOCOL_ERROR]);
      case TYPE.PING:
        if (id !== 0 || size !== 8) return verdict(id, [CODE.PROTOCOL_ERROR, CODE.FRAME_SIZE_ERROR]);
        return verdict(id, []);
      case TYPE.GOAWAY:
        return id !== 0 || size < 8 ? verdict(id, [CODE.PROTOCOL_ERROR, CODE.FRAME_SIZE_ERROR]) : verdict(id, []);
      case TYPE.WINDOW_UPDATE:
        return this.#windowUpdate(frame);
      case TYPE.PRIORITY_UPDATE:
        return this.#priorityUpdate(frame);
      default:
        return verdict(id, []);
    }
  }

  /** RFC 9218 section 7.1: of clients, about streams that clients open. */
  #priorityUpdate({ stream: id, payload }: Sent): Verdict {
    const both = [CODE.PROTOCOL_ERROR, CODE.FRAME_SIZE_ERROR];
    if (this.fromServer || id !== 0 || payload.length < 4) return verdict(id, both);
    const about = payload.readUInt32BE(0) & MOST;
    return verdict(id, about === 0 || (about & 1) === 0 ? [CODE.PROTOCOL_ERROR] : []);
  }

  /**
   * A frame for a stream that is over for the peer; null where it is not. Half-closed, it must be a fault; closed, it
   * may be; and of what the proxy reset more may be on its way, which is none.
   */
  #late(id: number, state: State): Verdict | null {
    const closed = [CODE.STREAM_CLOSED];
    if (state.closed === 'our reset' && !state.theirEnd) return verdict(id, []);
    return state.closed !== 'no' || state.theirEnd ? verdict(id, closed, closed, state.closed !== 'no') : null;
  }

  #data(frame: Sent): Verdict {
    const { flags, stream: id, payload } = frame;
    const padded = (flags & FLAG.PADDED) !== 0;
    const nobody = id === 0 || this.#idle(id);
    if (padded && payload.length === 0) return verdict(id, [CODE.FRAME_SIZE_ERROR, CODE.PROTOCOL_ERROR]);
    if (nobody) return verdict(id, [CODE.PROTOCOL_ERROR]);
    if (padded && (payload[0] as number) >= payload.length) return verdict(id, [CODE.PROTOCOL_ERROR]);
    if (payload.length > this.theirWindow) return verdict(id, [CODE.FLOW_CONTROL_ERROR]);
    this.theirWindow -= payload.length;
    const state = this.streams.get(id);
    // A number that was passed over (section 5.1.1).
    if (state === undefined) return verdict(id, [CODE.STREAM_CLOSED, CODE.PROTOCOL_ERROR]);
    const late = this.#late(id, state);
    if (late !== null) return late;
    if ((flags & FLAG.END_STREAM) !== 0) state.theirEnd = true;
    if (payload.length > state.theirWindow) return verdict(id, [], [CODE.FLOW_CONTROL_ERROR]);
    state.theirWindow -= payload.length;
    if (this.fromServer && !state.headed) return verdict(id, [], [CODE.PROTOCOL_ERROR]);
    state.got += payload.length - (padded ? 1 + (payload[0] as number) : 0);
    return this.#content(id, state, (flags & FLAG.END_STREAM) !== 0);
  }

  /** Content, or the end of it, against what was announced (section 8.1.1). */
  #content(id: number, state: State, ends: boolean): Verdict {
    if (state.got === state.announced) state.reached = true;
    const wrong = state.announced >= 0 && (ends ? state.got !== state.announced : state.got > state.announced);
    if (wrong) return verdict(id, [], [CODE.PROTOCOL_ERROR]);
    if (ends) state.whole = true;
    this.#over(state);
    return verdict(id, []);
  }

  #over(state: State): void {
    if (state.closed === 'no' && state.theirEnd && state.ourEnd) state.closed = 'end';
  }

  #headers(frame: Sent): Verdict {
    const { flags, stream: id, payload } = frame;
    if (id === 0) return verdict(id, [CODE.PROTOCOL_ERROR]);
    let head = 0;
    let pad = 0;
    if ((flags & FLAG.PADDED) !== 0) {
      if (payload.length === 0) return verdict(id, [CODE.FRAME_SIZE_ERROR, CODE.PROTOCOL_ERROR]);
      pad = payload[0] as number;
      head = 1;
    }
    if ((flags & FLAG.PRIORITY) !== 0) head += 5;
    if (head + pad > payload.length) return verdict(id, [CODE.PROTOCOL_ERROR, CODE.FRAME_SIZE_ERROR]);
    if ((flags & FLAG.END_HEADERS) !== 0) return this.#section(frame, flags);
    this.#block = { frame, flags };
    return verdict(id, []);
  }

  #continuation({ flags, stream }: Sent): Verdict {
    if (this.#block === null) return verdict(stream, [CODE.PROTOCOL_ERROR]);
    if ((flags & FLAG.END_HEADERS) === 0) return verdict(stream, []);
    const { frame, flags: first } = this.#block;
    this.#block = null;
    return this.#section(frame, first);
  }

  #section(frame: Sent, flags: number): Verdict {
    const { stream: id, section } = frame;
    const ends = (flags & FLAG.END_STREAM) !== 0;
    const bad = section === 'garbage' ? [CODE.COMPRESSION_ERROR] : [];
    const state = this.streams.get(id);
    if (state === undefined) {
      const opens = !this.fromServer && (id & 1) === 1 && id > this.#last;
      if (!opens) return verdict(id, [...bad, CODE.PROTOCOL_ERROR, CODE.STREAM_CLOSED]);
      return bad.length > 0 ? verdict(id, bad) : this.#opened(frame, ends);
    }
    if (bad.length > 0) return verdict(id, [...bad, ...(this.#late(id, state)?.connection ?? [])]);
    const late = this.#late(id, state);
    if (late !== null) return late;
    if (ends) state.theirEnd = true;
    if (this.fromServer) return this.#response(frame, state, ends);
    if (!ends || section !== 'trailers') return verdict(id, [], [CODE.PROTOCOL_ERROR]);
    return this.#content(id, state, true);
  }

  #opened({ stream: id, section, announced = -1, tag = '' }: Sent, ends: boolean): Verdict {
    this.#last = id;
    if (this.goaway !== null) return verdict(id, [], [CODE.REFUSED_STREAM], true);
    const full = this.open >= this.most;
    const state = this.#new(tag);
    this.streams.set(id, state);
    state.theirEnd = ends;
    state.headed = true;
    state.announced = announced;
    if (full) return verdict(id, [CODE.PROTOCOL_ERROR], [CODE.REFUSED_STREAM, CODE.PROTOCOL_ERROR]);
    if (section !== 'request' || (ends && announced > 0)) return verdict(id, [], [CODE.PROTOCOL_ERROR]);
    this.good.add(tag);
    state.whole = ends;
    return verdict(id, []);
  }

  #response({ stream: id, section, announced = -1 }: Sent, state: State, ends: boolean): Verdict {
    const malformed = verdict(id, [], [CODE.PROTOCOL_ERROR]);
    if (!state.headed) {
      if (section === 'interim') return ends ? malformed : verdict(id, []);
      if (section !== 'response') return malformed;
      state.headed = true;
      state.announced = announced;
      return ends ? this.#content(id, state, true) : verdict(id, []);
    }
    return !ends || section !== 'trailers' ? malformed : this.#content(id, state, true);
  }

  /** Of no meaning any more (section 5.3.2): a size that is wrong is still a fault, a stream on itself may be one. */
  #priority({ stream: id, payload }: Sent): Verdict {
    if (id === 0) return verdict(id, [CODE.PROTOCOL_ERROR]);
    if (payload.length !== 5) return verdict(id, [CODE.FRAME_SIZE_ERROR], [CODE.FRAME_SIZE_ERROR]);
    const selfish = (payload.readUInt32BE(0) & MOST) === id;
    return selfish ? verdict(id, [CODE.PROTOCOL_ERROR], [CODE.PROTOCOL_ERROR], true) : verdict(id, []);
  }

  #reset({ stream: id, payload }: Sent): Verdict {
    const faults: number[] = payload.length === 4 ? [] : [CODE.FRAME_SIZE_ERROR];
    if (id === 0 || this.#idle(id)) faults.push(CODE.PROTOCOL_ERROR);
    if (faults.length > 0) return verdict(id, faults);
    const state = this.streams.get(id);
    if (state?.closed === 'no') state.closed = 'their reset';
    return verdict(id, []);
  }

  #settings({ flags, stream: id, payload }: Sent): Verdict {
    const ack = (flags & FLAG.ACK) !== 0;
    if (id !== 0 || (ack ? payload.length !== 0 : payload.length % 6 !== 0))
      return verdict(id, [CODE.PROTOCOL_ERROR, CODE.FRAME_SIZE_ERROR]);
    if (ack) return verdict(id, []);
    const faults: number[] = [];
    const first = this.ourFirst;
    for (let i = 0; i < payload.length; i += 6) {
      const [key, value] = [payload.readUInt16BE(i), payload.readUInt32BE(i + 2)];
      if (key === 2 && (value > 1 || (this.fromServer && value === 1))) faults.push(CODE.PROTOCOL_ERROR);
      if (key === 4 && value > MOST) faults.push(CODE.FLOW_CONTROL_ERROR);
      else if (key === 4) this.ourFirst = value;
      if (key === 5 && (value < FRAME_PAYLOAD || value > 0xff_ffff)) faults.push(CODE.PROTOCOL_ERROR);
      // RFC 8441 section 3, RFC 9218 section 2.1.
      if ((key === 8 || key === 9) && value > 1) faults.push(CODE.PROTOCOL_ERROR);
    }
    for (const state of this.streams.values()) {
      if (state.closed !== 'no') continue;
      state.ourWindow += this.ourFirst - first;
      if (state.ourWindow > MOST) faults.push(CODE.FLOW_CONTROL_ERROR);
    }
    if (faults.length === 0) this.#settled = true;
    return verdict(id, faults);
  }

  #windowUpdate({ stream: id, payload }: Sent): Verdict {
    if (payload.length !== 4) return verdict(id, [CODE.FRAME_SIZE_ERROR]);
    const more = payload.readUInt32BE(0) & MOST;
    if (id === 0) {
      if (more === 0) return verdict(id, [CODE.PROTOCOL_ERROR]);
      if (this.ourWindow + more > MOST) return verdict(id, [CODE.FLOW_CONTROL_ERROR]);
      this.ourWindow += more;
      return verdict(id, []);
    }
    if (this.#idle(id)) return verdict(id, [CODE.PROTOCOL_ERROR]);
    const state = this.streams.get(id);
    if (state === undefined || state.closed !== 'no') {
      const any = more === 0 ? [CODE.PROTOCOL_ERROR] : [CODE.STREAM_CLOSED];
      return verdict(id, any, any, true);
    }
    if (more === 0) return verdict(id, [CODE.PROTOCOL_ERROR], [CODE.PROTOCOL_ERROR]);
    if (state.ourWindow + more > MOST) return verdict(id, [CODE.FLOW_CONTROL_ERROR], [CODE.FLOW_CONTROL_ERROR]);
    state.ourWindow += more;
    return verdict(id, []);
  }

  // ---- the proxy's frames

  watch(frame: Frame): void {
    const { type, flags, stream: id, payload } = frame;
    const wrong = (what: string): void => void this.wrong.push(`${what}: type ${type} of stream ${id}`);
    if (this.goaway !== null && this.goaway !== CODE.NO_ERROR) wrong('a frame behind the last GOAWAY');
    if (payload.length > FRAME_PAYLOAD) wrong('a frame that is too large');
    if (type === TYPE.GOAWAY) this.goaway = payload.readUInt32BE(4);
    if (type === TYPE.SETTINGS && (flags & FLAG.ACK) === 0) this.#granted(payload);
    if (id === 0) {
      if (type !== TYPE.WINDOW_UPDATE) return;
      const more = payload.readUInt32BE(0);
      this.theirWindow += more;
      if (more === 0 || this.theirWindow > MOST) wrong('a window of the connection');
      return;
    }
    const state = this.streams.get(id) ?? (this.fromServer && type === TYPE.HEADERS ? this.#asked(id) : undefined);
    if (state === undefined) {
      // Of a stream that the model calls refused, or of a number passed over.
      if (type !== TYPE.RST_STREAM) wrong('a stream that is not open');
      return;
    }
    this.#watchStream(frame, state, wrong);
  }

  #asked(id: number): State {
    if (id <= this.#last || (id & 1) === 0) this.wrong.push(`stream ${id} opened behind ${this.#last}`);
    this.#last = id;
    const state = this.#new('');
    this.streams.set(id, state);
    return state;
  }

  /** Our SETTINGS hold for the peer from when it has seen them: the generator sees them at once. */
  #granted(payload: Buffer): void {
    for (let i = 0; i < payload.length; i += 6) {
      const [key, value] = [payload.readUInt16BE(i), payload.readUInt32BE(i + 2)];
      if (key === 3) this.most = value;
      if (key !== 4) continue;
      for (const state of this.streams.values()) state.theirWindow += value - this.theirFirst;
      this.theirFirst = value;
    }
  }

  #watchStream({ type, flags, payload }: Frame, state: State, wrong: (what: string) => void): void {
    const ends = (flags & FLAG.END_STREAM) !== 0 && (type === TYPE.DATA || type === TYPE.HEADERS);
    if (type === TYPE.WINDOW_UPDATE) {
      const more = payload.readUInt32BE(0);
      state.theirWindow += more;
      if (more === 0 || state.theirWindow > MOST) wrong('a window of a stream');
      if (state.closed !== 'no') wrong('a window of a stream that is over');
      return;
    }
    if (type === TYPE.RST_STREAM) {
      if (state.closed === 'their reset' || state.closed === 'our reset') wrong('a reset of what was reset');
      state.closed = 'our reset';
      return;
    }
    if (type !== TYPE.DATA && type !== TYPE.HEADERS) wrong('no frame of ours');
    if (state.closed !== 'no' || state.ourEnd) wrong('a frame of a stream that is over');
    if (type === TYPE.HEADERS) state.ourHead = true;
    else if (!state.ourHead) wrong('content in front of a head');
    if (type === TYPE.DATA) {
      state.ourWindow -= payload.length;
      this.ourWindow -= payload.length;
      if (payload.length > 0 && (state.ourWindow < 0 || this.ourWindow < 0)) wrong('content beyond a window');
    }
    if (ends) state.ourEnd = true;
    this.#over(state);
  }
}
