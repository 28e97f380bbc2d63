// What writing messages on costs: `bin/node bench/micro/rewrite.ts [rounds]`. Output as in parse.ts.

import { bytesOf, put } from '../../src/base/bytes.ts';
import { FAULTS } from '../../src/base/errors.ts';
import { newMemory } from '../../src/base/memory.ts';
import { type Answer, TEXT_ANSWERS } from '../../src/proxy/exchange/answer.ts';
import { Head } from '../../src/proxy/head.ts';
import { putAnswer } from '../../src/proxy/http1/answer.ts';
import { parseRequest } from '../../src/proxy/http1/request.ts';
import { parseResponse } from '../../src/proxy/http1/response.ts';
import {
  CRLF,
  copyFields,
  putChunkHead,
  putField,
  putFieldRange,
  putHost,
  putRequestLine,
  putStatusLine,
  stripResponseInPlace,
} from '../../src/proxy/http1/write.ts';
import { type Case, measure } from './measure.ts';
import { REQUEST, RESPONSE } from './messages.ts';

const mem = newMemory(1 << 20);
const IN = 4096;
const PRISTINE = 16384;
const OUT = 32768;

const NAMES = ['X-Forwarded-For', 'X-Forwarded-Proto', 'X-Forwarded-Host', 'X-Forwarded-Port', 'X-Request-ID'].map(
  (n) => bytesOf(n),
);
const NOT_FOUND = TEXT_ANSWERS.of(FAULTS.noRoute) as Answer;
const CLIENT = bytesOf('192.0.2.123');
const ID = bytesOf('01932f6e-5d3b-7c1a-9f00-0123456789ab');

function request(): Case {
  const head = new Head();
  mem.set(bytesOf(REQUEST), IN);
  parseRequest(mem, IN, IN + REQUEST.length, head);
  return {
    name: `request ${REQUEST.length} B with five fields added`,
    run(n) {
      let sum = 0;
      for (let i = 0; i < n; i++) {
        let at = putRequestLine(mem, OUT, head, null);
        at = copyFields(mem, putHost(mem, at, head), head);
        at = putField(mem, at, NAMES[0] as Uint8Array, CLIENT);
        at = putField(mem, at, NAMES[1] as Uint8Array, CLIENT);
        at = putFieldRange(mem, at, NAMES[2] as Uint8Array, head.authorityStart, head.authorityEnd);
        at = putField(mem, at, NAMES[3] as Uint8Array, CLIENT);
        at = putField(mem, at, NAMES[4] as Uint8Array, ID);
        sum += put(mem, at, CRLF);
      }
      return sum;
    },
  };
}

function anew(): Case {
  const head = new Head();
  mem.set(bytesOf(RESPONSE), 8192);
  parseResponse(mem, 8192, 8192 + RESPONSE.length, head, false);
  return {
    name: `response ${RESPONSE.length} B written anew`,
    run(n) {
      let sum = 0;
      for (let i = 0; i < n; i++) sum += put(mem, copyFields(mem, putStatusLine(mem, OUT, head), head), CRLF);
      return sum;
    },
  };
}

/** Stripping changes the head, so each time it is put back and parsed: what is of interest is the difference of the two. */
function again(strip: boolean): Case {
  const head = new Head();
  mem.set(bytesOf(RESPONSE), PRISTINE);
  const at = strip ? 20480 : 24576;
  return {
    name: `response ${RESPONSE.length} B put back, parsed${strip ? ' and stripped in place' : ''}`,
    run(n) {
      let sum = 0;
      for (let i = 0; i < n; i++) {
        mem.copyWithin(at, PRISTINE, PRISTINE + RESPONSE.length);
        parseResponse(mem, at, at + RESPONSE.length, head, false);
        sum += strip ? stripResponseInPlace(mem, head) : head.start;
      }
      return sum;
    },
  };
}

measure('rewrite', Number(process.argv[2] ?? 301), [
  request(),
  anew(),
  again(false),
  again(true),
  {
    name: 'answer 404',
    run(n) {
      let sum = 0;
      for (let i = 0; i < n; i++) sum += putAnswer(mem, OUT, NOT_FOUND, 0, 0, 0, 1_795_000_000_000, false, false);
      return sum;
    },
  },
  {
    name: 'chunk head of 64 KB',
    run(n) {
      let sum = 0;
      for (let i = 0; i < n; i++) sum += putChunkHead(mem, OUT, 65536 - (i & 1));
      return sum;
    },
  },
]);
