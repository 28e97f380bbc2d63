import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LIMITS } from '../base/limits.ts';
import { Logger } from '../base/log.ts';
import { RingReader, RingWriter, ringBytes } from '../telemetry/log-ring.ts';
import { type LogPlace, LogWriter } from './log-writer.ts';

const ENOSPC = -28;
const EAGAIN = -11;
const RING = 64 * 1024;

function line(n: number, path = '/'): string {
  return `{"time":"2026-01-02T03:04:05.678Z","client":"::1","method":"GET","path":"${path}${n}","protocol":"HTTP/1.1","status":200,"response_bytes":5,"user_agent":"a"}\n`;
}

/** Takes what `answers` say (a most, or -errno), and everything when they are used up. */
class Place implements LogPlace {
  text = '';
  torn = false;
  closed = false;
  answers: number[] = [];
  always: number | null = null;
  write(bytes: Uint8Array, done: (taken: number) => void): void {
    const n = Math.min(this.always ?? this.answers.shift() ?? bytes.length, bytes.length);
    if (n > 0) this.text += Buffer.from(bytes.subarray(0, n)).toString();
    done(n);
  }
  close(): void {
    this.closed = true;
  }
  /** Lines there that are whole, by their numbers. */
  get whole(): number[] {
    return this.text.split('\n').flatMap((l) => {
      try {
        return [Number((JSON.parse(l) as { path: string }).path.slice(1))];
      } catch {
        return [];
      }
    });
  }
}

class Rig {
  readonly memory = new ArrayBuffer(ringBytes(RING));
  readonly ring = new RingWriter(this.memory);
  readonly reader = new RingReader(this.memory);
  readonly place = new Place();
  readonly troubles: number[] = [];
  readonly log: string[] = [];
  timers: (() => void)[] = [];
  readonly pauses: number[] = [];
  readonly writer: LogWriter;
  sent = 0;
  full = 0;

  constructor(format: 'json' | 'combined' = 'json') {
    const target = { write: (text: string) => this.log.push(text), now: () => new Date(0) };
    this.writer = new LogWriter([this.reader], {
      format,
      log: Logger.to(target, { level: 'info', json: true }),
      trouble: (errno) => this.troubles.push(errno),
      replaced: () => {},
      after: (ms, fire) => {
        if (ms > 0) this.pauses.push(ms);
        this.timers.push(fire);
      },
    });
    this.writer.use(this.place);
    this.writer.start();
  }

  put(text: string): void {
    const bytes = Buffer.from(text);
    if (!this.ring.write(bytes, 0, bytes.length)) this.full++;
    this.ring.publish();
  }
  /** So many lines of requests, numbered on. */
  request(n: number): void {
    for (let i = 0; i < n; i++) this.put(line(this.sent++));
  }
  pass(times = 1): void {
    for (let i = 0; i < times; i++) for (const fire of this.timers.splice(0)) fire();
  }
}

const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

test('looks are the rarer the fewer lines come, and no ring is full before the next one', () => {
  const rig = new Rig();
  const look = (bytes: number): number | undefined => {
    for (let n = line(rig.sent).length; n <= bytes; n += line(rig.sent).length) rig.request(1);
    rig.pass(2);
    return rig.pauses.at(-1);
  };
  assert.equal(look(0), LIMITS.LOG_PAUSE_MS);
  assert.equal(look(RING / 8), LIMITS.LOG_PAUSE_MS, 'few lines');
  assert.equal(Math.round((look(RING / 2) as number) / 10), LIMITS.LOG_PAUSE_MS / 2 / 10, 'half a ring in one pause');
  const steady = look(RING / 4) as number;
  assert.ok(Math.abs(steady - LIMITS.LOG_PAUSE_MS / 2) <= 3, `as many in half the time: ${steady}`);
  for (let i = 0; i < 3; i++) look(RING * 0.99);
  assert.equal(rig.pauses.at(-1), LIMITS.LOG_BUSY_PAUSE_MS, 'as many as fit, however soon');
  for (let i = 0; i < 3; i++) look(0);
  assert.equal(rig.pauses.at(-1), LIMITS.LOG_PAUSE_MS, 'and none');
  assert.equal(rig.full, 0);
});

test('a full disk: nothing is torn, nothing is lost while it fits into the ring', () => {
  const rig = new Rig();
  rig.request(10);
  rig.place.answers = [line(0).length * 3 + 20, ENOSPC, ENOSPC];
  rig.pass(3);
  assert.ok(!rig.place.text.endsWith('\n'));
  assert.deepEqual(rig.troubles, [ENOSPC]);
  rig.request(10);
  rig.pass(20);
  assert.equal(
    rig.place.text,
    upTo(20)
      .map((n) => line(n))
      .join(''),
  );
  assert.deepEqual(rig.troubles, [ENOSPC, 0]);
  assert.equal(rig.reader.dropped, 0);
});

