// A small authorization server for examples/external-auth, in both protocols: `bin/node tools/demo-auth.ts 9010 9011`
// answers by HTTP on the first port, and by gRPC (Envoy's ext_authz) on the second. Whoever says `Authorization: Bearer
// letmein` gets in, as alice.

import { createServer } from 'node:http';
import { createServer as createHttp2, type ServerHttp2Stream } from 'node:http2';
import { MessageReader, MessageWriter } from '../src/proxy/auth/protobuf.ts';

const [httpPort = 9010, grpcPort = 9011] = process.argv.slice(2).map(Number);
const knows = (authorization: string | undefined): boolean => authorization === 'Bearer letmein';

const http = createServer(({ headers }, response) => {
  if (knows(headers.authorization)) response.writeHead(200, { 'x-user': 'alice', 'content-length': 0 }).end();
  else response.writeHead(401, { 'www-authenticate': 'Bearer realm="demo"' }).end('who are you?\n');
});
http.listen(httpPort, '127.0.0.1', () => grpc.listen(grpcPort, '127.0.0.1', () => process.stdout.write('ready\n')));

const header = (name: string, value: string): MessageWriter =>
  new MessageWriter().message(1, new MessageWriter().text(1, name).text(2, value));

/** The field `path` of a message, by numbers; of several the last one. */
function at(message: Uint8Array, [field, ...rest]: readonly number[]): Uint8Array[] {
  const found: Uint8Array[] = [];
  const reader = new MessageReader(message);
  while (reader.next())
    if (reader.field === field) found.push(...(rest.length === 0 ? [reader.bytes] : at(reader.bytes, rest)));
  return found;
}

/** CheckRequest: attributes.request.http.headers; CheckResponse: status, denied_response, ok_response. */
function check(request: Uint8Array): Uint8Array {
  const headers = new Map(
    at(request, [1, 4, 2, 3]).map((entry) => [
      String(Buffer.from(at(entry, [1])[0] ?? '')),
      String(Buffer.from(at(entry, [2])[0] ?? '')),
    ]),
  );
  if (knows(headers.get('authorization'))) {
    const answer = new MessageWriter().message(2, header('x-user', 'alice')).text(5, 'authorization');
    return new MessageWriter().message(1, new MessageWriter()).message(3, answer).bytes;
  }
  const answer = new MessageWriter().message(1, new MessageWriter().integer(1, 401)).text(3, 'who are you?\n');
  return new MessageWriter().message(1, new MessageWriter().integer(1, 16)).message(2, answer).bytes;
}

const grpc = createHttp2();
grpc.on('stream', (stream: ServerHttp2Stream) => {
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.on('end', () => {
    const answer = check(Buffer.concat(chunks).subarray(5));
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(answer.length, 1);
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.end(Buffer.concat([prefix, answer]));
  });
});
