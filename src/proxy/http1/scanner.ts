// The scanner of HTTP/1 in WebAssembly: it looks at sixteen bytes at a time, which JavaScript cannot. Everything it
// knows is in two memories: that of the messages, and that of the tables (field-table.ts).
//
//   fields(at, end, table)   reads field lines (RFC 9112 section 5) from `at` up to and including the empty line that
//   ends them span(at, end, set)       finds the first byte that is not in a set
//
// It reads up to 32 bytes at and behind `end` (newMemory leaves room for that), which decide nothing. Why this is worth
// a second language: docs/adr/0007-scanner.md.

import { memoryOf } from '../../base/memory.ts';
import {
  assemble,
  block,
  branch,
  branchIf,
  type Code,
  give,
  i32,
  Local,
  load8,
  load32,
  load128,
  loop,
  store32,
  unreachable,
  v128,
  when,
} from '../../base/wasm.ts';
import { FIELD, type FieldTable, SCANNED, TableBank } from '../field-table.ts';
import {
  FOLD,
  FOLD_WORD,
  KNOWN_LENGTH,
  KNOWN_MASK,
  KNOWN_SHIFT,
  MIX,
  MULTIPLIER,
  NAMES_BYTES,
  SLOTS_AT,
  writeNames,
} from './names.ts';
import { CLASS, COLON, CR, HTAB, LF, QUERY, REG_NAME, SP, TARGET, TOKEN } from './scan.ts';

/** Results of a scan besides the offset behind the empty line: no whole section yet. */
export const SCAN_MORE = 0;
/** What breaks the grammar. */
export const SCAN_BAD = -1;
/** More fields than a table has room for. */
export const SCAN_FULL = -2;
/** Neither a colon nor part of a name stands at the table's SCANNED.STOP, behind a name. */
const SCAN_STOP = -3;

/** Sets for `span`: where each stands in the memory of tables. */
const SETS = [TOKEN, TARGET, QUERY, REG_NAME] as const;
const SETS_AT = NAMES_BYTES;
export const SPAN = { TOKEN: SETS_AT, TARGET: SETS_AT + 16, QUERY: SETS_AT + 32, REG_NAME: SETS_AT + 48 } as const;

type Run = (at: number, end: number, of: number) => number;

// ---- memories
const MESSAGES = 0;
const TABLES = 1;

// ---- parameters and locals
const at = new Local(0);
const end = new Local(1);
/** Where the table stands, and where the field that is read does. */
const table = new Local(2);
const field = new Local(3);
const i = new Local(4);
const id = new Local(5);
const known = new Local(6);
const length = new Local(7);
const first = new Local(8);
const last = new Local(9);
const bits = new Local(10);
const seen = new Local(11);
const twice = new Local(12);
const start = new Local(13);
const v = new Local(14);
const w = new Local(15);

const of = i32.of;

function word(at: Code, index: number): Code {
  return load32(TABLES, at, 4 * index);
}

function setWord(at: Code, index: number, value: Code): Code {
  return store32(TABLES, at, value, 4 * index);
}

/**
 * A set of ASCII characters by the low half of a byte, a bit for each high half (Langdale and Lemire, 2019, section
 * 3.1.2).
 */
function setOf(cls: number): readonly number[] {
  return Array.from({ length: 16 }, (_, low) => {
    let set = 0;
    for (let high = 0; high < 8; high++) if (((CLASS[(high << 4) | low] as number) & cls) !== 0) set |= 1 << high;
    return set;
  });
}
const HIGH = Array.from({ length: 16 }, (_, high) => (high < 8 ? 1 << high : 0));

/** Bits of the sixteen bytes at `i` that are not in the set. */
function outside(set: Code): Code {
  const low = v128.swizzle(set, v128.and(v.tee(load128(MESSAGES, i.get)), v128.all(0x0f)));
  const high = v128.swizzle(v128.of(HIGH), v128.shrU(v.get, of(4)));
  return v128.bits(v128.eq(v128.and(low, high), v128.all(0)));
}

/**
 * Moves i on while the `bits` of its sixteen bytes are zero, then to the first that is not; gives `otherwise` at the
 * end of what arrived.
 */
function search(found: Code, otherwise: Code): Code {
  return [
    ...loop(
      bits.set(found),
      when(i32.eqz(bits.get), i.set(i32.add(i.get, of(16))), branchIf(1, i32.lt(i.get, end.get)), give(otherwise)),
    ),
    ...i.set(i32.add(i.get, i32.ctz(bits.get))),
    ...when(i32.ge(i.get, end.get), give(otherwise)),
  ];
}

