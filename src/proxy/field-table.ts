// Where the fields of heads stand: tables of integers in memory that WebAssembly writes (http1/scanner.ts) and
// JavaScript reads.

import { LIMITS } from '../base/limits.ts';
import { newMemory } from '../base/memory.ts';

/** What a table holds of a field, in words from FIELD.WORDS times its index. */
export const FIELD = {
  WORDS: 8,
  NAME_START: 0,
  NAME_END: 1,
  /** The value without surrounding white space. */
  VALUE_START: 2,
  VALUE_END: 3,
  /** HTTP/1: where the field line ends, behind its CRLF; the line begins at NAME_START. */
  LINE_END: 4,
  /** NAME id. */
  NAME: 5,
  /** 1: the field is not forwarded (hop-by-hop, replaced, removed by a filter). The parser marks hop-by-hop fields. */
  DROP: 6,
} as const;

/** The most that any head holds. */
const FIELDS_WORDS = LIMITS.RESPONSE_FIELDS * FIELD.WORDS;

/** What a table holds behind its fields, in words. */
export const SCANNED = {
  COUNT: FIELDS_WORDS,
  SEEN: FIELDS_WORDS + 1,
  TWICE: FIELDS_WORDS + 2,
  /** Where the scanner found no colon behind a name. */
  STOP: FIELDS_WORDS + 3,
} as const;

const TABLE_WORDS = FIELDS_WORDS + FIELD.WORDS;
/** A worker has four heads; tests have many. */
const BANK_TABLES = 16;

/** Memory of several tables, which what scans for them shares. */
export class TableBank {
  /** In front, for whoever scans: what it needs to know of names. */
  static readonly NAMES_BYTES = 2048;
  readonly memory = newMemory(TableBank.NAMES_BYTES + BANK_TABLES * TABLE_WORDS * 4);
  used = 0;
}

let bank = new TableBank();

/** The table of one head. */
export class FieldTable {
  readonly bank: TableBank;
  /** Its offset in the bank's memory, in bytes. */
  readonly at: number;
  readonly words: Int32Array;

  constructor() {
    if (bank.used === BANK_TABLES) bank = new TableBank();
    this.bank = bank;
    this.at = TableBank.NAMES_BYTES + bank.used++ * TABLE_WORDS * 4;
    this.words = new Int32Array(bank.memory.buffer, this.at, TABLE_WORDS);
  }
}
