// Frames that a peer may send next, of chance: mostly what is legal in the model's eyes, often enough what is not. Each
// move has a seed of its own, so that a sequence can be cut or thinned out and the rest of it stays what it is.

import { FLAG, FRAME_PAYLOAD, TYPE } from '../../src/proxy/http2/frames.ts';
import type { Field } from '../support/hpack.ts';
import { ask, block, word } from '../support/http2.ts';
import type { Chance } from './http1-mutate.ts';
import type { Model, Section, Sent } from './http2-model.ts';

const NUMBERS = [
  0, 1, 2, 100, 16_383, 16_384, 65_535, 65_536, 0xff_ffff, 0x1000000, 0x7fffffff, 0x80000000, 0xffffffff,
];
const PATHS = ['/', '/', '/early', '/never', '/big'];

function sent(type: number, flags: number, stream: number, payload: Uint8Array, more: Partial<Sent> = {}): Sent {
  return { type, flags, stream, payload: Buffer.from(payload), ...more };
}

function padded(chance: Chance, payload: Uint8Array, flags: number): { payload: Buffer; flags: number } {
  const n = chance.next(10);
  if (chance.next(12) === 0) return { payload: Buffer.concat([Buffer.of(255), payload]).subarray(0, 200), flags };
  return { payload: Buffer.concat([Buffer.of(n), payload, Buffer.alloc(n)]), flags: flags | FLAG.PADDED };
}

/** Fields of a request that is good, unless it is said not to be. */
function request(chance: Chance, tag: string): { fields: readonly Field[]; section: Section; announced: number } {
  const announced = chance.next(3) === 0 ? chance.next(30) : -1;
  const method = announced >= 0 ? 'POST' : chance.pick(['GET', 'POST', 'DELETE']);
  const more: Field[] = [['x-tag', tag]];
  if (announced >= 0) more.push(['content-length', String(announced)]);
  if (chance.next(6) === 0) more.push(['x-long', 'y'.repeat(chance.next(3000))]);
  const fields = [...ask(chance.pick(PATHS), more, method)];
  if (chance.next(7) > 0) return { fields, section: 'request', announced };
  const faults: readonly (() => void)[] = [
    () => fields.splice(chance.next(4), 1),
    () => fields.push(['Upper', 'x']),
    () => fields.push(['connection', 'close']),
    () => fields.push([':path', '/again']),
    () => fields.push(['te', 'gzip']),
    () => fields.push(['x-line', 'a\r\nb: c']),
    () => fields.unshift([':unknown', 'x']),
    () => fields.push(['transfer-encoding', 'chunked']),
  ];
  const before = fields.length;
  chance.pick(faults)();
  // Without :authority a request may still be one (section 8.3.1), but here it names no host.
  return { fields, section: before === fields.length ? 'request' : 'malformed', announced };
}

function response(chance: Chance): { fields: readonly Field[]; section: Section; announced: number } {
  const announced = chance.next(3) === 0 ? chance.next(30) : -1;
  const more: Field[] = announced < 0 ? [] : [['content-length', String(announced)]];
  switch (chance.next(10)) {
    case 0:
      return { fields: [[':status', chance.pick(['100', '103'])]], section: 'interim', announced: -1 };
    case 1:
      return { fields: [['x-t', 'only']], section: 'trailers', announced: -1 };
    case 2:
      return { fields: [[':status', '200'], ...more, ['Upper', 'x']], section: 'malformed', announced };
    case 3:
      return { fields: [[':status', '20']], section: 'malformed', announced: -1 };
    default:
      return { fields: [[':status', '200'], ...more], section: 'response', announced };
  }
}

const TRAILERS: readonly Field[] = [['x-t', '1']];

/** HEADERS, and CONTINUATION where it is cut. */
function section(chance: Chance, stream: number, fields: readonly Field[], kind: Section, more: Partial<Sent>): Sent[] {
  const garbage = chance.next(40) === 0;
  const whole = garbage ? Buffer.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f) : block(fields);
  const info = { ...more, section: garbage ? ('garbage' as const) : kind };
  const ends = chance.next(2) === 0 ? FLAG.END_STREAM : 0;
  if (chance.next(4) > 0) {
    let flags = FLAG.END_HEADERS | ends;
    let payload: Buffer = whole;
    if (chance.next(6) === 0) {
      const parent = chance.next(8) === 0 ? stream : 0;
      payload = Buffer.concat([word(parent), Buffer.of(7), payload]);
      if (parent !== stream) flags |= FLAG.PRIORITY;
      else payload = whole;
    }
    if (chance.next(6) === 0) ({ payload, flags } = padded(chance, payload, flags));
    // A pad length that is none is part of the section then, which is garbage.
    const cutShort = payload[0] === 255 && !garbage;
    return [sent(TYPE.HEADERS, flags, stream, payload, cutShort ? { ...info, section: 'garbage' } : info)];
  }
  const cut = chance.next(whole.length + 1);
  const last = chance.next(10) === 0 ? 0 : FLAG.END_HEADERS;
  return [
    sent(TYPE.HEADERS, ends, stream, whole.subarray(0, cut), info),
    ...(chance.next(12) === 0 ? [sent(TYPE.PING, 0, 0, Buffer.alloc(8))] : []),
    sent(TYPE.CONTINUATION, last, chance.next(20) === 0 ? stream + 2 : stream, whole.subarray(cut)),
  ];
}

