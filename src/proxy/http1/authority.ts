// host[:port] of Host and of absolute or authority targets (RFC 9110 section 7.2, RFC 3986 section 3.2.2).

import { CLASS, COLON, DIGIT, HEX } from './scan.ts';
import { SPAN, span } from './scanner.ts';

/**
 * Checks that [start, end) is uri-host [":" port]. Returns the end of the host (an IPv6 literal with its brackets), or
 * -1: an empty host (RFC 9110 section 4.2.1), userinfo (section 4.2.4), a port that is no number up to 65535, any byte
 * that a host cannot have. `needPort`: CONNECT must name one (RFC 9110 section 9.3.6).
 */
export function authorityHostEnd(mem: Uint8Array, start: number, end: number, needPort: boolean): number {
  let i = start;
  if (i < end && mem[i] === 0x5b) {
    while (i < end && mem[i] !== 0x5d) i++;
    if (i === end || !isIpv6(mem, start + 1, i)) return -1;
    i++;
  } else {
    for (;;) {
      i = span(mem, i, end, SPAN.REG_NAME);
      if (i + 2 >= end || mem[i] !== 0x25 || !isHex(mem[i + 1] as number) || !isHex(mem[i + 2] as number)) break;
      i += 3;
    }
    if (i === start) return -1;
  }
  const hostEnd = i;
  if (i === end) return needPort ? -1 : hostEnd;
  if (mem[i] !== COLON) return -1;
  let port = 0;
  const portStart = ++i;
  for (; i < end; i++) {
    const c = mem[i] as number;
    if (((CLASS[c] as number) & DIGIT) === 0) return -1;
    port = port * 10 + (c - 0x30);
    if (port > 65535) return -1;
  }
  // "host:" is valid (port = *DIGIT), but not for CONNECT; port 0 cannot be connected to.
  return needPort && (portStart === end || port === 0) ? -1 : hostEnd;
}

function isHex(c: number): boolean {
  return ((CLASS[c] as number) & HEX) !== 0;
}

/** IPv6address of RFC 3986 section 3.2.2: no zone, no IPvFuture. */
function isIpv6(mem: Uint8Array, start: number, end: number): boolean {
  let groups = 0;
  let elided = false;
  let i = start;
  if (mem[i] === COLON && i + 1 < end && mem[i + 1] === COLON) {
    elided = true;
    i += 2;
  }
  while (i < end) {
    const from = i;
    while (i < end && isHex(mem[i] as number)) i++;
    if (i < end && mem[i] === 0x2e) {
      // The last 32 bits as IPv4.
      groups += 2;
      return isIpv4(mem, from, end) && (elided ? groups < 8 : groups === 8);
    }
    if (i === from || i - from > 4) return false;
    groups++;
    if (i === end) break;
    if (mem[i] !== COLON) return false;
    i++;
    if (i === end) return false;
    if (mem[i] === COLON) {
      if (elided) return false;
      elided = true;
      i++;
    }
  }
  return elided ? groups < 8 : groups === 8;
}

function isIpv4(mem: Uint8Array, start: number, end: number): boolean {
  let parts = 0;
  let i = start;
  for (;;) {
    const from = i;
    let value = 0;
    while (i < end && ((CLASS[mem[i] as number] as number) & DIGIT) !== 0 && i - from < 4) {
      value = value * 10 + ((mem[i] as number) - 0x30);
      i++;
    }
    if (i === from || value > 255 || (i - from > 1 && mem[from] === 0x30)) return false;
    parts++;
    if (i === end) return parts === 4;
    if (mem[i] !== 0x2e || parts === 4) return false;
    i++;
  }
}
