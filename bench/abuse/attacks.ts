// What a client of HTTP/2 can do to make work that leads to nothing (RFC 9113 section 10.5), as frames: what a
// connection says first, then what it says over and over as fast as it is taken. Shared by the bench that shows what
// each costs, and by the test that shows how each ends (test/attack/abuse.test.ts).

import { FLAG, TYPE } from '../../src/proxy/http2/frames.ts';
import { SETTING } from '../../src/proxy/http2/settings.ts';
import { ask, block, data, frame, head, settings, windowUpdate, word } from '../../test/support/http2.ts';

export interface Attack {
  readonly name: string;
  readonly what: string;
  /** Behind the preface. */
  readonly first: readonly Uint8Array[];
  /** The nth time; null: it says no more, and holds what it has. */
  readonly more: ((n: number) => readonly Uint8Array[]) | null;
  /** How the program may end it, by the name of the code; `open`: not at all, it costs what requests cost. */
  readonly end: string;
}

/** A large response, and a small one. */
const LARGE = '/static/1m';
const SMALL = '/api/v1/items/1';
const CALM = 'ENHANCE_YOUR_CALM';
/** Streams that a client may have open. */
const STREAMS = 128;
/** Nothing is granted: no response gets further than its head. */
const NO_WINDOW = settings([[SETTING.INITIAL_WINDOW_SIZE, 0]]);
const HELLO = [settings()];
const POST = head(1, ask(SMALL, [], 'POST'), false);
const odd = (n: number): number => 2 * n + 1;
const all = (make: (id: number) => Uint8Array): Uint8Array[] => Array.from({ length: STREAMS }, (_, n) => make(odd(n)));

/** An entry of nearly the whole table, then its index (62) over and over: 4 KB a byte. */
const BOMB = Buffer.concat([
  block(ask(SMALL)),
  Buffer.of(0x40),
  block([['x-bomb', 'b'.repeat(4000)]]).subarray(1),
  Buffer.alloc(9000, 0xbe),
]);
const FIELDS = ask(
  SMALL,
  Array.from({ length: 1000 }, (_, n) => [`x-${n}`, 'y'] as const),
);

export const ATTACKS: readonly Attack[] = [
  {
    name: 'rapid reset',
    what: 'a request and its RST_STREAM, CVE-2023-44487',
    first: HELLO,
    more: (n) => [head(odd(n), ask(SMALL)), frame(TYPE.RST_STREAM, 0, odd(n), word(8))],
    end: CALM,
  },
  {
    name: 'made you reset, by a window of 0',
    what: 'a request, and a fault for which we reset it, CVE-2025-8671',
    first: HELLO,
    more: (n) => [head(odd(n), ask(SMALL)), windowUpdate(odd(n), 0)],
    end: CALM,
  },
  {
    name: 'made you reset, by content behind the end',
    what: 'the same by DATA',
    first: HELLO,
    more: (n) => [head(odd(n), ask(SMALL)), data(odd(n), 'x')],
    end: CALM,
  },
  {
    name: 'malformed requests',
    what: 'each is reset',
    first: HELLO,
    more: (n) => [head(odd(n), ask('no slash'))],
    end: CALM,
  },
  {
    name: 'more streams than may be',
    what: 'beyond SETTINGS_MAX_CONCURRENT_STREAMS, each refused',
    first: [...HELLO, ...all((id) => head(id, ask(SMALL, [], 'POST'), false))],
    more: (n) => [head(odd(STREAMS + n), ask(SMALL, [], 'POST'), false)],
    end: CALM,
  },
  {
    name: 'CONTINUATION, empty',
    what: 'a field section that never ends, CVE-2024-27316',
    first: [...HELLO, frame(TYPE.HEADERS, FLAG.END_STREAM, 1, block(ask(SMALL)))],
    more: () => [frame(TYPE.CONTINUATION, 0, 1)],
    end: CALM,
  },
  {
    name: 'CONTINUATION, full',
    what: 'the same, 16 KB at a time',
    first: [...HELLO, frame(TYPE.HEADERS, FLAG.END_STREAM, 1, block(ask(SMALL)))],
    more: () => [frame(TYPE.CONTINUATION, 0, 1, Buffer.alloc(16_384, 0x86))],
    end: CALM,
  },
  {
    name: 'SETTINGS',
    what: 'each is acknowledged, CVE-2019-9515',
    first: HELLO,
    more: () => [settings([[SETTING.MAX_FRAME_SIZE, 16_384]])],
    end: CALM,
  },
  {
    name: 'PING',
    what: 'each is answered, CVE-2019-9512',
    first: HELLO,
    more: () => [frame(TYPE.PING, 0, 0, '12345678')],
    end: CALM,
  },
  {
    name: 'empty DATA',
    what: 'frames of content without any, CVE-2019-9518',
    first: [...HELLO, POST],
    more: () => [frame(TYPE.DATA, 0, 1)],
    end: CALM,
  },
  {
    name: 'tiny windows',
    what: '1 MB in steps of one byte, CVE-2019-9511',
    first: [NO_WINDOW, head(1, ask(LARGE))],
    more: () => [windowUpdate(1, 1)],
    end: CALM,
  },
  {
    name: 'no windows, held',
    what: `${STREAMS} responses of 1 MB on each connection that nobody takes`,
    first: [NO_WINDOW, ...all((id) => head(id, ask(LARGE)))],
    more: null,
    end: 'open',
  },
  {
    name: 'streams opened and left',
    what: `${STREAMS} requests on each connection whose content never comes`,
    first: [...HELLO, ...all((id) => head(id, ask(SMALL, [], 'POST'), false))],
    more: null,
    end: 'open',
  },
  {
    name: 'a window beyond its end',
    what: 'the connection’s, by 2^31-1',
    first: [...HELLO, windowUpdate(0, 0x7fffffff)],
    more: null,
    end: 'FLOW_CONTROL_ERROR',
  },
  {
    name: 'HPACK bomb',
    what: '9,000 bytes that stand for 36 MB of fields',
    first: HELLO,
    more: (n) => [frame(TYPE.HEADERS, FLAG.END_STREAM | FLAG.END_HEADERS, odd(n), BOMB)],
    end: CALM,
  },
  {
    name: 'many fields',
    what: '1,000 fields in each request, answered 431',
    first: HELLO,
    more: (n) => [head(odd(n), FIELDS)],
    end: 'open',
  },
  {
    name: 'PRIORITY',
    what: 'of RFC 7540, without meaning now',
    first: HELLO,
    more: (n) => [frame(TYPE.PRIORITY, 0, odd(n % 1000), '\0\0\0\0\x10')],
    end: CALM,
  },
  {
    name: 'PRIORITY_UPDATE',
    what: 'of streams that are not open (RFC 9218 section 7.1)',
    first: HELLO,
    more: (n) => [frame(TYPE.PRIORITY_UPDATE, 0, 0, Buffer.concat([word(odd(n % 100_000)), Buffer.from('u=0')]))],
    end: CALM,
  },
];
