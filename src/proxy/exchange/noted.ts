// What the log line of a request says of it, taken from its head; with that goes the marking of what is not believed of
// it.

import {
  type AccessRecord,
  RECORD_AGENT_BYTES,
  RECORD_HOST_BYTES,
  RECORD_PATH_BYTES,
  RECORD_REFERER_BYTES,
} from '../../telemetry/record.ts';
import type { Clients } from '../client-source.ts';
import type { Core } from '../core.ts';
import { type Head, METHOD, NAME } from '../head.ts';
import { REQUEST_ID_BYTES } from '../request-id.ts';
import { markForwarded, toldClient } from './forwarded.ts';
import type { Downstream } from './sides.ts';

/**
 * Fills `record` from `head`, and marks its fields that do not go on. A UUID is written at `uuidAt`. `clients`: of the
 * request's Gateway, if it has its own; `trusted`: what the request says of its client is believed.
 */
export function noteRequest(
  core: Core,
  record: AccessRecord,
  head: Head,
  down: Downstream,
  uuidAt: number,
  clients: Clients | null,
  trusted: boolean,
): void {
  const { mem } = core;
  record.method = head.method;
  record.version = head.version;
  if (head.method === METHOD.OTHER) {
    record.methodStart = record.copy(mem, head.methodStart, head.methodEnd);
    record.methodEnd = record.used;
  }
  record.hostStart = record.copy(mem, head.hostStart, head.hostEnd, RECORD_HOST_BYTES);
  record.hostEnd = record.used;
  core.ids.put(mem, uuidAt);
  const marked = markForwarded(mem, head, trusted, clients);
  record.idStart = uuidAt;
  record.idEnd = uuidAt + REQUEST_ID_BYTES;
  if (trusted) {
    const id = marked.requestId;
    if (id >= 0) {
      record.idStart = record.copy(mem, head.valueStart(id), head.valueEnd(id));
      record.idEnd = record.used;
    }
    record.client = toldClient(core.trusted, clients, mem, head, down.client);
  }
  const agent = marked.userAgent;
  if (agent >= 0) {
    record.agentStart = record.copy(mem, head.valueStart(agent), head.valueEnd(agent), RECORD_AGENT_BYTES);
    record.agentEnd = record.used;
  }
  const referer = core.notesReferer ? head.find(NAME.REFERER) : -1;
  if (referer >= 0) {
    record.refererStart = record.copy(mem, head.valueStart(referer), head.valueEnd(referer), RECORD_REFERER_BYTES);
    record.refererEnd = record.used;
  }
  record.pathStart = record.copy(mem, head.pathStart, head.pathEnd, RECORD_PATH_BYTES);
  record.pathEnd = record.used;
  if (head.hasQuery) {
    record.queryStart = record.copy(mem, head.queryStart, head.queryEnd);
    record.queryEnd = record.used;
  }
}
