// Commands as a user types them.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { StatusReport } from '../../src/admin/status.ts';
import type { CheckReport } from '../../src/cli/check.ts';
import { backend, backendYaml, command, freePort, gateway, Rauta, routeYaml, until } from './support.ts';

test('status says what listens, what became of each object and what is wrong, and its exit code says health', async () => {
  const port = await freePort();
  const app = await backend('app');
  const rauta = await Rauta.start({
    'a.yaml': gateway(port) + routeYaml('app', '/app', 'app'),
    'b.yaml': backendYaml('app', app.port),
  });
  const admin = `127.0.0.1:${rauta.admin}`;
  const well = await command(['status', '--admin', admin]);
  assert.equal(well.code, 0, well.out + well.err);
  assert.deepEqual(well.out.split('\n'), [
    'rauta 0.1.0: ready, revision 1 served by 1 of 1 workers',
    `listens on 127.0.0.1:${port} (tcp): HTTP default/web/http`,
    'Gateway default/web: ok',
    'HTTPRoute default/app: ok',
    '',
  ]);
  const quiet = await command(['status', '-q'], '', { ...process.env, RAUTA_ADMIN: admin });
  assert.deepEqual([quiet.code, quiet.out, quiet.err], [0, '', ''], 'the variable of serve counts here, too');
  assert.equal((await rauta.ask('/status')).body, well.out, 'the page says the same');

  rauta.write('c.yaml', routeYaml('lost', '/lost', 'none'));
  await until(
    () => rauta.ask('/config/problems').then((answer) => ({ ...answer, headers: {} })),
    ({ body }) => body.includes('lost'),
  );
  const wrong = await command(['status', '--admin', admin, '--quiet']);
  assert.equal(wrong.code, 1);
  const [first = '', second = '', ...more] = wrong.out.split('\n');
  assert.match(
    first,
    /^HTTPRoute default\/lost: parent Gateway web: ResolvedRefs False BackendNotFound: .*default\/none/,
  );
  assert.match(second, /c\.yaml:8:\d+: error: HTTPRoute default\/lost: spec\.rules\[0\].*default\/none/);
  assert.deepEqual(more, ['']);
  const report = JSON.parse((await command(['status', '--admin', admin, '--json'])).out) as StatusReport;
  assert.equal(report.healthy, false);
  assert.deepEqual(report.sockets, [
    { address: '127.0.0.1', port, transport: 'tcp', listeners: ['HTTP default/web/http'], problem: null },
  ]);
  assert.deepEqual(
    report.objects.map(({ object, kept, faults }) => [object, kept, faults.length]),
    [
      ['Gateway/default/web', false, 0],
      ['HTTPRoute/default/app', false, 0],
      ['HTTPRoute/default/lost', false, 1],
    ],
  );
  await rauta.stop();
});

test('status says which object goes on as it was, and which socket is not open', async () => {
  const [port, taken] = [await freePort(), await freePort()];
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(taken, '127.0.0.1', resolve));
  const app = await backend('app');
  const rauta = await Rauta.start({
    'a.yaml': gateway(port) + gateway(taken).replace('name: web', 'name: shut') + routeYaml('app', '/app', 'app'),
    'b.yaml': backendYaml('app', app.port),
  });
  const admin = `127.0.0.1:${rauta.admin}`;
  rauta.write('b.yaml', 'spec: [\n');
  await rauta.said((line) => line['effect'] === 'goes on as before');
  const { code, out } = await command(['status', '--admin', admin]);
  assert.equal(code, 1);
  const says = (pattern: RegExp): void => assert.match(out, pattern);
  says(
    new RegExp(`^does not listen on 127\\.0\\.0\\.1:${taken} \\(tcp\\): EADDRINUSE.*: HTTP default/shut/http$`, 'm'),
  );
  says(/^Backend default\/app: goes on as before, its file has errors$/m);
  says(/^Gateway default\/shut: listener http: Accepted False PortUnavailable: /m);
  says(/^Gateway default\/web: ok$/m);
  other.close();
  await rauta.stop();
});

test('status that gets no answer says why and ends with 3, a question that is none with 2', async () => {
  const other = createServer((_, response) => response.end('hello')).listen(0, '127.0.0.1');
  await new Promise((resolve) => other.once('listening', resolve));
  const elsewhere = `127.0.0.1:${(other.address() as AddressInfo).port}`;
  const nowhere = `127.0.0.1:${await freePort()}`;
  for (const [argv, code, expected] of [
    [['--admin', nowhere], 3, /^rauta: status: the admin server at 127\.0\.0\.1:\d+ does not answer: .*ECONNREFUSED/],
    [['--admin', elsewhere], 3, /does not answer as an admin server of RAUTA does/],
    [['--admin', elsewhere, '--admin-token-file', '/no/such'], 3, /ENOENT/],
    [['--admin', 'off'], 2, /'off' is not HOST:PORT/],
    [['--quite'], 2, /unknown flag --quite \(did you mean --quiet\?\)/],
    [['now'], 2, /unexpected argument 'now'/],
  ] as const) {
    const said = await command(['status', ...argv]);
    assert.equal(said.code, code, `${argv.join(' ')}: ${said.err}`);
    assert.match(said.err, expected);
    assert.equal(said.out, '');
  }
  other.close();
});

