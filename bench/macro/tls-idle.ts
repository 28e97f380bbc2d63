// What an idle connection of TLS costs. `bin/node bench/macro/tls-idle.ts [--connections 1000] [--wait 20]
// [--groups X25519] [--peers rauta,nginx,haproxy,envoy] [--out tls-idle]`

import { connect, type TLSSocket } from 'node:tls';
import { parseArgs } from 'node:util';
import { idle } from './idle.ts';
import { PEERS } from './peers.ts';

const { values: args } = parseArgs({
  options: {
    connections: { type: 'string', default: '1000' },
    wait: { type: 'string', default: '20' },
    peers: { type: 'string', default: PEERS.join() },
    groups: { type: 'string', default: 'X25519' },
    out: { type: 'string', default: 'tls-idle' },
  },
});

function open(port: number): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      ...{ host: '127.0.0.1', port, servername: 'app.example.com', rejectUnauthorized: false },
      // X25519MLKEM768, which not every peer has, leaves 7 KB more behind in OpenSSL 3.5: the client's share.
      ecdhCurve: args.groups,
    });
    socket.once('secureConnect', () => socket.write('GET /api/v1/items/1 HTTP/1.1\r\nHost: app.example.com\r\n\r\n'));
    socket.once('data', () => resolve(socket));
    socket.once('error', reject);
  });
}

await idle({
  open,
  portOf: (peer) => peer.tlsPort,
  peers: args.peers.split(','),
  connections: Number(args.connections),
  wait: Number(args.wait),
  what: 'KB for each idle connection of TLS',
  command: `bin/node bench/macro/tls-idle.ts --connections ${args.connections} --wait ${args.wait}`,
  out: args.out,
});