test('a full disk for long: the oldest lines go and each is counted, the next begins on a line of its own', () => {
  const rig = new Rig();
  rig.request(5);
  rig.place.answers = [line(0).length + 20];
  rig.pass(1);
  rig.place.always = ENOSPC;
  for (let i = 0; i < 40; i++) {
    rig.request(50);
    rig.pass(3);
  }
  rig.place.always = null;
  rig.pass(50);
  const { whole } = rig.place;
  assert.ok(rig.reader.dropped > 0);
  assert.equal(whole.length + rig.reader.dropped + rig.full, rig.sent);
  assert.equal(new Set(whole).size, whole.length);
  assert.equal(whole.at(-1), rig.sent - 1, 'the newest are kept');
  const broken = rig.place.text.split('\n').filter((l) => l !== '' && !l.endsWith('}'));
  assert.deepEqual(broken, [line(1).slice(0, 20)]);
});

test('however little is taken when, every line is whole or counted', () => {
  const answers = fc.array(fc.oneof(fc.integer({ min: 1, max: 400 }), fc.constantFrom(ENOSPC, EAGAIN, 0)), {
    maxLength: 60,
  });
  fc.assert(
    fc.property(
      answers,
      fc.array(fc.integer({ min: 0, max: 120 }), { minLength: 1, maxLength: 12 }),
      (taken, bursts) => {
        const rig = new Rig();
        rig.place.answers = [...taken];
        for (const n of bursts) {
          rig.request(n);
          rig.pass(5);
        }
        rig.place.answers = [];
        rig.pass(60);
        const { whole } = rig.place;
        assert.equal(whole.length + rig.reader.dropped + rig.full, rig.sent);
        assert.deepEqual(
          whole,
          [...whole].sort((a, b) => a - b),
        );
      },
    ),
    { numRuns: 200 },
  );
});

test('a line of which the old file has a part goes whole to the new one', () => {
  const rig = new Rig();
  rig.request(3);
  rig.place.answers = [line(0).length + 30];
  rig.place.always = null;
  rig.pass(1);
  const next = new Place();
  rig.writer.use(next);
  rig.pass(10);
  assert.equal(rig.place.text, line(0) + line(1).slice(0, 30));
  assert.ok(rig.place.closed);
  assert.equal(next.text, line(1) + line(2));
});

test('what ends with half a line is brought to the end of one first', () => {
  const rig = new Rig();
  const next = new Place();
  next.torn = true;
  next.text = '{"half';
  rig.writer.use(next);
  rig.request(1);
  rig.pass(5);
  assert.equal(next.text, `{"half\n${line(0)}`);
});

test('nowhere to write: lines wait, and the end of the program says how many were lost', () => {
  const rig = new Rig();
  rig.writer.use(null);
  rig.request(7);
  rig.pass(5);
  assert.equal(rig.reader.dropped, 0);
  let flushed = 0;
  rig.writer.flush(() => flushed++);
  rig.pass(3);
  assert.equal(flushed, 1);
  assert.match(rig.log.join(''), /are lost.*"lines":7/);
});

test('what one writer could not write, the next one of the ring does', () => {
  const rig = new Rig();
  rig.place.always = ENOSPC;
  rig.request(4);
  rig.pass(5);
  const reader = new RingReader(rig.memory);
  const bytes = new Uint8Array(RING);
  assert.equal(
    Buffer.from(bytes.subarray(0, reader.take(bytes))).toString(),
    upTo(4)
      .map((n) => line(n))
      .join(''),
  );
});

for (const format of ['json', 'combined'] as const)
  test(`bad lines in the ring are dropped and counted: ${format}`, () => {
    const rig = new Rig(format);
    rig.request(1);
    for (const bad of ['not json\n', '{"time":"x"}x\n', '\u0000\n', '\u001b[2J\n', '[]\n', 'null\n', '{"time":{}}\n'])
      rig.put(bad);
    rig.request(1);
    rig.pass(5);
    assert.equal(rig.reader.dropped, 7);
    assert.equal(rig.place.text.split('\n').length, 3);
    if (format === 'json') assert.equal(rig.place.text, line(0) + line(1));
    rig.put('{"time":"not a time","path":"/"}\n');
    rig.put('an end that never comes');
    rig.pass(5);
    assert.equal(rig.reader.dropped, format === 'json' ? 8 : 9);
    rig.request(1);
    rig.pass(5);
    assert.ok(rig.place.text.includes('/2'));
  });

test('positions that a worker made up cost at most a ring of bytes each', () => {
  const positions = new Int32Array(new Rig().memory.slice(0, 4096));
  assert.equal(positions.length, 1024);
  fc.assert(
    fc.property(
      fc.array(fc.record({ at: fc.constantFrom(0, 16), value: fc.integer() }), { minLength: 1, maxLength: 20 }),
      fc.uint8Array({ minLength: 0, maxLength: 200 }),
      (pokes, noise) => {
        const rig = new Rig();
        rig.request(20);
        new Uint8Array(rig.memory, 4096).set(noise, 300);
        let before = 0;
        for (const { at, value } of pokes) {
          new Int32Array(rig.memory)[at] = value;
          rig.pass(10);
          assert.ok(rig.place.text.length - before <= RING, `${rig.place.text.length - before} bytes`);
          before = rig.place.text.length;
          rig.reader.newest(LIMITS.RECENT_BYTES);
        }
        for (const text of rig.place.text.split('\n').slice(0, -1)) JSON.parse(text);
      },
    ),
    { numRuns: 200 },
  );
});
