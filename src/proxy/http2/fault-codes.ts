// What a stream's reset means (RFC 9113 section 7), from one side of the proxy to the other: as faults, which know no
// protocol. docs/reference/http2.md has it as a table.

import { FAULTS, type Fault } from '../../base/errors.ts';
import { CODE } from './frames.ts';

/**
 * Why a backend's stream has no end, that was reset with this CODE. REFUSED_STREAM means what it says only while
 * nothing was answered (section 8.7); a fault that the backend finds in us is none of the client's.
 */
export function faultOfCode(code: number, answered: boolean): Fault {
  if (code === CODE.REFUSED_STREAM && !answered) return FAULTS.upstreamRefused;
  if (code === CODE.CANCEL) return FAULTS.upstreamCancelled;
  if (code === CODE.ENHANCE_YOUR_CALM) return FAULTS.upstreamCalm;
  return FAULTS.upstreamReset;
}

/**
 * The CODE that ends a client's stream whose response has begun. REFUSED_STREAM and NO_ERROR are never among them: a
 * client would send the request again, or take what it has for all. A tunnel that breaks is CANCEL, as a connection's
 * reset is for extended CONNECT (RFC 8441 section 5).
 */
export function codeOfFault(fault: Fault, tunnel: boolean): number {
  if (tunnel) return CODE.CANCEL;
  switch (fault) {
    case FAULTS.upstreamCancelled:
    case FAULTS.grpcDeadline:
    case FAULTS.requestTimeout:
    case FAULTS.backendTimeout:
    case FAULTS.streamIdle:
    case FAULTS.clientGone:
    case FAULTS.leaving:
      return CODE.CANCEL;
    case FAULTS.upstreamCalm:
      return CODE.ENHANCE_YOUR_CALM;
    case FAULTS.badRequest:
      return CODE.PROTOCOL_ERROR;
    default:
      return CODE.INTERNAL_ERROR;
  }
}
