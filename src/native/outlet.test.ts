import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readFileSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ERRNO } from '../io/io.ts';
import { Outlet, openNative, socketPair } from './index.ts';

const folder = mkdtempSync(join(tmpdir(), 'rauta-outlet-'));
after(() => rmSync(folder, { recursive: true }));
const block = Buffer.alloc(4096, 0x61);

/** Bytes taken until no more are. */
function fill(outlet: Outlet): { taken: number; end: number } {
  for (let taken = 0; ; ) {
    const n = outlet.write(block);
    if (n <= 0) return { taken, end: n };
    taken += n;
  }
}

test('a FIFO whose reader stands still, and then is gone, though others keep it blocking', () => {
  const path = join(folder, 'fifo');
  execFileSync('mkfifo', [path]);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  // As it is inherited: blocking.
  const fd = openSync(path, constants.O_WRONLY);
  const outlet = new Outlet(fd);
  const { taken, end } = fill(outlet);
  assert.ok(taken >= 4096);
  assert.equal(end, -ERRNO.EAGAIN);
  const flags = parseInt(/flags:\s*0?(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? '', 8);
  assert.equal(flags & constants.O_NONBLOCK, 0, 'the open file of others is as it was');
  readSync(reader, Buffer.alloc(8192));
  assert.ok(outlet.write(block) > 0);
  closeSync(reader);
  assert.equal(outlet.write(block), -ERRNO.EPIPE);
  outlet.close();
  closeSync(fd);
});

test('a socket whose reader stands still, and then is gone', () => {
  const io = openNative({ arenaBytes: 1 << 20 });
  const [ours, theirs] = socketPair(io);
  const outlet = new Outlet(io.fdOf(ours));
  assert.equal(outlet.isFile, false);
  const { taken, end } = fill(outlet);
  assert.ok(taken > 0);
  assert.equal(end, -ERRNO.EAGAIN);
  io.close(theirs);
  assert.equal(outlet.write(block), -ERRNO.EPIPE);
});

test('a file takes everything', () => {
  const path = join(folder, 'file');
  const outlet = new Outlet(openSync(path, 'a'), true);
  assert.ok(outlet.isFile);
  assert.equal(outlet.write(block), block.length);
  assert.equal(outlet.write(new Uint8Array(0)), 0);
  outlet.close();
  assert.equal(readFileSync(path).length, block.length);
});
