// What parsing costs: `bin/node bench/micro/parse.ts [rounds]`. One JSON line a case: median, least and most ns per
// operation over rounds in which the cases take turns, so that a drift of the machine hits all alike.

import { bytesOf } from '../../src/base/bytes.ts';
import { newMemory } from '../../src/base/memory.ts';
import { BODY, Head } from '../../src/proxy/head.ts';
import { BODY_STATE, BodyReader } from '../../src/proxy/http1/body.ts';
import { parseRequest } from '../../src/proxy/http1/request.ts';
import { parseResponse } from '../../src/proxy/http1/response.ts';
import { findHeadEnd } from '../../src/proxy/http1/scan.ts';
import { type Case, measure } from './measure.ts';
import { LARGE, REQUEST, RESPONSE, SMALL } from './messages.ts';

const mem = newMemory(1 << 20);
const head = new Head();
const body = new BodyReader();

function place(at: number, text: string): number {
  mem.set(bytesOf(text), at);
  return at + text.length;
}

function request(name: string, at: number, text: string): Case {
  const end = place(at, text);
  return {
    name: `${name} ${text.length} B`,
    run(n) {
      let sum = 0;
      for (let i = 0; i < n; i++) sum += parseRequest(mem, at, end, head) + head.count;
      return sum;
    },
  };
}

function response(name: string, at: number, text: string): Case {
  const end = place(at, text);
  return {
    name: `${name} ${text.length} B`,
    run(n) {
      let sum = 0;
      for (let i = 0; i < n; i++) sum += parseResponse(mem, at, end, head, false) + head.count;
      return sum;
    },
  };
}

function headEnd(at: number, text: string): Case {
  const end = place(at, text);
  return {
    name: `find the end of ${text.length} B`,
    run(n) {
      let sum = 0;
      for (let i = 0; i < n; i++) sum += findHeadEnd(mem, at, end);
      return sum;
    },
  };
}

function chunks(at: number, count: number, size: number): Case {
  const chunk = `${size.toString(16)}\r\n${'x'.repeat(size)}\r\n`;
  const end = place(at, `${chunk.repeat(count)}0\r\n\r\n`);
  return {
    name: `read a body of ${count} chunks of ${size} B`,
    run(n) {
      let sum = 0;
      for (let i = 0; i < n; i++) {
        body.reset(BODY.CHUNKED, 0);
        body.next = at;
        while (body.read(mem, body.next, end) === BODY_STATE.DATA) sum += body.dataEnd - body.dataStart;
      }
      return sum;
    },
  };
}

measure('parse', Number(process.argv[2] ?? 301), [
  request('request', 4096, REQUEST),
  request('small request', 8192, SMALL),
  request('large request', 12288, LARGE),
  response('response', 16384, RESPONSE),
  headEnd(20480, REQUEST),
  chunks(65536, 8, 1024),
]);
