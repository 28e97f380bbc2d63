// gRPC's own interoperability cases (google.golang.org/grpc/interop) and heavier ones, by Go's client and server,
// through an HTTPRoute to an h2c backend and through a GRPCRoute.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Rauta } from '../process/support.ts';
import { heldPort } from '../support/port.ts';
import { gateway, route, service, start } from './site.ts';
import { goInterop, run, TEST_MS } from './tools.ts';

const CASES = [
  'empty_unary',
  'large_unary',
  'client_streaming',
  'server_streaming',
  'ping_pong',
  'empty_stream',
  'timeout_on_sleeping_server',
  'cancel_after_begin',
  'cancel_after_first_response',
  'custom_metadata',
  'status_code_and_message',
  'special_status_message',
  'unimplemented_method',
  'unimplemented_service',
  'many_from_server',
  'many_to_server',
  'many_both_ways',
  'four_megabytes',
  'stalled_reader',
];

interface Site {
  readonly rauta: Rauta;
  /** Of the HTTPRoute, the GRPCRoute, and a GRPCRoute to a backend that nobody serves. */
  readonly ports: readonly number[];
}

async function siteOf(program: string): Promise<Site> {
  const [backend, nobody, ...ports] = [0, 1, 2, 3, 4].map(() => heldPort());
  const [http, grpc, dead] = ports as [number, number, number];
  await start(program, ['serve', `127.0.0.1:${backend}`], /:\d+$/);
  const yaml = [
    gateway(ports),
    service('app', backend as number, 'kubernetes.io/h2c'),
    service('gone', nobody as number, 'kubernetes.io/h2c'),
    route('HTTPRoute', 'by-http', http, 'app'),
    route('GRPCRoute', 'by-grpc', grpc, 'app'),
    route('GRPCRoute', 'dead', dead, 'gone'),
  ].join('');
  return { rauta: await Rauta.start({ 'site.yaml': yaml }), ports };
}

test("Go's client and server", { timeout: TEST_MS }, async (t) => {
  const program = await goInterop(t);
  if (program === null) return;
  const { rauta, ports } = await siteOf(program);
  const call = async (name: string, port: number): Promise<void> => {
    const { stdout } = await run(program, ['call', name, `127.0.0.1:${port}`], { timeout: 100_000 });
    assert.equal(stdout, 'ok\n');
  };
  for (const [i, kind] of ['HTTPRoute', 'GRPCRoute'].entries()) {
    for (const name of CASES) await t.test(`${name} by ${kind}`, () => call(name, ports[i] as number));
  }
  await t.test('a backend that nobody serves is UNAVAILABLE', () => call('unavailable', ports[2] as number));
  await t.test('the admin server is asked for its health', () => call('healthy', rauta.admin));
  await t.test('calls are counted by how they ended', async () => {
    const metrics = (await rauta.ask('/metrics')).body;
    for (const [route, code] of [
      ['by-grpc', 0],
      ['by-grpc', 2],
      ['by-grpc', 12],
      ['dead', 14],
    ] as const) {
      const series = `rauta_grpc_requests_total{route="default/${route}",kind="GRPCRoute",grpc_status="${code}"}`;
      assert.ok(metrics.includes(series), `${series} is not among ${metrics.match(/^rauta_grpc.*$/gm)?.join(', ')}`);
    }
    const methods = [...metrics.matchAll(/^rauta_grpc_method_requests_total\{(.*)\} \d+$/gm)].map(
      ([, labels]) => labels,
    );
    for (const method of ['EmptyCall', 'UnaryCall', 'StreamingOutputCall', 'FullDuplexCall'])
      assert.ok(
        methods.includes(`service="grpc.testing.TestService",method="${method}",grpc_status="0"`),
        `${methods}`,
      );
    // What the server says that it has not is nobody's name.
    assert.ok(methods.includes('service="other",method="other",grpc_status="12"'), `${methods}`);
    assert.ok(!methods.some((labels) => labels?.includes('Unimplemented')), `${methods}`);
  });
  await rauta.stop();
});
