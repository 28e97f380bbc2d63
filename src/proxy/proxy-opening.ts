// The first step of a connection of somebody who is trusted to say whom it is of: a PROXY header, and nothing else.

import { bytesOf } from '../base/bytes.ts';
import { FAULTS } from '../base/errors.ts';
import type { SocketAddress } from '../io/io.ts';
import { Fragment } from '../telemetry/fragment.ts';
import { SESSION_PROTOCOLS } from '../telemetry/layout.ts';
import { type ClientInfo, type OpeningStep, STEP_MORE, STEP_REFUSED } from './client-info.ts';
import type { Core } from './core.ts';
import { faultCell } from './counts.ts';
import { PROXY_BAD, PROXY_MORE, ProxyHeader, readProxyHeader } from './proxy-header.ts';
import { AddressRanges } from './ranges.ts';

const TCP = SESSION_PROTOCOLS.indexOf('TCP');

export class ProxyOpening implements OpeningStep {
  readonly #core: Core;
  readonly #ranges: AddressRanges;
  readonly #header = new ProxyHeader();

  /** `trusted`: whose connections begin with one; throws when they are no ranges. */
  constructor(core: Core, trusted: readonly string[]) {
    this.#core = core;
    this.#ranges = new AddressRanges(trusted, 'PROXY headers');
  }

  /** Whether a connection of `peer` begins with a header; of others everything is what it is. */
  has(peer: SocketAddress): boolean {
    return peer.family !== 'unix' && this.#ranges.has(peer.address);
  }

  read(mem: Uint8Array, start: number, end: number, info: ClientInfo): number {
    const header = this.#header;
    const used = readProxyHeader(mem, start, end, header);
    if (used === PROXY_MORE) return STEP_MORE;
    if (used === PROXY_BAD) {
      this.#refuse(info);
      return STEP_REFUSED;
    }
    if (header.address !== '') {
      info.json = Fragment.members({ peer: info.peer.family === 'unix' ? 'unix' : info.peer.address });
      info.client = bytesOf(header.address);
      info.clientPort = header.port;
      info.trusted = this.#core.trusted.hasText(header.address);
    }
    return start + used;
  }

  /** There is no session yet, but whoever looks for one finds a line. */
  #refuse(info: ClientInfo): void {
    const { io, cells, sessions } = this.#core;
    cells.add(faultCell(FAULTS.badRequest), 1);
    sessions.began(TCP);
    const record = sessions.record(TCP);
    record.client = info.client;
    record.startWallMs = io.wallMs;
    record.startUs = io.nowUs;
    record.endUs = io.nowUs;
    record.flags = FAULTS.badRequest.flag;
    record.end = 'refused';
    sessions.ended(record);
  }
}
