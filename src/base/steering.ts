// Characters that steer the reader instead of being read: controls, marks that turn the direction of writing, and those
// that are shown as nothing at all. Wherever text that came from outside is shown (logs, pages, messages), they are
// escaped, so that no input can move a terminal's cursor, turn a line around or hide in one.

/**
 * Cc, Cf, Zl, Zp, lone surrogates and Default_Ignorable_Code_Point (Unicode 16, DerivedCoreProperties.txt: the
 * bidirectional controls, zero-width characters, variation selectors, tags, fillers and the byte order mark are all
 * among them).
 */
const STEERING = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;

/**
 * The same as ranges (first, last, first, last ...), for text that is not a string. Below 0xa0 they are those of Cc.
 */
const RANGES = Int32Array.of(
  ...[0x00, 0x1f, 0x7f, 0x9f, 0xad, 0xad, 0x34f, 0x34f, 0x600, 0x605, 0x61c, 0x61c, 0x6dd, 0x6dd, 0x70f, 0x70f],
  ...[0x890, 0x891, 0x8e2, 0x8e2, 0x115f, 0x1160, 0x17b4, 0x17b5, 0x180b, 0x180f, 0x200b, 0x200f, 0x2028, 0x202e],
  ...[0x2060, 0x206f, 0x3164, 0x3164, 0xd800, 0xdfff, 0xfe00, 0xfe0f, 0xfeff, 0xfeff, 0xffa0, 0xffa0, 0xfff0, 0xfffb],
  ...[0x110bd, 0x110bd, 0x110cd, 0x110cd, 0x13430, 0x1343f, 0x1bca0, 0x1bca3, 0x1d173, 0x1d17a, 0xe0000, 0xe0fff],
);

/** Whether the Unicode code point `code` is one of them. */
export function steers(code: number): boolean {
  let low = 0;
  let high = RANGES.length >> 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (code > (RANGES[2 * middle + 1] as number)) low = middle + 1;
    else high = middle;
  }
  return low < RANGES.length >> 1 && code >= (RANGES[2 * low] as number);
}

/** For people: `\x1b`, `\u{202e}`. A newline is one of them too. */
export function visible(text: string): string {
  return text.replace(STEERING, (c) => {
    const code = c.codePointAt(0) as number;
    return code <= 0xff ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
  });
}

/**
 * For text that is JSON already: what JSON.stringify leaves as it is becomes `\u202e`; newlines between tokens stay.
 */
export function visibleJson(json: string): string {
  return json.replace(STEERING, (c) => (c === '\n' ? c : units(c)));
}

/** Each UTF-16 unit as \uXXXX. */
function units(c: string): string {
  let out = '';
  for (let i = 0; i < c.length; i++) out += `\\u${c.charCodeAt(i).toString(16).padStart(4, '0')}`;
  return out;
}
