// A port that is this process's until it ends, whoever listens there, on one address or on all, or nobody: others ask
// the kernel for any port all the time, and what was found free a moment ago may be theirs.

import { ADDRESS_BYTES, decodeAddress, encodeAddress } from '../../src/native/address.ts';
import { Arena } from '../../src/native/arena.ts';
import * as c from '../../src/native/ffi.ts';
import { AF, SO, SOCK, SOL } from '../../src/native/layout.ts';

/** Where an address stands in the memory, behind an integer for calls. */
const NAME_AT = 64;
let arena: Arena | null = null;

/**
 * Bound on every address and never listening: the kernel gives the port to nobody else who asks for any (neither to
 * listen nor to connect from), whoever connects is refused, and a socket with SO_REUSEADDR may listen there, again and
 * again.
 */
export function heldPort(): number {
  arena ??= new Arena(1 << 16);
  const { mem, base } = arena;
  const word = new Int32Array(mem.buffer, mem.byteOffset, 1);
  const fd = c.socket(AF.INET, SOCK.STREAM | SOCK.CLOEXEC, 0);
  word[0] = 1;
  const length = encodeAddress(mem, NAME_AT, { family: 'ipv4', address: '0.0.0.0', port: 0 });
  const bound = c.setsockopt(fd, SOL.SOCKET, SO.REUSEADDR, base, 4) === 0 && c.bind(fd, base + NAME_AT, length) === 0;
  word[0] = ADDRESS_BYTES;
  if (!bound || c.getsockname(fd, base + NAME_AT, base) !== 0) throw new Error(`no port: errno ${c.errno()}`);
  const name = decodeAddress(mem, NAME_AT, word[0] as number);
  if (name.family === 'unix') throw new Error('no port');
  return name.port;
}
