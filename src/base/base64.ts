// Standard Base64 with padding (RFC 4648 section 4) by the thousand: whether a text is some is seen by what the decoder
// makes of it, which costs a tenth of looking at each character by an expression.

/** Where what is not longer is decoded: a block for each would be garbage that the collector has to look after. */
const SCRATCH = Buffer.allocUnsafeSlow(16 * 1024);

/**
 * What a text says that is wholly digits in groups of four, the last one padded, and line feeds anywhere, one character
 * a byte; null for whatever is not, though others may read it.
 */
export function plainBase64(text: string): string | null {
  const length = text.length - lineFeeds(text);
  // What the decoder takes for digits and is none: two of another alphabet (section 5), and characters that are no
  // ASCII, of which it sees one byte.
  if (length % 4 !== 0 || text.includes('-') || text.includes('_')) return null;
  if (Buffer.byteLength(text) !== text.length) return null;
  // What else is no digit is passed over, and misses here.
  const bytes = (length / 4) * 3 - padding(text);
  if (text.length > SCRATCH.length) {
    const own = Buffer.from(text, 'base64');
    return own.length === bytes ? own.toString('latin1') : null;
  }
  const read = SCRATCH.write(text, 'base64');
  const said = read === bytes ? SCRATCH.toString('latin1', 0, read) : null;
  // It may have been a key.
  SCRATCH.fill(0, 0, read);
  return said;
}

function lineFeeds(text: string): number {
  let n = 0;
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) n++;
  return n;
}

const [LINE_FEED, PAD] = [0x0a, 0x3d];

/** How many of the last characters fill up the last group: two at the most. */
function padding(text: string): number {
  let last = text.length - 1;
  while (text.charCodeAt(last) === LINE_FEED) last--;
  if (text.charCodeAt(last) !== PAD) return 0;
  return text.charCodeAt(last - 1) === PAD ? 2 : 1;
}
