// The PROXY protocol, versions 1 and 2 (proxy-protocol.txt of HAProxy, 2.9): what a load balancer says in front of a
// connection about whom it is of, and what is said to backends.

import { isIPv4, isIPv6 } from 'node:net';
import { formatIp, parseIp } from '../base/ip.ts';
import { LIMITS } from '../base/limits.ts';
import type { SocketAddress } from '../io/io.ts';

/** What `readProxyHeader` gives beside the number of bytes. */
export const PROXY_MORE = 0;
export const PROXY_BAD = -1;

const SIGNATURE = Uint8Array.of(0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a);
const WORD = Buffer.from('PROXY ');
/** Longest line of version 1, with its end (section 2.1). */
const LINE_BYTES = 107;
const HEAD_BYTES = 16;
const CR = 0x0d;
const LF = 0x0a;
const VERSION_2 = 2;
const LOCAL = 0;
const PROXY = 1;
/** Family and transport, and the bytes of both addresses and ports. */
const TCP4 = 0x11;
const TCP6 = 0x21;
const ADDRESS_BYTES: ReadonlyMap<number, number> = new Map([
  [TCP4, 12],
  [TCP6, 36],
]);
/** Unspecified, and the other families that there are: who makes nothing of them takes them for that (section 2.2). */
const UNSPECIFIED: ReadonlySet<number> = new Set([0x00, 0x12, 0x22, 0x31, 0x32]);
const MAPPED = 0xffffn << 32n;

/** Whom a connection is of; nothing is said (a check of the load balancer's, say) where `address` is empty. */
export class ProxyHeader {
  address = '';
  port = 0;
}

/**
 * Reads the header at mem[start..end) into `header`. Returns its bytes, PROXY_MORE when it is not whole, PROXY_BAD when
 * it is none, is malformed or longer than LIMITS.PROXY_HEADER_BYTES.
 */
export function readProxyHeader(mem: Uint8Array, start: number, end: number, header: ProxyHeader): number {
  header.address = '';
  header.port = 0;
  if (start === end) return PROXY_MORE;
  return mem[start] === SIGNATURE[0] ? readBinary(mem, start, end, header) : readLine(mem, start, end, header);
}

/** What is here of `wanted` is as it should be. */
function begins(mem: Uint8Array, start: number, end: number, wanted: Uint8Array): boolean {
  const n = Math.min(end - start, wanted.length);
  for (let i = 0; i < n; i++) if (mem[start + i] !== wanted[i]) return false;
  return true;
}

/** `PROXY TCP4 192.0.2.7 198.51.100.1 51234 443\r\n` (section 2.1). */
function readLine(mem: Uint8Array, start: number, end: number, header: ProxyHeader): number {
  if (!begins(mem, start, end, WORD)) return PROXY_BAD;
  const most = Math.min(end, start + LINE_BYTES);
  let at = start;
  while (at < most && mem[at] !== CR) at++;
  if (at + 1 >= most) return most === start + LINE_BYTES ? PROXY_BAD : PROXY_MORE;
  if (mem[at + 1] !== LF) return PROXY_BAD;
  const [, family = '', source = '', destination = '', port = '', toPort = '', ...rest] = Buffer.from(
    mem.subarray(start, at),
  )
    .toString('latin1')
    .split(' ');
  const used = at + 2 - start;
  // What stands behind it is to be ignored.
  if (family === 'UNKNOWN') return used;
  const is = family === 'TCP4' ? isIPv4 : family === 'TCP6' ? isAddress6 : null;
  if (is === null || !is(source) || !is(destination) || rest.length > 0) return PROXY_BAD;
  if (!isPort(port) || !isPort(toPort)) return PROXY_BAD;
  header.address = family === 'TCP6' ? canonical(source) : source;
  header.port = Number(port);
  return used;
}

function isAddress6(text: string): boolean {
  return isIPv6(text) && !text.includes('%');
}

