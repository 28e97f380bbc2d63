import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LIMITS } from './limits.ts';
import { type LinePlace, LineSink } from './line-sink.ts';

/**
 * Takes what `answers` say: a number of bytes, 0 for none now, -1 for nothing of this; everything when they are used
 * up.
 */
class Place implements LinePlace {
  text = '';
  timers: (() => void)[] = [];
  answers: number[] = [];
  tries = 0;
  write(bytes: Uint8Array): number {
    this.tries++;
    const n = Math.min(this.answers.shift() ?? bytes.length, bytes.length);
    if (n > 0) this.text += Buffer.from(bytes.subarray(0, n)).toString();
    return n;
  }
  after(_ms: number, fire: () => void): void {
    this.timers.push(fire);
  }
  pass(): void {
    for (const fire of this.timers.splice(0)) fire();
  }
}

const loss = (n: number): string => `lost ${n}.\n`;

test('a reader that stands still costs a bounded buffer; what is more is dropped, counted and said', () => {
  const place = new Place();
  const sink = new LineSink(place, loss);
  place.answers = Array(10_000).fill(0);
  const line = `${'x'.repeat(99)}\n`;
  const fits = Math.floor(LIMITS.STDERR_BUFFER_BYTES / line.length);
  for (let i = 0; i < fits + 70; i++) sink.write(line);
  assert.equal(sink.dropped, 70);
  assert.equal(place.tries, 1, 'it is not tried again for each line');
  place.answers = [];
  place.pass();
  assert.equal(place.text, `${line.repeat(fits)}lost 70.\n`);
  sink.write('next\n');
  assert.ok(place.text.endsWith('lost 70.\nnext\n'));
});

test('a reader that is gone loses lines and nothing else', () => {
  const place = new Place();
  const sink = new LineSink(place, loss);
  place.answers = [-1, -1, -1];
  for (const line of ['a\n', 'b\n', 'c\n']) sink.write(line);
  assert.equal(sink.dropped, 3);
  sink.write('d\n');
  assert.equal(place.text, 'd\nlost 3.\n');
});

test('a line that was begun is ended before another, or the next begins on a line of its own', () => {
  const place = new Place();
  const sink = new LineSink(place, loss);
  place.answers = [3, 0];
  sink.write('first\n');
  sink.write('second\n');
  place.pass();
  assert.equal(place.text, 'first\nsecond\n');
  place.answers = [3, -1];
  sink.write('third\n');
  sink.write('fourth\n');
  assert.equal(place.text, 'first\nsecond\nthi\nfourth\nlost 1.\n');
});

test('whatever is taken when: every line is whole, or torn at its end and counted', () => {
  const answers = fc.array(fc.integer({ min: -1, max: 12 }), { maxLength: 60 });
  fc.assert(
    fc.property(answers, fc.integer({ min: 1, max: 40 }), (taken, lines) => {
      const place = new Place();
      const sink = new LineSink(place, loss);
      place.answers = [...taken];
      for (let i = 0; i < lines; i++) {
        sink.write(`line-${i}.\n`);
        if (i % 3 === 0) place.pass();
      }
      place.answers = [];
      place.pass();
      sink.flush();
      const seen = place.text.split('\n').filter((l) => l !== '');
      const whole = seen.filter((l) => /^line-\d+\.$/.test(l));
      const said = seen.filter((l) => /^lost \d+\.$/.test(l)).reduce((n, l) => n + Number(l.slice(5)), 0);
      assert.equal(whole.length + sink.dropped, lines, place.text);
      assert.equal(said, sink.dropped, place.text);
      for (const l of seen) assert.match(l, /^(l|li|lin|line|line-\d*\.?|lo|los|lost ?\d*\.?)$/);
    }),
    { numRuns: 500 },
  );
});
