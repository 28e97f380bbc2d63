import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LIMITS } from '../../base/limits.ts';
import { NO_FAULTS } from '../../sim/faults.ts';
import { SimIo } from '../../sim/io.ts';
import { ChunkQueue } from './queue.ts';

test('bytes come out as they went in, whatever is pushed and taken when; nothing is kept at the end', () => {
  const step = fc.oneof(
    fc.record({ push: fc.integer({ min: 1, max: 90_000 }) }),
    fc.record({ take: fc.integer({ min: 1, max: 90_000 }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const io = new SimIo({ seed: 1, faults: NO_FAULTS });
      const queue = new ChunkQueue(io);
      const source = io.alloc(100_000);
      let written = 0;
      let read = 0;
      for (const s of steps) {
        if ('push' in s) {
          for (let i = 0; i < s.push; i++) io.mem[source + i] = (written + i) % 251;
          const fits = queue.bytes + s.push <= LIMITS.FLOW_BYTES;
          assert.equal(queue.push(source, source + s.push), fits);
          if (fits) written += s.push;
          continue;
        }
        for (let left = s.take; left > 0 && queue.bytes > 0; ) {
          const n = Math.min(left, queue.frontEnd - queue.front);
          assert.ok(n > 0);
          for (let i = 0; i < n; i++) assert.equal(io.mem[queue.front + i], (read + i) % 251);
          queue.took(n);
          read += n;
          left -= n;
        }
      }
      assert.equal(queue.bytes, written - read);
      queue.clear();
      assert.equal(queue.bytes, 0);
      assert.equal(io.arena.blocks, 1);
    }),
    { seed: 1, numRuns: 60 },
  );
});

test('without memory nothing is promised', () => {
  const io = new SimIo({ seed: 1, faults: NO_FAULTS, arenaBytes: 8192 });
  const queue = new ChunkQueue(io);
  const source = io.alloc(4096);
  assert.equal(queue.push(source, source + 100), true);
  assert.equal(queue.push(source, source + 4096), false);
  queue.clear();
});