/**
 * Bits of the sixteen bytes from `offset` on that are those of the known name; a byte that folds to one of them is none
 * if it is a control.
 */
function sameAs(vector: Local, offset: number): Code {
  const folded = v128.or(vector.tee(load128(MESSAGES, at.get, offset)), v128.all(FOLD));
  const equal = v128.eq(folded, load128(TABLES, known.get, offset));
  return v128.bits(v128.and(equal, v128.gt(vector.get, v128.all(SP))));
}

/** Whether anything of the known name does not stand at `at`. */
const isAnother: Code = i32.and(
  i32.xor(i32.or(sameAs(v, 0), i32.shl(sameAs(w, 16), of(16))), of(-1)),
  load32(TABLES, known.get, KNOWN_MASK),
);

/** The empty line. A bare CR is refused (RFC 9112 section 2.2). */
const emptyLine: Code = [
  ...when(i32.ge(i32.add(i.get, of(1)), end.get), give(of(SCAN_MORE))),
  ...when(i32.ne(load8(MESSAGES, i.get, 1), of(LF)), give(of(SCAN_BAD))),
  ...setWord(table.get, SCANNED.COUNT, i32.shrU(i32.sub(field.get, table.get), of(2 + Math.log2(FIELD.WORDS)))),
  ...setWord(table.get, SCANNED.SEEN, seen.get),
  ...setWord(table.get, SCANNED.TWICE, twice.get),
  ...give(i32.add(i.get, of(2))),
];

/** Which known name, if any, the token [at, i) is. */
const identify: Code = [
  ...length.set(i32.sub(i.get, at.get)),
  ...first.set(i32.or(load32(MESSAGES, at.get), of(FOLD_WORD))),
  ...when(
    i32.lt(length.get, of(4)),
    first.set(i32.and(first.get, i32.sub(i32.shl(of(1), i32.shl(length.get, of(3))), of(1)))),
    last.set(first.get),
  ),
  ...when(i32.ge(length.get, of(4)), last.set(i32.or(load32(MESSAGES, i32.sub(i.get, of(4))), of(FOLD_WORD)))),
  ...id.set(
    load8(
      TABLES,
      i32.shrU(i32.mul(i32.xor(i32.xor(first.get, i32.mul(last.get, of(MIX))), length.get), of(MULTIPLIER)), of(24)),
      SLOTS_AT,
    ),
  ),
  ...known.set(i32.shl(id.get, of(KNOWN_SHIFT))),
  ...when(i32.ne(load32(TABLES, known.get, KNOWN_LENGTH), length.get), id.set(of(0))),
  ...when(isAnother, id.set(of(0))),
];

/** From `at`: sets id, and i to the colon. */
const fieldName: Code = block(
  // Most often the name that stood here in the head before: heads that follow each other are much alike.
  known.set(i32.shl(id.tee(word(field.get, FIELD.NAME)), of(KNOWN_SHIFT))),
  block(
    branchIf(0, i32.eqz(length.tee(load32(TABLES, known.get, KNOWN_LENGTH)))),
    branchIf(0, i32.ge(i.tee(i32.add(at.get, length.get)), end.get)),
    branchIf(0, i32.ne(load8(MESSAGES, i.get), of(COLON))),
    branchIf(0, isAnother),
    branch(1),
  ),
  i.set(at.get),
  search(outside(v128.of(setOf(TOKEN))), of(SCAN_MORE)),
  when(
    i32.eq(i.get, at.get),
    when(i32.eq(load8(MESSAGES, i.get), of(CR)), emptyLine),
    // An empty name, obs-fold (section 5.2), white space before the first field (section 2.2), a bare LF: all refused.
    give(of(SCAN_BAD)),
  ),
  when(i32.ne(load8(MESSAGES, i.get), of(COLON)), setWord(table.get, SCANNED.STOP, i.get), give(of(SCAN_STOP))),
  identify,
);

