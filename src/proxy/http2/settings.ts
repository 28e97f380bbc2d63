// What the peer has set (RFC 9113 section 6.5), and what of it is wrong.

import { viewOf } from '../../base/bytes.ts';
import { CODE, FIRST_WINDOW, FRAME_PAYLOAD, MOST, word } from './frames.ts';

/** Section 6.5.2, and RFC 8441 section 3. */
export const SETTING = {
  HEADER_TABLE_SIZE: 1,
  ENABLE_PUSH: 2,
  MAX_CONCURRENT_STREAMS: 3,
  INITIAL_WINDOW_SIZE: 4,
  MAX_FRAME_SIZE: 5,
  MAX_HEADER_LIST_SIZE: 6,
  ENABLE_CONNECT_PROTOCOL: 8,
  /** RFC 9218 section 2.1. */
  NO_RFC7540_PRIORITIES: 9,
} as const;

const LARGEST_FRAME = 0xff_ffff;

export class PeerSettings {
  headerTableSize = 4096;
  /** The smallest that it was among the last settings, of which each counts (RFC 7541 section 4.2). */
  headerTableLeast = 4096;
  maxConcurrentStreams = MOST;
  initialWindow = FIRST_WINDOW;
  maxFrame = FRAME_PAYLOAD;
  connectProtocol = false;

  /**
   * Takes over the settings at mem[at..end), in their order. Returns CODE.NO_ERROR, or the error that the connection
   * ends with. `fromServer`: the peer is one, which must not say that it takes pushes.
   */
  read(mem: Uint8Array, at: number, end: number, fromServer: boolean): number {
    this.headerTableLeast = this.headerTableSize;
    for (let i = at; i < end; i += 6) {
      const value = word(mem, i + 2);
      switch (viewOf(mem).getUint16(i)) {
        case SETTING.HEADER_TABLE_SIZE:
          this.headerTableSize = value;
          this.headerTableLeast = Math.min(this.headerTableLeast, value);
          break;
        case SETTING.ENABLE_PUSH:
          if (value > 1 || (fromServer && value === 1)) return CODE.PROTOCOL_ERROR;
          break;
        case SETTING.MAX_CONCURRENT_STREAMS:
          this.maxConcurrentStreams = value;
          break;
        case SETTING.INITIAL_WINDOW_SIZE:
          if (value > MOST) return CODE.FLOW_CONTROL_ERROR;
          this.initialWindow = value;
          break;
        case SETTING.MAX_FRAME_SIZE:
          if (value < FRAME_PAYLOAD || value > LARGEST_FRAME) return CODE.PROTOCOL_ERROR;
          this.maxFrame = value;
          break;
        case SETTING.ENABLE_CONNECT_PROTOCOL:
          // Once said it is not taken back (RFC 8441 section 3).
          if (value > 1 || (this.connectProtocol && value === 0)) return CODE.PROTOCOL_ERROR;
          this.connectProtocol = value === 1;
          break;
        case SETTING.NO_RFC7540_PRIORITIES:
          if (value > 1) return CODE.PROTOCOL_ERROR;
          break;
      }
    }
    return CODE.NO_ERROR;
  }
}
