// What an earlier program wrote to --state-file, read by the controller of one that starts with nothing: served until
// there is something newer, without the private keys that are not in it (ADR 20).

import { closeSync, readSync } from 'node:fs';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { decodeEntry } from '../ir/codec.ts';
import type { Entry } from '../ir/ir.ts';
import { mayBeWritten } from '../ir/keys.ts';
import type { StateFileSettings } from '../keeper/state-file.ts';
import { decodeKept, type KeptBy } from '../stream/kept.ts';

/** What is said of it while it is served. */
export interface KeptFacts {
  readonly writtenMs: number;
  /** Listeners of TLS, whose handshakes fail until their keys are read. */
  readonly keyless: number;
}

export interface KeptState extends KeptFacts {
  readonly entries: readonly Entry[];
}

/** Of a controller before this one, as `text` has it. */
export function factsOf(text: string | undefined): KeptFacts | null {
  return text === undefined ? null : JSON.parse(text);
}

/** Reads and closes what the keeper opened. Null, and said, when nothing of it can be served. */
export function takeKept(fd: number, settings: StateFileSettings, log: Logger): KeptState | null {
  const state = read(fd, settings);
  if (typeof state !== 'string') return state;
  log.warn(`--state-file ${settings.path}: ${state}, ignored`);
  return null;
}

function read(fd: number, by: KeptBy): KeptState | string {
  let entries: Entry[];
  let writtenMs: number;
  try {
    const kept = decodeKept(readAll(fd), by);
    if (typeof kept === 'string') return kept;
    writtenMs = kept.writtenMs;
    entries = [...kept.entries.values()].map(decodeEntry);
  } catch (error) {
    return `cannot be read: ${error instanceof Error ? error.message : String(error)}`;
  } finally {
    closeSync(fd);
  }
  if (entries.length === 0) return 'holds nothing';
  return { entries: entries.filter(isUsable), writtenMs, keyless: keylessOf(entries) };
}

/** Without the key that it shows there is no connection to such a backend; a request for it is answered 500. */
function isUsable(entry: Entry): boolean {
  return mayBeWritten(entry.key) && (entry.kind !== 'cluster' || entry.tls === null || entry.tls.certificate === null);
}

function keylessOf(entries: readonly Entry[]): number {
  let count = 0;
  for (const entry of entries)
    if (entry.kind === 'socket') count += entry.hosts.filter(({ tls }) => tls !== null).length;
  return count;
}

function readAll(fd: number): Buffer {
  const parts: Buffer[] = [];
  let size = 0;
  for (;;) {
    const part = Buffer.allocUnsafe(LIMITS.READ_BYTES);
    const n = readSync(fd, part, 0, part.length, size);
    if (n === 0) return Buffer.concat(parts);
    size += n;
    if (size > LIMITS.STATE_FILE_BYTES) throw new Error(`longer than ${LIMITS.STATE_FILE_BYTES} bytes`);
    parts.push(part.subarray(0, n));
  }
}
