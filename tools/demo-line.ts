// Backends of TCP for the examples: `bin/node tools/demo-line.ts 9005`. Each gives the first line that it gets back,
// with its port in front, and ends.

import { createServer } from 'node:net';

const ports = process.argv.slice(2).map(Number);
let listening = 0;

for (const port of ports) {
  const server = createServer((socket) => {
    let held = '';
    socket.on('error', () => {});
    socket.setEncoding('latin1').on('data', (part: string) => {
      held += part;
      const end = held.indexOf('\n');
      if (end >= 0) socket.end(`${port} heard: ${held.slice(0, end).trimEnd()}\n`);
    });
  });
  server.listen(port, '127.0.0.1', () => {
    if (++listening === ports.length) process.stdout.write(`demo backends of lines listen: ${ports.join(' ')}\n`);
  });
}
