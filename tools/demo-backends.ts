// Two small backends for the quickstart: each says who it is and what reached it. `bin/node tools/demo-backends.ts 9001
// 9002`

import { createServer } from 'node:http';

const ports = process.argv.slice(2).map(Number);

for (const port of ports) {
  const name = `demo-${port}`;
  const server = createServer((request, response) => {
    const body = `${JSON.stringify({ backend: name, method: request.method, path: request.url, headers: request.headers }, null, 2)}\n`;
    response.writeHead(200, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      'x-backend': name,
    });
    response.end(request.method === 'HEAD' ? undefined : body);
  });
  server.keepAliveTimeout = 60_000;
  server.on('error', (error) => {
    process.stderr.write(`demo backend on 127.0.0.1:${port}: ${error.message}\n`);
    process.exit(3);
  });
  server.listen(port, '127.0.0.1');
}
