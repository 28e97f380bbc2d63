// What an idle session of TCP costs, which holds a connection on each side. `bin/node bench/macro/tcp-idle.ts
// [--connections 2000] [--wait 10] [--peers rauta,nginx] [--out tcp-idle]`

import { connect, type Socket } from 'node:net';
import { parseArgs } from 'node:util';
import { idle } from './idle.ts';

const { values: args } = parseArgs({
  options: {
    connections: { type: 'string', default: '2000' },
    wait: { type: 'string', default: '10' },
    // HAProxy of the bench has room for 4,000 connections, 2 a session.
    peers: { type: 'string', default: 'rauta,nginx' },
    out: { type: 'string', default: 'tcp-idle' },
  },
});

function open(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.write('GET /api/v1/items/1 HTTP/1.1\r\nHost: app.example.com\r\n\r\n');
    socket.once('data', () => resolve(socket));
    socket.once('error', reject);
  });
}

await idle({
  open,
  portOf: (peer) => peer.tcpPort,
  peers: args.peers.split(','),
  connections: Number(args.connections),
  wait: Number(args.wait),
  what: 'KB for each idle session of TCP',
  command: `bin/node bench/macro/tcp-idle.ts --connections ${args.connections} --wait ${args.wait}`,
  out: args.out,
});