/** The numbers that a move may name: of streams that are open, over, passed over, nobody's. */
function someId(chance: Chance, model: Model): number {
  const known = [...model.streams.keys()];
  const open = known.filter((id) => model.streams.get(id)?.closed === 'no');
  if (open.length > 0 && chance.next(10) < 7) return chance.pick(open);
  if (known.length > 0 && chance.next(4) > 0) return chance.pick(known);
  return chance.next(2 * known.length + 6);
}

export function move(chance: Chance, model: Model, tag: string): readonly Sent[] {
  const id = someId(chance, model);
  const next = Math.max(-1, ...[...model.streams.keys()].filter((n) => (n & 1) === 1)) + 2;
  switch (chance.next(16)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4: {
      if (model.fromServer) {
        const { fields, section: kind, announced } = response(chance);
        return section(chance, id, fields, kind, { announced });
      }
      const { fields, section: kind, announced } = request(chance, tag);
      const stream = chance.next(12) === 0 ? next + chance.pick([1, 2, 4]) : next;
      return section(chance, stream, fields, kind, { announced, tag });
    }
    case 5:
    case 6:
    case 7: {
      const state = model.streams.get(id);
      const rest = state === undefined || state.announced < 0 ? -1 : state.announced - state.got;
      const size = rest >= 0 && chance.next(3) > 0 ? rest : chance.pick([0, 1, 10, 1000, FRAME_PAYLOAD]);
      let flags = chance.next(3) === 0 ? FLAG.END_STREAM : 0;
      let payload: Buffer = Buffer.alloc(Math.min(size, FRAME_PAYLOAD), 'd');
      if (chance.next(8) === 0 && payload.length < 16_000) ({ payload, flags } = padded(chance, payload, flags));
      if (chance.next(60) === 0) payload = Buffer.alloc(FRAME_PAYLOAD + 1);
      return [sent(TYPE.DATA, flags, id, payload)];
    }
    case 8:
      return section(chance, id, TRAILERS, 'trailers', {});
    case 9:
      return [sent(TYPE.RST_STREAM, 0, id, word(chance.next(15)).subarray(0, chance.next(15) === 0 ? 3 : 4))];
    case 10: {
      const pair = Buffer.alloc(6);
      pair.writeUInt16BE(chance.next(11), 0);
      pair.writeUInt32BE(chance.pick(NUMBERS), 2);
      if (chance.next(10) === 0) return [sent(TYPE.SETTINGS, FLAG.ACK, 0, pair.subarray(0, chance.next(2) * 6))];
      return [sent(TYPE.SETTINGS, 0, chance.next(20) === 0 ? id : 0, pair.subarray(0, chance.next(12) === 0 ? 5 : 6))];
    }
    case 11:
    case 12: {
      const more = word(chance.next(3) === 0 ? chance.pick(NUMBERS) : 1 + chance.next(50_000));
      return [
        sent(TYPE.WINDOW_UPDATE, 0, chance.next(2) === 0 ? 0 : id, more.subarray(0, chance.next(20) === 0 ? 3 : 4)),
      ];
    }
    case 13:
      return [
        sent(TYPE.PING, chance.next(2), chance.next(20) === 0 ? 1 : 0, Buffer.alloc(chance.next(20) === 0 ? 7 : 8)),
      ];
    case 14: {
      const parent = word(chance.next(10) === 0 ? id : 0);
      const size = chance.next(10) === 0 ? 4 : 5;
      if (chance.next(2) === 0)
        return [sent(TYPE.PRIORITY, 0, id, Buffer.concat([parent, Buffer.of(1)]).subarray(0, size))];
      return [
        sent(TYPE.PRIORITY_UPDATE, 0, chance.next(10) === 0 ? 1 : 0, Buffer.concat([word(id), Buffer.from('u=1')])),
      ];
    }
    default: {
      if (chance.next(5) > 0)
        return [sent(0x20 + chance.next(50), chance.next(256), id, Buffer.alloc(chance.next(30)))];
      const type = chance.pick([TYPE.PUSH_PROMISE, TYPE.CONTINUATION, TYPE.HEADERS, TYPE.DATA]);
      return [sent(type, chance.next(256), id, Buffer.alloc(chance.next(20), 0xff), { section: 'garbage' })];
    }
  }
}
