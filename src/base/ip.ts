// IP addresses and ranges as numbers.

import { isIP } from 'node:net';

export interface IpAddress {
  readonly family: 4 | 6;
  readonly value: bigint;
}

export interface IpRange {
  readonly family: 4 | 6;
  /** Network address, host bits zero. */
  readonly first: bigint;
  /** Bits of the host part. */
  readonly hostBits: number;
}

const BITS = { 4: 32, 6: 128 } as const;

/** Null when `text` is no IP literal; a zone (fe80::1%eth0) is not part of one here. */
export function parseIp(text: string): IpAddress | null {
  const family = text.includes('%') ? 0 : isIP(text);
  if (family === 4) return { family, value: BigInt(text.split('.').reduce((n, part) => n * 256 + Number(part), 0)) };
  if (family !== 6) return null;
  // The URL parser writes it with hexadecimal groups only (RFC 5952), an embedded IPv4 address included.
  const canonical = new URL(`http://[${text}]/`).hostname.slice(1, -1);
  const [head = '', tail] = canonical.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = new Array<string>(8 - left.length - right.length).fill('0');
  const value = [...left, ...zeros, ...right].reduce((n, group) => (n << 16n) | BigInt(`0x${group}`), 0n);
  return { family: 6, value };
}

/** RFC 5952 for IPv6. */
export function formatIp({ family, value }: IpAddress): string {
  if (family === 4) return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n).join('.');
  const groups = Array.from({ length: 8 }, (_, i) => ((value >> BigInt(112 - 16 * i)) & 0xffffn).toString(16));
  return new URL(`http://[${groups.join(':')}]/`).hostname.slice(1, -1);
}

/** `10.0.0.0/8`, or a single address; null when it is neither. Host bits are ignored. */
export function parseRange(text: string): IpRange | null {
  const [address = '', prefix, ...rest] = text.split('/');
  const ip = parseIp(address);
  if (ip === null || rest.length > 0 || (prefix !== undefined && !/^(0|[1-9][0-9]{0,2})$/.test(prefix))) return null;
  const bits = BITS[ip.family];
  const length = prefix === undefined ? bits : Number(prefix);
  if (length > bits) return null;
  const hostBits = bits - length;
  return { family: ip.family, first: (ip.value >> BigInt(hostBits)) << BigInt(hostBits), hostBits };
}

/** As Kubernetes has it (isIP of its CEL library): no zone, and no IPv4 address in the clothes of IPv6. */
export function isPlainIp(text: string): boolean {
  const ip = parseIp(text);
  return ip !== null && !(ip.family === 6 && ip.value >> 32n === 0xffffn);
}

/** `10.0.0.0/8`, of such an address (isCIDR). */
export function isPlainRange(text: string): boolean {
  return text.includes('/') && isPlainIp(text.split('/')[0] as string) && parseRange(text) !== null;
}

/** `192.0.2.1:80`, `[2001:db8::1]:80`. */
export function addressText(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

export interface HostPort {
  /** Empty when the text begins with the colon. */
  readonly host: string;
  /** It stood in brackets, as only an IPv6 address does. */
  readonly bracketed: boolean;
  /** 0 to 99999: what is allowed is the caller's to say. */
  readonly port: number;
}

/** Takes `HOST:PORT`, `[IPv6]:PORT` or `:PORT` apart; null when it is none of them. */
export function splitHostPort(text: string): HostPort | null {
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*)):([0-9]{1,5})$/.exec(text);
  if (match === null) return null;
  const [, inBrackets, plain = '', digits] = match;
  return { host: inBrackets ?? plain, bracketed: inBrackets !== undefined, port: Number(digits) };
}

/**
 * What may have been meant by a text that is no `HOST:PORT`: a scheme and a path are left out, brackets put, a host or
 * a port that is missing is the one given; null when nobody can say.
 */
export function hostPortForm(text: string, host: string, port: number): string | null {
  const bare = text.replace(/^[a-z][a-z0-9+.-]*:\/\//i, '').replace(/\/.*$/, '');
  const parts = splitHostPort(bare);
  if (parts !== null && !(parts.bracketed && parts.host === ''))
    return addressText(parts.host === '' ? host : parts.host, inRange(parts.port) ? parts.port : port);
  const [, six = '', behind] = /^(.*):(\d{1,5})$/.exec(bare) ?? [];
  if (isIP(six) === 6 && inRange(Number(behind))) return addressText(six, Number(behind));
  if (/^\d+$/.test(bare)) return addressText(host, inRange(Number(bare)) ? Number(bare) : port);
  const alone = bare.replace(/^\[(.*)\]$/, '$1');
  return isIP(alone) !== 0 || /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i.test(alone) ? addressText(alone, port) : null;
}

function inRange(port: number): boolean {
  return port >= 1 && port <= 65_535;
}

/** The address as four words of memory hold it in the order of the network; an IPv4 one is the first of them. */
export function wordsOf({ family, value }: IpAddress): Int32Array {
  const words = new Int32Array(4);
  const count = family === 4 ? 1 : 4;
  for (let i = 0; i < count; i++) words[i] = swap32(Number((value >> BigInt((count - 1 - i) * 32)) & 0xffffffffn) | 0);
  return words;
}

/** The other way: the text of the address at words[at..]. */
export function textOfWords(words: Int32Array, at: number, family: 4 | 6): string {
  if (family === 4) {
    const w = words[at] as number;
    return `${w & 255}.${(w >>> 8) & 255}.${(w >>> 16) & 255}.${w >>> 24}`;
  }
  let value = 0n;
  for (let i = 0; i < 4; i++) value = (value << 32n) | BigInt(swap32(words[at + i] as number) >>> 0);
  return formatIp({ family, value });
}

function swap32(word: number): number {
  return (word >>> 24) | ((word >>> 8) & 0xff00) | ((word << 8) & 0xff0000) | (word << 24);
}
