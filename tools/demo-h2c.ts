// Backends of HTTP/2 in the clear for the examples: `bin/node tools/demo-h2c.ts 9003 9004`. A call of gRPC gets its own
// message back and ends well, one of a method Fail with status 5 (NOT_FOUND); everybody else hears what reached it.

import { createServer, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';

const ports = process.argv.slice(2).map(Number);
let listening = 0;

function call(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, name: string): void {
  const head = { ':status': 200, 'content-type': 'application/grpc', 'x-backend': name };
  if (headers[':path']?.endsWith('/Fail') === true) {
    stream.respond({ ...head, 'grpc-status': '5', 'grpc-message': 'there is none' }, { endStream: true });
    return;
  }
  stream.respond(head, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  stream.pipe(stream);
}

for (const port of ports) {
  const name = `demo-${port}`;
  const server = createServer();
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    stream.on('error', () => {});
    if (headers['content-type']?.startsWith('application/grpc') === true) return call(stream, headers, name);
    stream.respond({ ':status': 200, 'content-type': 'application/json', 'x-backend': name });
    const { ':path': path, ...others } = headers;
    stream.end(`${JSON.stringify({ backend: name, http: '2', path, headers: others }, null, 2)}\n`);
  });
  server.listen(port, '127.0.0.1', () => {
    if (++listening === ports.length) process.stdout.write(`demo backends of HTTP/2 listen: ${ports.join(' ')}\n`);
  });
}
