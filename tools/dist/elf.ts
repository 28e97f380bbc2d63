// What is needed of an ELF file (64 bit, little endian; `man 5 elf`): which libraries it asks for, and how long it is
// without what only debuggers and linkers read.

const HEADER_BYTES = 64;
const PT = { LOAD: 1, DYNAMIC: 2, INTERP: 3 } as const;
const DT = { NULL: 0, NEEDED: 1, STRTAB: 5 } as const;

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly bytes: number;
}

function segments(file: Buffer): Segment[] {
  if (file.length < HEADER_BYTES || file.readUInt32BE(0) !== 0x7f454c46 || file[4] !== 2 || file[5] !== 1)
    throw new Error('no ELF file of 64 bits, little endian');
  const [first, size, count] = [Number(file.readBigUInt64LE(32)), file.readUInt16LE(54), file.readUInt16LE(56)];
  return Array.from({ length: count }, (_, i) => {
    const at = first + i * size;
    return {
      type: file.readUInt32LE(at),
      offset: Number(file.readBigUInt64LE(at + 8)),
      address: Number(file.readBigUInt64LE(at + 16)),
      bytes: Number(file.readBigUInt64LE(at + 32)),
    };
  });
}

function textAt(file: Buffer, at: number): string {
  return file.toString('latin1', at, file.indexOf(0, at));
}

/** The loader that starts it, and the names of the libraries it is linked with. */
export function needs(file: Buffer): { interpreter: string | null; libraries: string[] } {
  const all = segments(file);
  const interpreter = all.find((s) => s.type === PT.INTERP);
  const dynamic = all.find((s) => s.type === PT.DYNAMIC);
  const names: number[] = [];
  let strings = 0;
  for (let at = dynamic?.offset ?? 0, end = at + (dynamic?.bytes ?? 0); at < end; at += 16) {
    const [tag, value] = [Number(file.readBigUInt64LE(at)), Number(file.readBigUInt64LE(at + 8))];
    if (tag === DT.NULL) break;
    if (tag === DT.NEEDED) names.push(value);
    if (tag === DT.STRTAB) strings = value;
  }
  const home = all.find((s) => s.type === PT.LOAD && strings >= s.address && strings < s.address + s.bytes);
  const table = home === undefined ? 0 : strings - home.address + home.offset;
  return {
    interpreter: interpreter === undefined ? null : textAt(file, interpreter.offset),
    libraries: names.map((name) => textAt(file, table + name)),
  };
}

/**
 * The file without symbols, debug information and the table of sections: all that lies behind what is loaded. Kernel
 * and loader read program headers only. Of Node that is a fifth.
 */
export function withoutSymbols(file: Buffer): Buffer {
  const end = Math.max(...segments(file).map((s) => s.offset + s.bytes));
  const out = Buffer.from(file.subarray(0, end));
  out.writeBigUInt64LE(0n, 40);
  out.fill(0, 58, HEADER_BYTES);
  return out;
}
