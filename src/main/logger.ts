// The program's log of each of its processes: lines on standard error. Nobody who reads there, or does not, or went
// away, can hold a process up or end it.

import { LIMITS } from '../base/limits.ts';
import { LineSink } from '../base/line-sink.ts';
import { type Level, Logger } from '../base/log.ts';
import { ERRNO } from '../io/io.ts';
import { Outlet } from '../native/index.ts';

const STDERR = 2;

/** Made when this is loaded: later the process may no longer be allowed to open it anew. */
const outlet = new Outlet(STDERR);
let json = true;

const sink = new LineSink(
  {
    write: (bytes) => {
      const n = outlet.write(bytes);
      return n >= 0 ? n : n === -ERRNO.EAGAIN ? 0 : -1;
    },
    after: (ms, fire) => setTimeout(fire, ms).unref(),
  },
  (lines) => {
    let text = '';
    const write = (line: string): void => {
      text = line;
    };
    Logger.to({ write, now: () => new Date() }, { level: 'warn', json }).warn(
      'lines of this log were lost: nobody read them',
      {
        pid: process.pid,
        lines,
        limit: LIMITS.STDERR_BUFFER_BYTES,
      },
    );
    return text;
  },
);
process.on('exit', () => sink.flush());

/** Lines of this process that nobody took, so far. */
export function ownLinesDropped(): number {
  return sink.dropped;
}

export function stderrLogger(level: Level, asJson: boolean): Logger {
  json = asJson;
  return Logger.to({ write: (line) => sink.write(line), now: () => new Date() }, { level, json });
}

/** Lines that are no events, for whoever reads along on a terminal. */
export function tell(lines: readonly string[]): void {
  sink.write(lines.map((line) => `${line}\n`).join(''));
}
