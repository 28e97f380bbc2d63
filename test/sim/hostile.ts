// What attackers send to be read differently by the proxy and by what stands behind it (RFC 9112 section 11.2), and
// what broken backends answer. SMUGGLED stands where only a misreading takes it for a request.

export const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nHost: sim.example\r\nX-Token: smuggled\r\n\r\n';

/** A chunk that holds the smuggled request, framed rightly. */
const AS_CHUNK = `${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n0\r\n\r\n`;

function post(fields: string, rest: string, version = '1.1'): string {
  return `POST /hostile HTTP/${version}\r\nHost: sim.example\r\nX-Token: hostile\r\n${fields}\r\n${rest}`;
}

/** Each is sent on a connection of its own; the smuggled request must reach no backend. */
export const HOSTILE_REQUESTS: readonly string[] = [
  // RFC 9112 section 6.3, item 3: both lengths
  post('Content-Length: 6\r\nTransfer-Encoding: chunked\r\n', `0\r\n\r\n${SMUGGLED}`),
  post(`Transfer-Encoding: chunked\r\nContent-Length: ${SMUGGLED.length}\r\n`, `0\r\n\r\n${SMUGGLED}`),
  // item 5: lengths that are none, or two
  post('Content-Length: 0\r\nContent-Length: 5\r\n', `12345${SMUGGLED}`),
  post('Content-Length: 0, 5\r\n', SMUGGLED),
  post('Content-Length: +0\r\n', SMUGGLED),
  post('Content-Length: 0x0\r\n', SMUGGLED),
  post('Content-Length: -1\r\n', SMUGGLED),
  post('Content-Length: 0 0\r\n', SMUGGLED),
  post('Content-Length:\r\n', SMUGGLED),
  post('Content-Length: 99999999999999999999999\r\n', SMUGGLED),
  // section 6.1: codings
  post('Transfer-Encoding: identity\r\n', SMUGGLED),
  post('Transfer-Encoding: xchunked\r\n', SMUGGLED),
  post('Transfer-Encoding: chunked, identity\r\n', `0\r\n\r\n${SMUGGLED}`),
  post('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n', `0\r\n\r\n${SMUGGLED}`),
  post('Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n', `0\r\n\r\n${SMUGGLED}`),
  post('Transfer-Encoding:\x0bchunked\r\n', `0\r\n\r\n${SMUGGLED}`),
  post('Transfer-Encoding: "chunked"\r\n', `0\r\n\r\n${SMUGGLED}`),
  post('Transfer-Encoding: chunked\r\n', `0\r\n\r\n${SMUGGLED}`, '1.0'),
  // section 5.1: white space before the colon; section 5.2: folded lines; section 2.2: bare CR, bare LF
  post('Transfer-Encoding : chunked\r\n', `0\r\n\r\n${SMUGGLED}`),
  post('X: y\r\n Content-Length: 5\r\n', `12345${SMUGGLED}`),
  post('X: y\rTransfer-Encoding: chunked\r\n', `0\r\n\r\n${SMUGGLED}`),
  post('X: y\nTransfer-Encoding: chunked\r\n', `0\r\n\r\n${SMUGGLED}`),
  post('X: \0\r\n', SMUGGLED),
  post(': x\r\n', SMUGGLED),
  post('no colon\r\n', SMUGGLED),
  post('', SMUGGLED).replaceAll('\r\n', '\n'),
  // section 7.1: chunks
  post('Transfer-Encoding: chunked\r\n', `0\n\n${SMUGGLED}`),
  post('Transfer-Encoding: chunked\r\n', `0x0\r\n\r\n${SMUGGLED}`),
  post('Transfer-Encoding: chunked\r\n', `-1\r\n\r\n${SMUGGLED}`),
  post('Transfer-Encoding: chunked\r\n', `0 1\r\n\r\n${SMUGGLED}`),
  post('Transfer-Encoding: chunked\r\n', `1\r\nab\r\n0\r\n\r\n${SMUGGLED}`),
  post('Transfer-Encoding: chunked\r\n', `1\r\na0\r\n\r\n${SMUGGLED}`),
  post('Transfer-Encoding: chunked\r\n', `5;a=b\n${SMUGGLED}`),
  post('Transfer-Encoding: chunked\r\n', `fffffffffffffffff\r\n${SMUGGLED}`),
  post('Transfer-Encoding: chunked\r\n', `100000000\r\n${SMUGGLED}`),
  // section 3: request lines; section 3.2: Host
  `GET /hostile HTTP/1.1 \r\nHost: sim.example\r\n\r\n${SMUGGLED}`,
  `GET  /hostile HTTP/1.1\r\nHost: sim.example\r\n\r\n${SMUGGLED}`,
  `GET /hostile\r\n${SMUGGLED}`,
  `GET /hostile HTTP/1.1\r\n\r\n${SMUGGLED}`,
  `GET /hostile HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n${SMUGGLED}`,
  `GET /hostile HTTP/3.0\r\nHost: sim.example\r\n\r\n${SMUGGLED}`,
  // rightly framed: the smuggled request is content and must stay content
  post(`Content-Length: ${SMUGGLED.length}\r\n`, SMUGGLED),
  post('Transfer-Encoding: chunked\r\n', AS_CHUNK),
  post('Transfer-Encoding: CHUNKED\r\nConnection: Transfer-Encoding\r\n', AS_CHUNK),
  post(`Content-Length: ${SMUGGLED.length}\r\nConnection: Content-Length\r\n`, SMUGGLED),
  post('Transfer-Encoding: chunked\r\nTrailer: Content-Length\r\n', `0\r\nContent-Length: 5\r\nX: y\r\n\r\n`),
];

/** Heads of backends that no client may ever take for an answer. */
export const BROKEN_RESPONSES: readonly string[] = [
  'HTTP/1.1 200 OK\r\nX-Token: TOKEN\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc',
  'HTTP/1.1 200 OK\r\nX-Token: TOKEN\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  'HTTP/1.1 200 OK\r\nX-Token: TOKEN\r\nContent-Length: x\r\n\r\n',
  'HTTP/1.1 2000 OK\r\nX-Token: TOKEN\r\nContent-Length: 0\r\n\r\n',
  'HTTP/1.1 99 Low\r\nX-Token: TOKEN\r\nContent-Length: 0\r\n\r\n',
  'HTTP/1.1 101 Switching Protocols\r\nX-Token: TOKEN\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n',
  'HTTX/1.1 200 OK\r\nX-Token: TOKEN\r\nContent-Length: 0\r\n\r\n',
  'HTTP/2.0 200 OK\r\nX-Token: TOKEN\r\nContent-Length: 0\r\n\r\n',
  'HTTP/1.1 200 OK\r\nX-Token: TOKEN\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc',
  'HTTP/1.1 200 OK\r\nX-Token: TOKEN\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n',
  'HTTP/1.1 200 OK\r\nX-Token: TOKEN\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
  '\0\0\0\0\r\n\r\n',
  'hello\r\n\r\n',
];
