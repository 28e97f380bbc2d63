import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import * as ffi from './ffi.ts';
import { direct, errno, FFI_SHA256, symbol, verifyBinary } from './ffi.ts';
import * as openssl from './openssl.ts';

const EBADF = 9;
const EAFNOSUPPORT = 97;
const project = fileURLToPath(new URL('../../', import.meta.url));

test('the FFI library in use lies in the project, and its bytes are the reviewed ones', () => {
  const mapped = readFileSync('/proc/self/maps', 'latin1')
    .split('\n')
    .filter((line) => line.endsWith('koffi.node'))
    .map((line) => line.slice(line.indexOf('/')));
  const [path] = mapped;
  assert.ok(path !== undefined);
  assert.deepEqual([...new Set(mapped)], [path]);
  assert.ok(path.startsWith(join(project, 'node_modules/@koromix/')), path);
  const build = path.split('/').at(-2) as string;
  verifyBinary(path, FFI_SHA256[build]);
});

test('a sum for each platform we run on', () => {
  assert.deepEqual(Object.keys(FFI_SHA256).sort(), ['linux_arm64', 'linux_x64', 'musl_arm64', 'musl_x64']);
  for (const sum of Object.values(FFI_SHA256)) assert.match(sum, /^[0-9a-f]{64}$/);
  const { dependencies } = JSON.parse(readFileSync(join(project, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  assert.equal(dependencies['koffi'], '3.3.4', 'a new version needs new sums');
});

test('other bytes are not loaded, and the error names file, sum and expectation', () => {
  const folder = mkdtempSync(join(tmpdir(), 'rauta-ffi-'));
  try {
    const file = join(folder, 'koffi.node');
    writeFileSync(file, 'not it');
    assert.throws(() => verifyBinary(file, FFI_SHA256['linux_x64']), {
      name: 'ExitError',
      code: 3,
      message: /koffi\.node has SHA-256 [0-9a-f]{64}, expected bee3ebc1.*: not loaded/,
    });
    assert.throws(() => verifyBinary(file, undefined), /expected none/);
    assert.throws(
      () => verifyBinary(join(folder, 'missing.node'), 'x'),
      /is not installed: .*missing\.node is missing/,
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a function this system lacks is a plain error', () => {
  assert.throws(() => symbol('no_such_function', ['int']), {
    name: 'ExitError',
    code: 3,
    message: /C library has no no_such_function\(\)/,
  });
});

test('what requests, connections and datagrams call is the bare function, and errno is read after it', () => {
  for (const [file, functions] of [
    ['ffi.ts', ffi],
    ['openssl.ts', openssl],
  ] as const) {
    const text = readFileSync(new URL(file, import.meta.url), 'utf8');
    const names = [...text.matchAll(/^export const (\w+) = direct\(/gm)].map(([, name]) => name as string);
    assert.ok(names.length >= 3, file);
    for (const name of names) {
      const called = (functions as unknown as Record<string, unknown>)[name];
      assert.match(Function.prototype.toString.call(called), /\[native code\]/, name);
    }
  }
  for (const [name, called] of Object.entries(ffi.each))
    assert.match(Function.prototype.toString.call(called), /\[native code\]/, name);
  const { recv, splice, recvmmsg, sendmmsg, each } = ffi;
  const nobody = 0xfffffn;
  assert.equal(recv(nobody, 0n, 0n, 0n), -1);
  assert.equal(errno(), EBADF);
  const { accept4, close, connect, epollCtl, sendmsg, setsockopt, shutdown, socket } = each;
  const failing = {
    splice: () => splice(nobody, 0n, nobody, 0n, 1n, 0n),
    recvmmsg: () => recvmmsg(nobody, 0n, 1n, 0n, 0n),
    sendmmsg: () => sendmmsg(nobody, 0n, 1n, 0n),
    sendmsg: () => sendmsg(nobody, 0n, 0n),
    accept4: () => accept4(nobody, 0n, 0n, 0n),
    close: () => close(nobody, 0n),
    connect: () => connect(nobody, 0n, 0n),
    epollCtl: () => epollCtl(nobody, 2n, nobody, 0n),
    setsockopt: () => setsockopt(nobody, 1n, 1n, 0n, 0n),
    shutdown: () => shutdown(nobody, 1n),
  };
  for (const [name, call] of Object.entries(failing)) {
    assert.equal(call(), -1, name);
    assert.equal(errno(), EBADF, name);
  }
  // No family has that number.
  assert.equal(socket(0xffffn, 1n, 0n), -1);
  assert.equal(errno(), EAFNOSUPPORT);
  assert.throws(() => direct('no_such_function', ['int']), { name: 'ExitError', code: 3, message: /has no no_such_f/ });
});