test('the Host field that is refused is said with what would be accepted', async () => {
  const rauta = await Rauta.start({ 'a.yaml': gateway(await freePort()) });
  const { status, body } = await rauta.ask('/status', { host: 'rauta.internal:9090' });
  assert.equal(status, 403);
  assert.match(body, /'rauta\.internal' is not an IP address, localhost or a name of --admin-allowed-hosts/);
  await rauta.stop();
});

test('check reads standard input, beside files, and says all of it as JSON', async () => {
  const bad = routeYaml('x', 'x', 'none');
  const said = await command(['check', '-'], bad);
  assert.equal(said.code, 1);
  assert.match(said.out, /^<stdin>:7:\d+: error: HTTPRoute default\/x: spec\.rules\[0\]\.matches\[0\]\.path/);
  const rauta = Rauta.spawn({});
  writeFileSync(join(rauta.folder, 'a.yaml'), gateway(8080) + backendYaml('none', 1));
  const both = await command(['check', '--json', rauta.folder, '-'], bad.replace('value: x', 'value: /x'));
  const report = JSON.parse(both.out) as CheckReport;
  assert.deepEqual([both.code, report.files, report.objects, report.errors, report.warnings], [0, 2, 3, 0, 0]);
  const gone = await command(['check', '--json', join(rauta.folder, 'no')]);
  assert.equal(gone.code, 3);
  assert.equal((JSON.parse(gone.out) as CheckReport).problems[0]?.message, 'no such file or folder');
  const explained = await command(
    ['explain', 'GET', 'http://127.0.0.1:8080/x', '--config', rauta.folder, '--config', '-'],
    bad.replace('value: x', 'value: /x'),
  );
  assert.match(explained.out, /^outcome {4}forwarded to default\/none\n/);
  await rauta.stop();
});

test('check and explain read pipes to their end, under the names by which they were given', () => {
  const folder = mkdtempSync(join(tmpdir(), 'rauta-pipes-'));
  const bin = fileURLToPath(new URL('../../bin/rauta', import.meta.url));
  writeFileSync(join(folder, 'a.yaml'), gateway(8080) + backendYaml('none', 1));
  writeFileSync(join(folder, 'b.yaml'), routeYaml('x', '/x', 'none'));
  execFileSync('mkfifo', [join(folder, 'pipe')]);
  for (const [argv, said] of [
    ['check a.yaml pipe', /^2 files, 3 objects: 0 errors, 0 warnings\n$/],
    ['explain GET http://127.0.0.1:8080/x --config a.yaml --config pipe', /^outcome {4}forwarded to default\/none\n/],
  ] as const) {
    const script = `cd '${folder}'; cat b.yaml > pipe & '${bin}' ${argv}`;
    assert.match(execFileSync('sh', ['-c', script], { encoding: 'utf8' }), said);
  }
  const script = `cd '${folder}'; cat a.yaml b.yaml | '${bin}' check /dev/stdin`;
  assert.match(execFileSync('sh', ['-c', script], { encoding: 'utf8' }), /^1 file, 3 objects: 0 errors/);
  rmSync(folder, { recursive: true });
});

test('help is there for every command, and usage is an error of its own', async () => {
  for (const argv of [
    ['help', 'check'],
    ['check', '--help'],
    ['check', '-h'],
    ['check', 'x', '--help'],
  ]) {
    const said = await command(argv);
    assert.deepEqual([said.code, said.err], [0, '']);
    assert.match(said.out, /^rauta check: .*\n\n {2}rauta check \[FLAG\]\.\.\. PATH/);
  }
  for (const [argv, expected] of [
    [['chek'], /unknown command 'chek' \(did you mean check\?\)/],
    [['help', 'stat'], /help: unknown command 'stat' \(did you mean status\?\)/],
    [['check'], /check: what is to be checked\? Write rauta check PATH/],
    [['completion', 'sh'], /completion: for which shell\? One of bash, zsh, fish/],
    [['version', '--short'], /version: unknown flag --short; it takes --json/],
    [['serve', 'x'], /unexpected argument 'x'/],
  ] as const) {
    const said = await command(argv);
    assert.equal(said.code, 2, argv.join(' '));
    assert.match(said.err, expected);
  }
});

test('whoever reads may leave: no command has a word more to say, or another exit code', () => {
  const folder = mkdtempSync(join(tmpdir(), 'rauta-printed-'));
  const wrong = Array.from(
    { length: 800 },
    (_, i) => `apiVersion: v1\nkind: Service\nmetadata: { name: "Bad ${i}" }\n---\n`,
  );
  writeFileSync(join(folder, 'a.yaml'), wrong.join(''));
  const bin = fileURLToPath(new URL('../../bin/rauta', import.meta.url));
  for (const [code, ...argv] of [
    [1, 'check', folder],
    [1, 'check', '--json', folder],
    [1, 'explain', '--config', folder, 'GET', 'http://app.example/'],
    [0, 'help', 'serve'],
  ] as const) {
    const left = 'exec 3>&1; { "$0" "$@" 2>&3; echo $? >&3; } | head -c 1 > /dev/null';
    const said = execFileSync('sh', ['-c', left, bin, ...argv], { encoding: 'utf8' });
    assert.equal(said, `${code}\n`, argv.join(' '));
  }
  rmSync(folder, { recursive: true });
});
