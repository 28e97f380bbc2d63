import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { newMemory } from '../base/memory.ts';
import { LINE_BYTES, LineWriter } from './access-log.ts';
import { copyPlain, PLAIN_SLACK } from './plain.ts';
import { AccessRecord } from './record.ts';

const mem = newMemory(1 << 16);
const FROM = 1003;
const TO = 9001;

test('any byte anywhere is copied, and told from those that need care', () => {
  for (const length of [0, 1, 2, 15, 16, 17, 31, 32, 33, 100]) {
    mem.fill(0x61, FROM, FROM + length);
    // Whatever stands behind must not matter.
    mem.fill(0x22, FROM + length, FROM + length + 64);
    assert.equal(copyPlain(mem, TO, FROM, FROM + length), true);
    for (const place of new Set([0, 1, 14, 15, 16, length - 1])) {
      if (place < 0 || place >= length) continue;
      for (let c = 0; c < 256; c++) {
        mem[FROM + place] = c;
        mem.fill(0, TO, TO + length + PLAIN_SLACK + 1);
        const plain = c >= 0x20 && c < 0x7f && c !== 0x22 && c !== 0x5c;
        assert.equal(copyPlain(mem, TO, FROM, FROM + length), plain, `${c} at ${place} of ${length}`);
        assert.deepEqual(mem.subarray(TO, TO + length), mem.subarray(FROM, FROM + length));
        assert.equal(mem[TO + length + PLAIN_SLACK], 0);
      }
      mem[FROM + place] = 0x61;
    }
  }
});

test('a line is the same whether its strings are known to be plain or not', () => {
  const text = fc.oneof(fc.stringMatching(/^[ -~]{0,40}$/), fc.string({ unit: 'binary', maxLength: 40 }));
  const line = (r: AccessRecord, host: string, path: string, agent: string, within: boolean): string => {
    r.reset();
    const put = (value: string, most?: number): [number, number] => {
      const bytes = Buffer.from(value);
      mem.set(bytes, FROM);
      // From another memory nothing is known of it.
      const at = within
        ? r.copy(mem, FROM, FROM + bytes.length, most)
        : r.copy(new Uint8Array(bytes), 0, bytes.length, most);
      return [at, r.used];
    };
    [r.hostStart, r.hostEnd] = put(host, 20);
    [r.pathStart, r.pathEnd] = put(path);
    [r.agentStart, r.agentEnd] = put(agent);
    const out = new Uint8Array(LINE_BYTES);
    return Buffer.from(out.subarray(0, new LineWriter(false).format(out, new DataView(out.buffer), 0, r))).toString();
  };
  const inside = new AccessRecord(mem, new DataView(mem.buffer), TO);
  const apart = new AccessRecord();
  fc.assert(
    fc.property(text, text, text, (host, path, agent) => {
      assert.equal(line(inside, host, path, agent, true), line(apart, host, path, agent, false));
    }),
    { numRuns: 300 },
  );
  line(inside, 'app.example.com', '/a', 'curl', true);
  assert.equal(inside.plain, true);
  line(inside, 'app.example.com', '/"', 'curl', true);
  assert.equal(inside.plain, false);
});
