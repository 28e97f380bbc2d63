// Socket addresses: text to the kernel's structures and back.

import type { SocketAddress } from '../io/io.ts';
import { AF, LAYOUT } from './layout.ts';

/** Room for any of the addresses below. */
export const ADDRESS_BYTES = 128;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Writes `address` at mem[at..at+ADDRESS_BYTES); its length in bytes, or 0 if it is not an address. */
export function encodeAddress(mem: Uint8Array, at: number, address: SocketAddress): number {
  mem.fill(0, at, at + ADDRESS_BYTES);
  if (address.family === 'unix') {
    const { path, size } = LAYOUT.sockaddrUn;
    const bytes = encoder.encode(address.path);
    if (bytes.length === 0 || bytes.length >= size - path || bytes.includes(0)) return 0;
    putFamily(mem, at, AF.UNIX);
    mem.set(bytes, at + path);
    return path + bytes.length + 1;
  }
  const { port } = address;
  if (!Number.isInteger(port) || port < 0 || port > 65535) return 0;
  if (address.family === 'ipv4') {
    const { size, port: portAt, address: addressAt } = LAYOUT.sockaddrIn;
    if (!putIpv4(mem, at + addressAt, address.address)) return 0;
    putFamily(mem, at, AF.INET);
    putPort(mem, at + portAt, port);
    return size;
  }
  const { size, port: portAt, address: addressAt } = LAYOUT.sockaddrIn6;
  if (!putIpv6(mem, at + addressAt, address.address)) return 0;
  putFamily(mem, at, AF.INET6);
  putPort(mem, at + portAt, port);
  return size;
}

/** The address of `length` bytes at mem[at..]; an IPv4-mapped IPv6 address is given as IPv4. */
export function decodeAddress(mem: Uint8Array, at: number, length: number): SocketAddress {
  const family = length < 2 ? AF.UNIX : (mem[at] as number) | ((mem[at + 1] as number) << 8);
  if (family === AF.INET) {
    const { port, address } = LAYOUT.sockaddrIn;
    return { family: 'ipv4', address: ipv4Text(mem, at + address), port: portOf(mem, at + port) };
  }
  if (family === AF.INET6) {
    const { port, address } = LAYOUT.sockaddrIn6;
    const start = at + address;
    if (isMapped(mem, start)) {
      return { family: 'ipv4', address: ipv4Text(mem, start + 12), port: portOf(mem, at + port) };
    }
    return { family: 'ipv6', address: ipv6Text(mem, start), port: portOf(mem, at + port) };
  }
  const start = at + LAYOUT.sockaddrUn.path;
  const limit = Math.max(start, at + length);
  let end = start;
  while (end < limit && mem[end] !== 0) end++;
  return { family: 'unix', path: decoder.decode(mem.subarray(start, end)) };
}

function putFamily(mem: Uint8Array, at: number, family: number): void {
  mem[at] = family;
}

function putPort(mem: Uint8Array, at: number, port: number): void {
  mem[at] = port >> 8;
  mem[at + 1] = port & 0xff;
}

function portOf(mem: Uint8Array, at: number): number {
  return ((mem[at] as number) << 8) | (mem[at + 1] as number);
}

/** Dotted decimal without leading zeros (RFC 6943 section 3.1.1: the strict form). */
function putIpv4(mem: Uint8Array, at: number, text: string): boolean {
  let part = 0;
  let value = -1;
  for (let i = 0; i <= text.length; i++) {
    const c = i === text.length ? 0x2e : text.charCodeAt(i);
    if (c === 0x2e) {
      if (value < 0 || part === 4) return false;
      mem[at + part++] = value;
      value = -1;
    } else {
      const digit = c - 0x30;
      if (digit < 0 || digit > 9 || value === 0) return false;
      value = (value < 0 ? 0 : value * 10) + digit;
      if (value > 255) return false;
    }
  }
  return part === 4;
}

function ipv4Text(mem: Uint8Array, at: number): string {
  return `${mem[at]}.${mem[at + 1]}.${mem[at + 2]}.${mem[at + 3]}`;
}

function isMapped(mem: Uint8Array, at: number): boolean {
  for (let i = 0; i < 10; i++) if (mem[at + i] !== 0) return false;
  return mem[at + 10] === 0xff && mem[at + 11] === 0xff;
}

/** RFC 4291 section 2.2, without a zone. */
function putIpv6(mem: Uint8Array, at: number, text: string): boolean {
  const gap = text.indexOf('::');
  if (gap === -1) return putGroups(mem, at, text, true) === 16;
  const tail = text.slice(gap + 2);
  if (tail.includes('::')) return false;
  const head = gap === 0 ? 0 : putGroups(mem, at, text.slice(0, gap), false);
  const after = new Uint8Array(16);
  const rest = tail === '' ? 0 : putGroups(after, 0, tail, true);
  // "::" stands for at least one group of zeros.
  if (head < 0 || rest < 0 || head + rest > 14) return false;
  mem.fill(0, at + head, at + 16 - rest);
  mem.set(after.subarray(0, rest), at + 16 - rest);
  return true;
}

/** Groups separated by colons, the last one of an address possibly in dotted decimal; bytes written, or -1. */
function putGroups(mem: Uint8Array, at: number, text: string, last: boolean): number {
  const groups = text.split(':');
  let n = 0;
  for (let i = 0; i < groups.length; i++) {
    const group = groups[i] as string;
    if (last && i === groups.length - 1 && group.includes('.')) {
      if (n > 12 || !putIpv4(mem, at + n, group)) return -1;
      return n + 4;
    }
    if (n > 14 || !/^[0-9a-fA-F]{1,4}$/.test(group)) return -1;
    const value = Number.parseInt(group, 16);
    mem[at + n] = value >> 8;
    mem[at + n + 1] = value & 0xff;
    n += 2;
  }
  return n;
}

/**
 * RFC 5952 section 4: lower case, no leading zeros, the longest run of two or more zero groups (the first of equals) as
 * "::".
 */
function ipv6Text(mem: Uint8Array, at: number): string {
  const groups: number[] = [];
  for (let i = 0; i < 16; i += 2) groups.push(portOf(mem, at + i));
  let start = -1;
  let best = 1;
  for (let i = 0; i < 8; i++) {
    let n = 0;
    while (i + n < 8 && groups[i + n] === 0) n++;
    if (n > best) {
      best = n;
      start = i;
    }
    i += n;
  }
  const text = (from: number, to: number): string =>
    groups
      .slice(from, to)
      .map((g) => g.toString(16))
      .join(':');
  return start === -1 ? text(0, 8) : `${text(0, start)}::${text(start + best, 8)}`;
}
