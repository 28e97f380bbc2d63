// The structures of both architectures as data. Only the machine's own runs here; the other is held to the kernel's
// headers by these numbers, not by execution.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LAYOUT, layoutOf } from './layout.ts';

/** Members of a C structure by natural alignment (both System V ABIs), in order: name and size. */
function natural(members: readonly (readonly [string, number])[]): Record<string, number> {
  const offsets: Record<string, number> = {};
  let at = 0;
  let align = 1;
  for (const [name, size] of members) {
    const a = Math.min(size, 8);
    at = Math.ceil(at / a) * a;
    offsets[name] = at;
    at += size;
    align = Math.max(align, a);
  }
  offsets['size'] = Math.ceil(at / align) * align;
  return offsets;
}

test('epoll_event is packed on x86-64 only (include/uapi/linux/eventpoll.h)', () => {
  assert.deepEqual(layoutOf('x64').epollEvent, { size: 12, events: 0, data: 4 });
  assert.deepEqual(layoutOf('arm64').epollEvent, { size: 16, events: 0, data: 8 });
  const unpacked = natural([
    ['events', 4],
    ['data', 8],
  ]);
  assert.deepEqual({ ...layoutOf('arm64').epollEvent }, unpacked);
});

for (const arch of ['x64', 'arm64']) {
  test(`${arch}: msghdr, iovec and cmsghdr as recvmsg(2) and cmsg(3) declare them`, () => {
    const layout = layoutOf(arch);
    const header = natural([
      ['name', 8],
      ['nameLength', 4],
      ['iov', 8],
      ['iovLength', 8],
      ['control', 8],
      ['controlLength', 8],
      ['flags', 4],
    ]);
    assert.deepEqual({ ...layout.msghdr }, header);
    assert.equal(layout.msghdr.size, 56);
    const vector = natural([
      ['base', 8],
      ['length', 8],
    ]);
    assert.deepEqual({ ...layout.iovec }, vector);
    const control = natural([
      ['length', 8],
      ['level', 4],
      ['type', 4],
    ]);
    assert.deepEqual({ ...layout.cmsghdr }, { ...control, align: 8 });
  });

  test(`${arch}: socket addresses as ip(7), ipv6(7) and unix(7) declare them`, () => {
    const layout = layoutOf(arch);
    assert.deepEqual(layout.sockaddrIn, { size: 16, port: 2, address: 4 });
    assert.deepEqual(layout.sockaddrIn6, { size: 28, port: 2, flow: 4, address: 8, scope: 24 });
    assert.deepEqual(layout.sockaddrUn, { size: 110, path: 2 });
    assert.deepEqual(layout.linger, { size: 8 });
    assert.deepEqual(layout.rlimit, { size: 16 });
  });
}

test('this machine uses its own, and no other is guessed', () => {
  assert.deepEqual(LAYOUT, layoutOf(process.arch));
  assert.throws(() => layoutOf('riscv64'), /no structure layout/);
});