function isPort(text: string): boolean {
  return /^(0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535;
}

/** As sockets write it; what is an IPv4 address is one. */
function canonical(address: string): string {
  const ip = parseIp(address);
  if (ip === null) return address;
  return ip.value >> 32n === 0xffffn ? formatIp({ family: 4, value: ip.value & 0xffff_ffffn }) : formatIp(ip);
}

/**
 * Section 2.2: signature, version and command, family and transport, length, addresses, then TLVs, which are passed
 * over.
 */
function readBinary(mem: Uint8Array, start: number, end: number, header: ProxyHeader): number {
  if (!begins(mem, start, end, SIGNATURE)) return PROXY_BAD;
  if (end - start < HEAD_BYTES) return PROXY_MORE;
  const command = (mem[start + 12] as number) & 15;
  const family = mem[start + 13] as number;
  const length = uint16(mem, start + 14);
  const addresses = ADDRESS_BYTES.get(family);
  if ((mem[start + 12] as number) >> 4 !== VERSION_2 || command > PROXY) return PROXY_BAD;
  if (HEAD_BYTES + length > LIMITS.PROXY_HEADER_BYTES) return PROXY_BAD;
  const last = start + HEAD_BYTES + length;
  if (end < last) return PROXY_MORE;
  // Of a connection of its own, or of nobody that can be named, the rest means nothing.
  if (command === LOCAL || UNSPECIFIED.has(family)) return last - start;
  if (addresses === undefined || length < addresses || !areWhole(mem, start + HEAD_BYTES + addresses, last))
    return PROXY_BAD;
  const at = start + HEAD_BYTES;
  if (family === TCP4) {
    header.address = `${mem[at]}.${mem[at + 1]}.${mem[at + 2]}.${mem[at + 3]}`;
    header.port = uint16(mem, at + 8);
  } else if (family === TCP6) {
    let value = 0n;
    for (let i = 0; i < 16; i++) value = (value << 8n) | BigInt(mem[at + i] as number);
    header.address = canonical(formatIp({ family: 6, value }));
    header.port = uint16(mem, at + 32);
  }
  return last - start;
}

/** TLVs: type, length of two bytes, value. */
function areWhole(mem: Uint8Array, start: number, end: number): boolean {
  let at = start;
  while (at + 3 <= end) at += 3 + uint16(mem, at + 1);
  return at === end;
}

function uint16(mem: Uint8Array, at: number): number {
  return ((mem[at] as number) << 8) | (mem[at + 1] as number);
}

/** Whose connection it is, and where it came in; of a unix socket nothing can be said. */
export function proxyHeader(
  version: 'v1' | 'v2',
  address: string,
  port: number,
  { family, ...to }: SocketAddress,
): Uint8Array {
  const [source, destination] = [parseIp(address), 'address' in to ? parseIp(to.address) : null];
  if (source === null || destination === null || family === 'unix' || !('address' in to)) {
    return version === 'v1' ? Buffer.from('PROXY UNKNOWN\r\n') : Buffer.from([...SIGNATURE, 0x20, 0, 0, 0]);
  }
  // Both are of one family, or are written as one.
  const both6 = source.family === 6 || destination.family === 6;
  const [from, at] = [source, destination].map((ip) =>
    both6 && ip.family === 4 ? { family: 6 as const, value: MAPPED | ip.value } : ip,
  ) as [typeof source, typeof destination];
  if (version === 'v1') {
    const kind = both6 ? 'TCP6' : 'TCP4';
    return Buffer.from(`PROXY ${kind} ${formatIp(from)} ${formatIp(at)} ${port} ${to.port}\r\n`);
  }
  const bytes = (value: bigint): number[] =>
    Array.from({ length: both6 ? 16 : 4 }, (_, i, n = both6 ? 16 : 4) =>
      Number((value >> BigInt(8 * (n - 1 - i))) & 255n),
    );
  const ports = [port >> 8, port & 255, to.port >> 8, to.port & 255];
  const body = [...bytes(from.value), ...bytes(at.value), ...ports];
  return Buffer.from([...SIGNATURE, 0x21, both6 ? TCP6 : TCP4, 0, body.length, ...body]);
}
