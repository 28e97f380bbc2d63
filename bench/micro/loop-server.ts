// One forwarding server under test: client -> here -> backend and back, its reactor and libuv arranged as argv says.
// Started by loop.ts. Answers {type:'report'} over IPC with how late timers and promises were.

import { readFileSync } from 'node:fs';
import { LIMITS } from '../../src/base/limits.ts';
import { READABLE, type ReadySink } from '../../src/io/io.ts';
import { pollReadable } from '../../src/native/ffi.ts';
import { type NativeIo, openNative, Reactor } from '../../src/native/index.ts';

const [mode = 'reactor', backendPort = '0'] = process.argv.slice(2);
const io = openNative({ arenaBytes: 64 * 2 ** 20 });
const buffer = io.alloc(LIMITS.READ_BYTES);

/** Copies what comes from one socket to the other. */
class Side implements ReadySink {
  readonly handle: number;
  other: Side | null = null;
  constructor(handle: number) {
    this.handle = handle;
  }
  onReady(events: number): void {
    if ((events & ~2) === 0) return;
    for (;;) {
      const n = io.recv(this.handle, buffer, LIMITS.READ_BYTES);
      if (n > 0) {
        if (io.send((this.other as Side).handle, buffer, n) !== n) throw new Error('short write');
        if (n < LIMITS.READ_BYTES && (events & ~(READABLE | 2)) === 0) return;
      } else {
        if (n !== -11) {
          io.close(this.handle);
          io.close((this.other as Side).handle);
        }
        return;
      }
    }
  }
}

const listener = io.listen({ family: 'ipv4', address: '127.0.0.1', port: 0 }, { reusePort: false, backlog: 512 });
io.watch(listener, {
  onReady(): void {
    for (let h = io.accept(listener); h >= 0; h = io.accept(listener)) {
      const down = new Side(h);
      const up = new Side(io.connect({ family: 'ipv4', address: '127.0.0.1', port: Number(backendPort) }));
      down.other = up;
      up.other = down;
      io.watch(up.handle, up);
      io.watch(down.handle, down);
    }
  },
});

let timerLate: number[] = [];
let timerOwn: number[] = [];
let promiseLate: number[] = [];
/** Milliseconds this thread was ready and waited for a CPU (Documentation/scheduler/sched-stats.rst). */
const cpuWait = (): number => Number(readFileSync('/proc/self/schedstat', 'latin1').split(' ')[1]) / 1e6;

function measureLateness(): void {
  const due = performance.now() + 20;
  const waited = cpuWait();
  setTimeout(async () => {
    const late = performance.now() - due;
    timerLate.push(late);
    timerOwn.push(Math.max(0, late - (cpuWait() - waited)));
    const start = performance.now();
    for (let i = 0; i < 100; i++) await null;
    await new Promise<void>((resolve) => process.nextTick(resolve));
    promiseLate.push(performance.now() - start);
    measureLateness();
  }, 20);
}

/**
 * Both wait in our set; a pass of libuv after every turn (`ms` 0) or every `ms` milliseconds. Never waits elsewhere.
 */
function hybrid(reactor: NativeIo, ms: number): void {
  reactor.watchUv(true);
  const loop = (): void => {
    setImmediate(loop);
    const until = performance.now() + ms;
    do reactor.turn(LIMITS.REACTOR_WAIT_MS);
    while (!reactor.takeUvReady() && performance.now() < until);
  };
  loop();
}

const port = (io.localAddress(listener) as { port: number }).port;
process.send?.({ type: 'ready', port }, undefined, undefined, () => {
  switch (mode) {
    case 'block':
      for (;;) io.turn(60_000);
    case 'poll': {
      const turns = (): void => {
        for (let i = 0; i < 4; i++) if (io.turn(0) < 16) break;
      };
      Object.assign(globalThis, { poll: pollReadable(io.epollFd, turns) });
      break;
    }
    case 'hybrid-5ms':
      hybrid(io, 5);
      break;
    case 'hybrid-each':
      hybrid(io, 0);
      break;
    default:
      new Reactor(io).run();
  }
});
if (mode !== 'block') {
  process.on('message', (message: { type: string }) => {
    if (message.type === 'measure') measureLateness();
    if (message.type === 'report') {
      process.send?.({ type: 'report', timerLate, timerOwn, promiseLate });
      timerLate = [];
      timerOwn = [];
      promiseLate = [];
    }
  });
  process.on('disconnect', () => process.exit(0));
}
