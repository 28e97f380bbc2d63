// The lines that are printed where RAUTA is described, as they are: grpcurl and ghz in front of Go's server.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Rauta } from '../process/support.ts';
import { heldPort } from '../support/port.ts';
import { gateway, route, service, start } from './site.ts';
import { goInterop, goProgram, run, TEST_MS } from './tools.ts';

const GRPCURL = 'v1.9.4';
const GHZ = 'v0.93.0';
const UNARY = 'grpc.testing.TestService/UnaryCall';

async function site(program: string): Promise<{ readonly rauta: Rauta; readonly address: string }> {
  const [port, backend] = [heldPort(), heldPort()];
  await start(program, ['serve', `127.0.0.1:${backend}`], /:\d+$/);
  const yaml = gateway([port]) + service('app', backend, 'kubernetes.io/h2c') + route('GRPCRoute', 'all', port, 'app');
  return { rauta: await Rauta.start({ 'site.yaml': yaml }), address: `127.0.0.1:${port}` };
}

test('grpcurl -plaintext lists, describes and calls', { timeout: TEST_MS }, async (t) => {
  const grpcurl = await goProgram(t, 'github.com/fullstorydev/grpcurl/cmd/grpcurl', GRPCURL);
  const program = grpcurl === null ? null : await goInterop(t);
  if (grpcurl === null || program === null) return;
  const { rauta, address } = await site(program);
  const say = async (...args: string[]): Promise<string> =>
    (await run(grpcurl, ['-plaintext', ...args], { timeout: 30_000 })).stdout;
  assert.match(await say(address, 'list'), /^grpc\.testing\.TestService$/m);
  assert.match(await say(address, 'describe', UNARY.replace('/', '.')), /rpc UnaryCall/);
  const asked = '{"response_size": 3, "payload": {"body": "AAAA"}}';
  assert.deepEqual(JSON.parse(await say('-d', asked, address, UNARY)), { payload: { body: 'AAAA' } });
  assert.deepEqual(JSON.parse(await say(address, 'grpc.health.v1.Health/Check')), { status: 'SERVING' });
  await rauta.stop();
});

test('ghz: every call is answered', { timeout: TEST_MS }, async (t) => {
  const ghz = await goProgram(t, 'github.com/bojand/ghz/cmd/ghz', GHZ);
  const program = ghz === null ? null : await goInterop(t);
  if (ghz === null || program === null) return;
  const { rauta, address } = await site(program);
  const args = ['--insecure', '--call', UNARY, '-n', '2000', '-c', '50', '-d', '{"response_size": 10}', '-O', 'json'];
  const report = JSON.parse((await run(ghz, [...args, address], { timeout: 60_000, maxBuffer: 1 << 26 })).stdout);
  assert.deepEqual([report.count, report.statusCodeDistribution], [2000, { OK: 2000 }]);
  await rauta.stop();
});
