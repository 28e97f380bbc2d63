// A strict HTTP/1.1 message reader for tests, written from RFC 9112 alone and sharing nothing with the proxy. It
// refuses everything a careless sender might do: bare LF, folded lines, doubled lengths, bodies that end early.

export type Fields = Map<string, string[]>;

export interface MessageHead {
  /** The head as it came, with its empty line; one character a byte. */
  readonly head: string;
  /** 0 for a request. */
  readonly status: number;
  /** Empty for a response. */
  readonly method: string;
  readonly target: string;
  readonly version: '1.0' | '1.1';
  /** By lower-case name, values in order of arrival. */
  readonly headers: Fields;
  readonly framing: 'none' | 'length' | 'chunked' | 'close';
  /** For `length`, else 0. */
  readonly length: number;
}

export interface Message extends MessageHead {
  readonly body: Uint8Array;
  readonly trailers: Fields;
}

export class Malformed extends Error {}

/** Where a message is read from. */
export interface ByteSource {
  /** Up to and with `text`, one character a byte; rejects when the stream ends before. */
  readUntil(text: string): Promise<string>;
  readExactly(n: number): Promise<Uint8Array>;
  /** Until FIN; rejects on a reset. */
  readAll(): Promise<Uint8Array>;
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** RFC 9110 section 5.5: visible characters, SP, HTAB, obs-text. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** Reads a head. `answersHead`: it answers a HEAD request, so no body follows whatever it says. */
export async function readHead(source: ByteSource, answersHead = false): Promise<MessageHead> {
  const head = await source.readUntil('\r\n\r\n');
  const lines = head.slice(0, -4).split('\r\n');
  for (const line of lines) if (/[\r\n\0]/.test(line)) throw new Malformed(`control bytes in ${JSON.stringify(line)}`);
  const start = lines[0] as string;
  const headers = fieldsOf(lines.slice(1));
  const response = /^HTTP\/(1\.[01]) ([1-5]\d\d) ([\t\x20-\x7e\x80-\xff]*)$/.exec(start);
  const request = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e]+) HTTP\/(1\.[01])$/.exec(start);
  if (response !== null) {
    const status = Number(response[2]);
    const version = response[1] as '1.0' | '1.1';
    const framing = responseFraming(status, headers, answersHead);
    return { head, status, method: '', target: '', version, headers, ...framing };
  }
  if (request === null) throw new Malformed(`start line ${JSON.stringify(start)}`);
  const [, method, target, version] = request as unknown as [string, string, string, '1.0' | '1.1'];
  // RFC 9112 section 3.2: exactly one Host.
  const hosts = headers.get('host') ?? [];
  if (version === '1.1' && hosts.length !== 1) throw new Malformed(`${hosts.length} Host fields`);
  const framing = lengthOf(headers) ?? { framing: 'none', length: 0 };
  return { head, status: 0, method, target, version, headers, ...framing };
}

/** Reads the body that `head` announces, whole. */
export async function readBody(source: ByteSource, head: MessageHead): Promise<{ body: Uint8Array; trailers: Fields }> {
  const trailers: Fields = new Map();
  switch (head.framing) {
    case 'none':
      return { body: new Uint8Array(0), trailers };
    case 'length':
      return { body: await source.readExactly(head.length), trailers };
    case 'close':
      return { body: await source.readAll(), trailers };
    case 'chunked':
      return readChunks(source);
  }
}

export async function readMessage(source: ByteSource, answersHead = false): Promise<Message> {
  const head = await readHead(source, answersHead);
  return { ...head, ...(await readBody(source, head)) };
}

/** RFC 9112 section 7.1. */
async function readChunks(source: ByteSource): Promise<{ body: Uint8Array; trailers: Fields }> {
  const chunks: Uint8Array[] = [];
  for (;;) {
    const line = (await source.readUntil('\r\n')).slice(0, -2);
    const size = /^([0-9a-fA-F]{1,13})([\t ]*;[\t\x20-\x7e\x80-\xff]*)?$/.exec(line)?.[1];
    if (size === undefined) throw new Malformed(`chunk size line ${JSON.stringify(line)}`);
    const length = Number.parseInt(size, 16);
    if (length === 0) break;
    chunks.push(await source.readExactly(length));
    const end = Buffer.from(await source.readExactly(2)).toString('latin1');
    if (end !== '\r\n') throw new Malformed(`chunk of ${length} bytes ends with ${JSON.stringify(end)}`);
  }
  const lines: string[] = [];
  for (;;) {
    const line = (await source.readUntil('\r\n')).slice(0, -2);
    if (line === '') break;
    lines.push(line);
  }
  return { body: Buffer.concat(chunks), trailers: fieldsOf(lines) };
}

function fieldsOf(lines: readonly string[]): Fields {
  const fields: Fields = new Map();
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon);
    const value = line.slice(colon + 1).replace(/^[\t ]+|[\t ]+$/g, '');
    if (colon < 0 || !TOKEN.test(name) || !VALUE.test(value)) throw new Malformed(`field ${JSON.stringify(line)}`);
    const key = name.toLowerCase();
    const values = fields.get(key);
    if (values === undefined) fields.set(key, [value]);
    else values.push(value);
  }
  return fields;
}

type Framing = Pick<MessageHead, 'framing' | 'length'>;

/** RFC 9112 section 6.3. */
function responseFraming(status: number, headers: Fields, answersHead: boolean): Framing {
  const announced = lengthOf(headers);
  if (status < 200 || status === 204) {
    // RFC 9110 section 8.6, RFC 9112 section 6.1: neither field may be sent with them.
    if (announced !== null) throw new Malformed(`body length in a ${status}`);
    return { framing: 'none', length: 0 };
  }
  if (answersHead || status === 304) return { framing: 'none', length: 0 };
  return announced ?? { framing: 'close', length: 0 };
}

function lengthOf(headers: Fields): Framing | null {
  const lengths = headers.get('content-length') ?? [];
  const codings = headers.get('transfer-encoding') ?? [];
  if (lengths.length > 0 && codings.length > 0) throw new Malformed('both Content-Length and Transfer-Encoding');
  if (lengths.length > 1 || codings.length > 1) throw new Malformed('body length given twice');
  if (codings.length === 1) {
    if (codings[0] !== 'chunked') throw new Malformed(`transfer coding ${codings[0]}`);
    return { framing: 'chunked', length: 0 };
  }
  if (lengths.length === 0) return null;
  const text = lengths[0] as string;
  if (!/^\d{1,15}$/.test(text)) throw new Malformed(`Content-Length ${JSON.stringify(text)}`);
  return { framing: 'length', length: Number(text) };
}
