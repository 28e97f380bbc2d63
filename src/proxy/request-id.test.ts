import assert from 'node:assert/strict';
import { test } from 'node:test';
import { textOf } from '../base/bytes.ts';
import { NO_FAULTS } from '../sim/faults.ts';
import { SimIo } from '../sim/io.ts';
import { REQUEST_ID_BYTES, RequestIds } from './request-id.ts';

test('ids are UUIDs version 7 of the present millisecond, and differ (RFC 9562 section 5.7)', () => {
  const io = new SimIo({ seed: 1, faults: NO_FAULTS });
  const ids = new RequestIds(io);
  const at = io.alloc(64);
  const seen = new Set<string>();
  for (let i = 0; i < 2000; i++) {
    if (i % 100 === 0) {
      io.jump(io.nowUs + 1000);
      io.step();
    }
    assert.equal(ids.put(io.mem, at), at + REQUEST_ID_BYTES);
    const id = textOf(io.mem, at, at + REQUEST_ID_BYTES);
    assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.equal(Number.parseInt(id.replace('-', '').slice(0, 12), 16), io.wallMs);
    seen.add(id);
  }
  assert.equal(seen.size, 2000);
});

test('every random digit takes every value', () => {
  const io = new SimIo({ seed: 2, faults: NO_FAULTS });
  const ids = new RequestIds(io);
  const at = io.alloc(64);
  const digits = Array.from({ length: REQUEST_ID_BYTES }, () => new Set<string>());
  for (let i = 0; i < 1000; i++) {
    ids.put(io.mem, at);
    for (const [k, c] of [...textOf(io.mem, at, at + REQUEST_ID_BYTES)].entries()) digits[k]?.add(c);
  }
  for (let k = 15; k < REQUEST_ID_BYTES; k++) {
    const wanted = k === 18 || k === 23 ? 1 : k === 19 ? 4 : 16;
    assert.equal(digits[k]?.size, wanted, `digit ${k}`);
  }
});
