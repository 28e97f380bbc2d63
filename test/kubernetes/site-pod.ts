// A backend as a pod of the test cluster, that says who it is and what it was asked: HTTP on 8080 and 8089, HTTP/2 in
// the clear on 50051, HTTP/1.1 and HTTP/2 over TLS on 8443 (where it is given keys; it asks clients for a certificate
// of CA), and on 4180 a server of logins as oauth2-proxy is one. Ends at once at SIGTERM.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import {
  createServer as createHttp2Server,
  createSecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from 'node:http2';
import { hostname } from 'node:os';
import type { TLSSocket } from 'node:tls';

type Request = IncomingMessage | Http2ServerRequest;

function tell(request: Request, response: ServerResponse | Http2ServerResponse): void {
  const { method, url, headers, httpVersion } = request;
  const socket = ('stream' in request ? request.stream.session?.socket : request.socket) as TLSSocket;
  const client = socket.encrypted ? (socket.getPeerCertificate().subject?.CN ?? '') : null;
  const servername = socket.encrypted ? socket.servername : null;
  (response as ServerResponse).end(
    JSON.stringify({ pod: hostname(), method, url, headers, httpVersion, servername, client }),
  );
}

createServer(tell).listen(8080);
createServer(tell).listen(8089);
createHttp2Server(tell).listen(50051);

const { CERT: cert, KEY: key, CA: ca } = process.env;
if (cert !== undefined && key !== undefined && ca !== undefined) {
  const options = { cert, key, ca, allowHTTP1: true, requestCert: true, rejectUnauthorized: false };
  createSecureServer(options, tell).listen(8443);
}

createServer(({ headers, method, url }, response) => {
  const session = /\bsession=(\w+)/.exec(headers.cookie ?? '')?.[1];
  const path = new URL(url ?? '', 'http://localhost').pathname;
  if (path !== '/oauth2/auth') response.writeHead(500).end();
  else if (session === 'banned') response.writeHead(403, { 'X-Why': 'banned' }).end('not you\n');
  else if (session === undefined) response.writeHead(401, { 'WWW-Authenticate': 'Session' }).end('who are you?\n');
  else {
    const original = `${method} ${headers['x-original-method']} ${headers['x-original-url']}`;
    const told = { 'X-Auth-Request-User': session, 'X-Auth-Request-Original': original };
    response.writeHead(202, { ...told, 'Set-Cookie': 'session=renewed' }).end();
  }
}).listen(4180);

process.on('SIGTERM', () => process.exit(0));
