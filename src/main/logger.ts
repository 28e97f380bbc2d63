// The program's log of each of its processes: lines on standard error, short enough never to tear.

import { type Level, Logger } from '../base/log.ts';

export function stderrLogger(level: Level, json: boolean): Logger {
  return Logger.to({ write: (line) => process.stderr.write(line), now: () => new Date() }, { level, json });
}
