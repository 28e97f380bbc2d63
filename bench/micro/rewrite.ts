// What writing messages on costs: `bin/node bench/micro/rewrite.ts [rounds]`. Output as in parse.ts.

import { bytesOf, put } from '../../src/base/bytes.ts';
import { FAULTS } from '../../src/base/errors.ts';
import { newMemory } from '../../src/base/memory.ts';
import { type Answer, TEXT_ANSWERS } from '../../src/proxy/exchange/answer.ts';
import { putForwarded } from '../../src/proxy/exchange/forwarded.ts';
import { Head } from '../../src/proxy/head.ts';
import { putAnswer } from '../../src/proxy/http1/answer.ts';
import { parseRequest } from '../../src/proxy/http1/request.ts';
import { parseResponse } from '../../src/proxy/http1/response.ts';
import { putChunkHead, putStatusLine, stripResponseInPlace } from '../../src/proxy/http1/write.ts';
import { CRLF, copyFields, copyLineAndFields } from '../../src/proxy/lines.ts';
import { type Case, measure } from './measure.ts';
import { REQUEST, RESPONSE } from './messages.ts';

const mem = newMemory(1 << 20);
const IN = 4096;
const PRISTINE = 16384;
const OUT = 32768;

const NOT_FOUND = TEXT_ANSWERS.of(FAULTS.noRoute) as Answer;
const ID_AT = 1024;
mem.set(bytesOf('01932f6e-5d3b-7c1a-9f00-0123456789ab'), ID_AT);
const CLIENT = bytesOf('192.0.2.123');

function request(): Case {
  const head = new Head();
  mem.set(bytesOf(REQUEST), IN);
  parseRequest(mem, IN, IN + REQUEST.length, head);
  return {
    name: `request ${REQUEST.length} B with X-Forwarded-For, -Proto, -Host and X-Request-ID added`,
    run(n) {
      let sum = 0;
      for (let i = 0; i < n; i++) {
        const at = copyLineAndFields(mem, OUT, head);
        sum += put(mem, putForwarded(mem, at, head, CLIENT, false, false, ID_AT, null), CRLF);
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

/**
 * Stripping changes the head, so each time it is put back and parsed: what is of interest is the difference of the two.
 */
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
