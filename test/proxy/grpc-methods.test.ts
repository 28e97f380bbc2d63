// Calls of gRPC counted by method (docs/adr/0041-grpc-methods.md): over HTTP/2 and as gRPC-Web, by HTTPRoutes and
// GRPCRoutes, whoever ends them.

import assert from 'node:assert/strict';
import { CODE } from '../../src/proxy/http2/frames.ts';
import { addMethods, Exposition } from '../../src/telemetry/exposition.ts';
import { GrpcMethods } from '../../src/telemetry/grpc-methods.ts';
import { RingWriter, ringBytes } from '../../src/telemetry/log-ring.ts';
import { Recorder } from '../../src/telemetry/recorder.ts';
import type { Field } from '../support/hpack.ts';
import { ask, data, Http2Client, head } from '../support/http2.ts';
import { type Asked, serveHttp2 } from '../support/http2-backend.ts';
import { plainly, type TestNet } from '../support/net.ts';
import { cluster, endpoint, Rig, rule } from './rig.ts';

const { onBoth } = plainly('over TLS clients agree on the protocol by ALPN');

const OK = [
  [':status', '200'],
  ['content-type', 'application/grpc'],
] as const;
const MESSAGE = Buffer.of(0, 0, 0, 0, 1, 0x78);

/** `/pkg.S/Ends` ends with 0, `/pkg.S/Fails` with 5, `/pkg.S/Resets` by a reset; what is not there: 12 in the head. */
async function serve(asked: Asked): Promise<void> {
  const method = asked.path.split('/').at(-1) ?? '';
  await asked.end();
  if (method === 'Resets') await asked.refuse(CODE.INTERNAL_ERROR);
  else if (method === 'Ends' || method === 'Fails') {
    await asked.head(OK);
    await asked.data(MESSAGE);
    await asked.head([['grpc-status', method === 'Ends' ? '0' : '5']], true);
  } else await asked.head([...OK, ['grpc-status', '12']], true);
}

interface Site {
  readonly rig: Rig;
  readonly counts: () => string[];
}

/** An HTTPRoute, and a GRPCRoute at the host `g.example`. */
function site(net: TestNet): Site {
  const app = serveHttp2(net, serve);
  const http = rule({ name: 'h', to: ['grpc'], filters: [{ type: 'grpcWeb' }] });
  const grpc = { ...rule({ name: 'g', to: ['grpc'], hostname: 'g.example' }), routeKind: 'GRPCRoute' as const };
  const refused = rule({ name: 'no', path: '/pkg.S/Refused', action: { type: 'respond', status: 403 } });
  const rig = new Rig(net, [], [http, grpc, refused, cluster('grpc', [endpoint(app.address)], { protocol: 'http2' })]);
  const methods = GrpcMethods.local();
  const ring = new RingWriter(new ArrayBuffer(ringBytes(65_536)));
  // What the rig counts itself is in its own cells.
  rig.records.also = new Recorder(rig.cells, ring, { withQuery: false }, methods);
  const counts = (): string[] => {
    const out = new Exposition();
    addMethods(out, methods, [rig.cells]);
    const found = out.text().matchAll(/requests_total\{service="(.*)",method="(.*)",grpc_status="(\d+)"\} (\d+)$/gm);
    return [...found].map(([, service, method, code, n]) => `${service} ${method} ${code}: ${n}`);
  };
  return { rig, counts };
}

onBoth('by method and code, over HTTP/2, for both kinds of routes', async (net) => {
  const { rig, counts } = site(net);
  const client = await Http2Client.open(await rig.connect());
  const calls = ['S/Ends', 'S/Ends', 'S/Fails', 'S/Nothing', 'S/Resets', 'S/Refused', 'Else/Nothing'];
  let id = -1;
  for (const host of ['a.example', 'g.example']) {
    for (const name of calls) {
      id += 2;
      const fields = ask(`/pkg.${name}`, [['content-type', 'application/grpc']], 'POST').map(
        ([field, value]): Field => [field, field === ':authority' ? host : value],
      );
      await client.send(head(id, fields, false), data(id, MESSAGE, true));
      await client.outcome(id);
    }
  }
  client.peer.close();
  await rig.end();
  assert.deepEqual(counts(), [
    'pkg.S Ends 0: 4',
    'pkg.S Fails 5: 2',
    // Not known to the backend, of both services; reset; and the rule's own answer.
    ...['other other 7: 1', 'other other 12: 5', 'other other 14: 2'],
  ]);
});

onBoth('gRPC-Web is counted as what it is to the backend; what is no call is not', async (net) => {
  const { rig, counts } = site(net);
  const client = await rig.connect();
  for (const host of ['a.example', 'g.example']) {
    for (const [path, type] of [
      ['/pkg.S/Ends', 'application/grpc-web'],
      ['/pkg.S/Fails', 'application/grpc-web+proto'],
      ['/pkg.S/Ends', 'application/json'],
    ]) {
      const lines = `Host: ${host}\r\nContent-Type: ${type}\r\nContent-Length: ${MESSAGE.length}\r\n\r\n`;
      await client.send(Buffer.concat([Buffer.from(`POST ${path} HTTP/1.1\r\n${lines}`), MESSAGE]));
      assert.equal((await client.readMessage()).status, 200);
    }
  }
  client.close();
  await rig.end();
  assert.deepEqual(counts(), ['pkg.S Ends 0: 2', 'pkg.S Fails 5: 2']);
});
