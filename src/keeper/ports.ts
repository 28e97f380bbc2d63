// Who listens on a port already: the kernel's list of listening sockets, and which process has one of them open. Only
// asked when a port is found taken.

import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, readSync } from 'node:fs';
import { parseIp } from '../base/ip.ts';

/** State of a socket that takes connections, and of one for datagrams that hears from everybody. */
const LISTEN = '0A';
const UNCONNECTED = '07';
/** ::ffff:0:0/96, as /proc/net/tcp6 writes it. */
const MAPPED = '0000000000000000FFFF0000';
const CHUNK_BYTES = 64 * 1024;
/** The entry of this program, as command lines name it. */
const MAIN = '/src/main/main.js';

/** A listening socket of another process. */
export interface Listening {
  /** As the kernel writes it: hexadecimal words in the machine's order. */
  readonly address: string;
  readonly inode: string;
  readonly uid: number;
}

export interface Holder {
  readonly uid: number;
  /** null when its process cannot be seen from here. */
  readonly pid: number | null;
  readonly name: string;
}

/** Sockets of others that listen where `address` and `port` lie; none when only this process does, or nobody. */
export function othersOn(transport: 'tcp' | 'udp', address: string, port: number, proc = '/proc'): Listening[] {
  const own = socketsOf('self', proc);
  return listenersOn(transport, address, port, proc).filter((l) => !own.has(l.inode));
}

/** Whether this process listens there itself. */
export function isOwn(transport: 'tcp' | 'udp', address: string, port: number, proc = '/proc'): boolean {
  const own = socketsOf('self', proc);
  return listenersOn(transport, address, port, proc).some((l) => own.has(l.inode));
}

function listenersOn(transport: 'tcp' | 'udp', address: string, port: number, proc: string): Listening[] {
  return [...listening(transport, port, proc), ...listening(`${transport}6`, port, proc)].filter((l) =>
    overlaps(address, l.address),
  );
}

/** Whose they are: looks through all processes. */
export function holdersOf(others: readonly Listening[], proc = '/proc'): Holder[] {
  const holders = new Map<string, Holder>();
  const pids = readdir(proc).filter((name) => /^\d+$/.test(name));
  for (const { inode, uid } of others) {
    const pid = eldest(pids, inode, proc);
    holders.set(`${pid} ${uid}`, { uid, pid, name: pid === null ? '' : nameOf(pid, proc) });
  }
  return [...holders.values()];
}

/** For people: `another rauta, pid 17`, `nginx, pid 4`, `a process of user 33 that cannot be seen from here`. */
export function describeHolder({ uid, pid, name }: Holder): string {
  return pid === null ? `a process of user ${uid} that cannot be seen from here` : `${name}, pid ${pid}`;
}

/** Sockets that listen on `port`. Of TCP they come first in the kernel's list, so the connections are not read. */
function listening(protocol: 'tcp' | 'tcp6' | 'udp' | 'udp6', port: number, proc: string): Listening[] {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const datagrams = protocol.startsWith('udp');
  const found: Listening[] = [];
  for (const line of lines(`${proc}/net/${protocol}`)) {
    const [slot = '', local = '', , state = '', , , , uid = '', , inode = ''] = line.trim().split(/\s+/);
    if (!/^\d+:$/.test(slot)) continue;
    if (datagrams && state !== UNCONNECTED) continue;
    if (!datagrams && state !== LISTEN) break;
    if (local.endsWith(suffix)) found.push({ address: local.slice(0, -suffix.length), inode, uid: Number(uid) });
  }
  return found;
}

function* lines(path: string): Generator<string> {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    return;
  }
  try {
    const chunk = Buffer.alloc(CHUNK_BYTES);
    let held = '';
    for (;;) {
      const n = readSync(fd, chunk);
      if (n === 0) break;
      const parts = (held + chunk.toString('latin1', 0, n)).split('\n');
      held = parts.pop() as string;
      yield* parts;
    }
  } finally {
    closeSync(fd);
  }
}

/** Whether the kernel may refuse `address` because of a socket on the address it writes as `hex`. */
function overlaps(address: string, hex: string): boolean {
  const ip = parseIp(address);
  if (ip === null) return false;
  const anybody = (text: string): boolean => /^0+$/.test(text);
  const mine = hexOf(ip.value, ip.family === 4 ? 4 : 16);
  if (hex.length === mine.length) return anybody(hex) || anybody(mine) || hex === mine;
  // Our IPv6 sockets take IPv6 only. Which of the others do is not in the list.
  if (ip.family === 6) return false;
  return anybody(hex) || (hex.startsWith(MAPPED) && (anybody(mine) || hex.endsWith(mine)));
}

/** As /proc/net/tcp writes an address: 32-bit words, each in the machine's order, which is little-endian on both. */
function hexOf(value: bigint, bytes: number): string {
  const words: string[] = [];
  for (let at = bytes - 4; at >= 0; at -= 4) {
    const word = Buffer.alloc(4);
    word.writeUInt32LE(Number((value >> BigInt(at * 8)) & 0xffffffffn));
    words.push(word.toString('hex').toUpperCase());
  }
  return words.join('');
}

/** Of the processes that have the socket open, the one whose parent has not. */
function eldest(pids: readonly string[], inode: string, proc: string): number | null {
  const having = pids.filter((pid) => socketsOf(pid, proc).has(inode));
  const first = having.find((pid) => !having.includes(parentOf(pid, proc))) ?? having[0];
  return first === undefined ? null : Number(first);
}

/** Inodes of the sockets that a process has open; none when it may not be looked into. */
function socketsOf(pid: string, proc: string): Set<string> {
  const found = new Set<string>();
  for (const fd of readdir(`${proc}/${pid}/fd`)) {
    try {
      const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`${proc}/${pid}/fd/${fd}`))?.[1];
      if (inode !== undefined) found.add(inode);
    } catch {
      // Closed meanwhile.
    }
  }
  return found;
}

function parentOf(pid: string, proc: string): string {
  const stat = read(`${proc}/${pid}/stat`);
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1] ?? '';
}

function nameOf(pid: number, proc: string): string {
  const command = read(`${proc}/${pid}/cmdline`).split('\0');
  if (command.some((argument) => argument.endsWith(MAIN))) return 'another rauta';
  return read(`${proc}/${pid}/comm`).trim() || 'a process';
}

function readdir(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