/** From the colon at i: sets start, i to the end of the value, and `at` behind the line. */
const fieldValue: Code = [
  ...loop(
    i.set(i32.add(i.get, of(1))),
    when(i32.ge(i.get, end.get), give(of(SCAN_MORE))),
    branchIf(0, i32.or(i32.eq(bits.tee(load8(MESSAGES, i.get)), of(SP)), i32.eq(bits.get, of(HTAB)))),
  ),
  ...start.set(i.get),
  // Up to the first control byte other than HTAB.
  ...search(
    v128.bits(
      v128.or(
        v128.andNot(v128.lt(v.tee(load128(MESSAGES, i.get)), v128.all(SP)), v128.eq(v.get, v128.all(HTAB))),
        v128.eq(v.get, v128.all(0x7f)),
      ),
    ),
    of(SCAN_MORE),
  ),
  // NUL, other controls and a bare LF are refused (RFC 9110 section 5.5, RFC 9112 section 2.2).
  ...when(i32.ne(load8(MESSAGES, i.get), of(CR)), give(of(SCAN_BAD))),
  ...when(i32.ge(i32.add(i.get, of(1)), end.get), give(of(SCAN_MORE))),
  ...when(i32.ne(load8(MESSAGES, i.get, 1), of(LF)), give(of(SCAN_BAD))),
  ...at.set(i32.add(i.get, of(2))),
  // White space behind the value.
  ...block(
    loop(
      branchIf(1, i32.eq(i.get, start.get)),
      bits.set(load8(MESSAGES, i32.sub(i.get, of(1)))),
      branchIf(1, i32.and(i32.ne(bits.get, of(SP)), i32.ne(bits.get, of(HTAB)))),
      i.set(i32.sub(i.get, of(1))),
      branch(0),
    ),
  ),
];

const fieldLines: Code = [
  ...field.set(table.get),
  ...loop(
    fieldName,
    when(i32.eq(i32.sub(field.get, table.get), of(4 * SCANNED.COUNT)), give(of(SCAN_FULL))),
    setWord(field.get, FIELD.NAME_START, at.get),
    setWord(field.get, FIELD.NAME_END, i.get),
    setWord(field.get, FIELD.NAME, id.get),
    setWord(field.get, FIELD.DROP, of(0)),
    bits.set(i32.shl(of(1), id.get)),
    twice.set(i32.or(twice.get, i32.and(seen.get, bits.get))),
    seen.set(i32.or(seen.get, bits.get)),
    fieldValue,
    setWord(field.get, FIELD.VALUE_START, start.get),
    setWord(field.get, FIELD.VALUE_END, i.get),
    setWord(field.get, FIELD.LINE_END, at.get),
    field.set(i32.add(field.get, of(4 * FIELD.WORDS))),
    branch(0),
  ),
  ...unreachable,
];

/** A set in place of the table; `end` when all bytes are in it. */
const spanOf: Code = [
  ...when(i32.ge(i.tee(at.get), end.get), give(end.get)),
  ...search(outside(load128(TABLES, table.get)), end.get),
  ...i.get,
];

const LOCALS = { params: 3, integers: 11, vectors: 2 };
const module = assemble(2, [
  { ...LOCALS, name: 'fields', body: fieldLines },
  { ...LOCALS, name: 'span', body: spanOf },
]);

if (SETS_AT + 16 * SETS.length > TableBank.NAMES_BYTES) throw new RangeError('no room for names and sets');

let boundMem: Uint8Array | null = null;
let boundBank: TableBank | null = null;
let runFields: Run = () => SCAN_BAD;
let runSpan: Run = () => 0;

/** A process has one arena, and its heads have their tables in one bank: this happens once. */
function bind(mem: Uint8Array, bank: TableBank): void {
  writeNames(bank.memory);
  for (const [k, cls] of SETS.entries()) bank.memory.set(setOf(cls), SETS_AT + 16 * k);
  const memory = { [MESSAGES]: memoryOf(mem), [TABLES]: memoryOf(bank.memory) };
  const { fields, span } = new WebAssembly.Instance(module, { memory }).exports;
  runFields = fields as Run;
  runSpan = span as Run;
  boundMem = mem;
  boundBank = bank;
}

/** Reads the field lines at mem[at..end) into `table`: the offset behind them, or one of SCAN_*. */
export function scanFields(mem: Uint8Array, at: number, end: number, table: FieldTable): number {
  if (mem !== boundMem || table.bank !== boundBank) bind(mem, table.bank);
  return runFields(at, end, table.at);
}

/** The first byte of mem[at..end) that is not in the set (SPAN), `end` when all are. */
export function span(mem: Uint8Array, at: number, end: number, set: number): number {
  if (mem !== boundMem) bind(mem, boundBank ?? new TableBank());
  return runSpan(at, end, set);
}
