// Whether a text says yes or no, in the words that Go's strconv.ParseBool takes: what controllers written in Go read
// annotations by.

const YES: ReadonlySet<string> = new Set(['1', 't', 'T', 'true', 'TRUE', 'True']);
const NO: ReadonlySet<string> = new Set(['0', 'f', 'F', 'false', 'FALSE', 'False']);

/** Null: it says neither. */
export function flagOf(text: unknown): boolean | null {
  if (typeof text !== 'string') return null;
  return YES.has(text) ? true : NO.has(text) ? false : null;
}
