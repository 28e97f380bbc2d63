// What parsing costs: `bin/node bench/micro/parse.ts [rounds]`. One JSON line a case: median, least and most ns per
// operation over rounds in which the cases take turns, so that a drift of the machine hits all alike.

import { bytesOf } from '../../src/base/bytes.ts';
import { BODY, Head } from '../../src/proxy/head.ts';
import { BODY_STATE, BodyReader } from '../../src/proxy/http1/body.ts';
import { parseRequest } from '../../src/proxy/http1/request.ts';
import { parseResponse } from '../../src/proxy/http1/response.ts';
import { findHeadEnd } from '../../src/proxy/http1/scan.ts';
import { type Case, measure } from './measure.ts';

/** 322 bytes, what a browser sends to an API. */
export const REQUEST =
  'GET /api/v1/items/42?x=1 HTTP/1.1\r\nHost: app.example.com\r\n' +
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n' +
  'Accept: application/json, text/plain, */*\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate\r\n' +
  'Cookie: sid=0123456789abcdef; theme=d\r\nConnection: keep-alive\r\n\r\n';
/** 149 bytes. */
export const RESPONSE =
  'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 152\r\nDate: Sat, 21 Nov 2026 12:00:00 GMT\r\n' +
  'Server: demo\r\nConnection: keep-alive\r\n\r\n';
/** What `curl` sends. */
const SMALL = 'GET / HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n';
/** A page's request with client hints and a long cookie. */
const LARGE =
  'GET /shop/category/shoes?page=2&sort=price&utm_source=newsletter HTTP/1.1\r\nHost: www.example.com\r\nConnection: keep-alive\r\n' +
  'sec-ch-ua: "Chromium";v="128", "Not;A=Brand";v="24"\r\nsec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: "Linux"\r\n' +
  'Upgrade-Insecure-Requests: 1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Safari/537.36\r\n' +
  'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\nSec-Fetch-Site: same-origin\r\n' +
  'Sec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\nSec-Fetch-Dest: document\r\nReferer: https://www.example.com/shop/category/shoes\r\n' +
  `Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\nCookie: ${'session=0123456789abcdef; '.repeat(12)}a=b\r\n\r\n`;

const mem = new Uint8Array(1 << 20);
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

measure('parse', Number(process.argv[2] ?? 15), [
  request('request', 4096, REQUEST),
  request('small request', 8192, SMALL),
  request('large request', 12288, LARGE),
  response('response', 16384, RESPONSE),
  headEnd(20480, REQUEST),
  chunks(65536, 8, 1024),
]);
