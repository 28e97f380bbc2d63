// The program's own log: one line an event to stderr, JSON by default, text on a terminal. (The access log is another.)

import { visible, visibleJson } from './steering.ts';

export const LEVELS = ['error', 'warn', 'info', 'debug'] as const;
export type Level = (typeof LEVELS)[number];
export type Fields = Readonly<Record<string, string | number | boolean | null | undefined>>;

export interface LogTarget {
  write(line: string): void;
  now(): Date;
}

export class Logger {
  readonly #target: LogTarget;
  readonly #bound: Fields;
  /** Shared with every logger made by `with`, so that a change of level reaches them all. */
  readonly #state: { level: number; readonly json: boolean };

  private constructor(target: LogTarget, state: { level: number; readonly json: boolean }, bound: Fields) {
    this.#target = target;
    this.#state = state;
    this.#bound = bound;
  }

  static to(target: LogTarget, options: { level: Level; json: boolean }): Logger {
    return new Logger(target, { level: LEVELS.indexOf(options.level), json: options.json }, {});
  }

  /** A logger that adds `fields` to each line and follows this one's level. */
  with(fields: Fields): Logger {
    return new Logger(this.#target, this.#state, { ...this.#bound, ...fields });
  }

  get level(): Level {
    return LEVELS[this.#state.level] as Level;
  }
  set level(level: Level) {
    this.#state.level = LEVELS.indexOf(level);
  }
  /** Sets the level and says so, whatever it was and will be. */
  change(level: Level): void {
    const before = this.level;
    this.level = 'info';
    this.info('log level', { before, now: level });
    this.level = level;
  }

  error(message: string, fields?: Fields): void {
    this.#write(0, message, fields);
  }
  warn(message: string, fields?: Fields): void {
    this.#write(1, message, fields);
  }
  info(message: string, fields?: Fields): void {
    this.#write(2, message, fields);
  }
  debug(message: string, fields?: Fields): void {
    this.#write(3, message, fields);
  }

  #write(level: number, message: string, fields: Fields | undefined): void {
    if (level > this.#state.level) return;
    const time = this.#target.now().toISOString();
    const name = LEVELS[level] as Level;
    const all = fields === undefined ? this.#bound : { ...this.#bound, ...fields };
    this.#target.write(this.#state.json ? jsonLine(time, name, message, all) : textLine(time, name, message, all));
  }
}

function jsonLine(time: string, level: Level, message: string, fields: Fields): string {
  return `${visibleJson(JSON.stringify({ time, level, message, ...fields }))}\n`;
}

function textLine(time: string, level: Level, message: string, fields: Fields): string {
  let line = `${time.slice(11, 23)} ${level.toUpperCase().padEnd(5)} ${visible(message)}`;
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    const text = String(value);
    line += ` ${name}=${/^[\w./:@+-]+$/.test(text) ? text : visibleJson(JSON.stringify(text))}`;
  }
  return `${line}\n`;
}
