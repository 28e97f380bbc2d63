// Says which address it was reached at: `backend.ts PORT ADDRESS...`. A process of its own, so that what it does is not
// in the times of who asks.

import { createServer } from 'node:http';

const [port = '', ...addresses] = process.argv.slice(2);
for (const address of addresses) {
  const server = createServer((_, response) => {
    response.writeHead(200, { 'content-length': '2', 'x-backend': address });
    response.end('ok');
  });
  server.keepAliveTimeout = 600_000;
  await new Promise<void>((resolve) => server.listen(Number(port), address, resolve));
}
process.send?.('ready');
