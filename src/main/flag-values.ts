// Values of flags and variables as they are asked for. What is wrong with one is said under the name by which it was
// given, with the value and a form that works.

import { isIP } from 'node:net';
import { durationMs } from '../api/duration.ts';
import { formOf } from '../api/forms.ts';
import type { ExitError } from '../base/errors.ts';
import { hostPortForm, isPlainIp, parseRange, splitHostPort } from '../base/ip.ts';
import { likely } from '../base/nearest.ts';
import { truth, usageError as usage } from '../cli/arguments.ts';
import type { Flag } from '../cli/command.ts';
import { FLAGS, variableOf } from './flags.ts';

/** What was given, by the name of its flag, and the word by which it was given. */
export type GivenFlags = Map<string, { readonly values: readonly string[]; readonly from: string }>;

export interface Bind {
  readonly host: string;
  readonly port: number;
}

const LABEL = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
const DURATION = '^([0-9]{1,5}(h|m|s|ms)){1,4}$';
const PORT_MAX = 65_535;

/** Each of its functions throws ExitError (usage) for a value that is not what it is asked for. */
export class Values {
  readonly #given: GivenFlags;
  readonly #default: (flag: Flag) => string;

  /** `otherwise`: what a flag is that was not given. */
  constructor(given: GivenFlags, otherwise: (flag: Flag) => string) {
    this.#given = given;
    this.#default = otherwise;
  }

  has(name: string): boolean {
    return this.#given.has(name);
  }

  /** `--name`, or the variable by which it was given. */
  from(name: string): string {
    return this.#given.get(name)?.from ?? `--${name}`;
  }

  text(name: string): string {
    return this.#given.get(name)?.values.at(-1) ?? this.#default(flagOf(name));
  }

  optional(name: string): string | null {
    return this.text(name) || null;
  }

  truth(name: string): boolean {
    return truth(this.from(name), this.text(name));
  }

  list(name: string): string[] {
    const list = splitList(this.text(name));
    if (list.length === 0 && this.text(name) !== '') throw this.wrong(name, this.text(name), 'names nothing');
    return list;
  }

  oneOf<T extends string>(name: string, allowed: readonly T[]): T {
    const value = this.text(name);
    if ((allowed as readonly string[]).includes(value)) return value as T;
    const meant = likely(value, allowed) ?? switchOf(value, allowed) ?? (flagOf(name).example as string);
    throw this.wrong(name, value, `is not one of ${allowed.join(', ')}`, meant);
  }

  count(name: string, low: number, high: number): number {
    const value = this.text(name);
    const n = Number(value);
    if (/^\d+$/.test(value) && n >= low && n <= high) return n;
    const nearest = /^-?\d+$/.test(value) ? String(Math.min(Math.max(n, low), high)) : undefined;
    throw this.wrong(name, value, `is not a whole number from ${low} to ${high}`, nearest);
  }

  /** Milliseconds of a GEP-2257 duration (`1h2m3s4ms`) or of a bare number of seconds. */
  duration(name: string): number {
    const value = this.text(name);
    const ms = /^\d{1,7}$/.test(value) ? Number(value) * 1000 : durationMs(value);
    if (!Number.isNaN(ms)) return ms;
    const { write } = formOf(DURATION, value, (text) => durationMs(text) > 0);
    throw this.wrong(name, value, 'is not a duration like 500ms, 30s or 1m30s', write);
  }

  /** A duration above zero: for what cannot be without one. */
  positive(name: string): number {
    const ms = this.duration(name);
    if (ms === 0) throw this.wrong(name, this.text(name), 'is no time at all');
    return ms;
  }

  /** `HOST:PORT`, `[v6]:PORT`, `:PORT` (every address). */
  bind(name: string): Bind {
    const value = this.text(name);
    const parts = splitHostPort(value);
    const write = hostPortForm(value, '127.0.0.1', 9090) ?? '';
    if (parts === null || parts.port > PORT_MAX || (parts.bracketed && isIP(parts.host) !== 6))
      throw this.wrong(name, value, 'is not HOST:PORT', isBind(write) ? write : undefined);
    const { host, port } = parts;
    if (isIP(host) !== 0 && !isPlainIp(host)) throw this.wrong(name, value, UNBINDABLE);
    // The keeper binds it, and asks no name server.
    if (host !== '' && !isBindHost(host))
      throw this.wrong(name, value, `names the host ${host}, which is neither an IP address nor localhost`);
    return { host: host === '' ? '::' : host, port };
  }

  addresses(name: string): string[] {
    const list = this.list(name);
    for (const one of list) {
      const bare = one
        .replace(/^\[(.*)\]$/, '$1')
        .replace(/%.*$/, '')
        .replace(/^::ffff:(?=[0-9.]+$)/i, '');
      const meant = isPlainIp(bare) ? bare : undefined;
      if (isIP(one) === 0) throw this.wrong(name, one, 'is not an IP address', meant);
      if (!isPlainIp(one)) throw this.wrong(name, one, UNBINDABLE, meant);
    }
    return list;
  }

  /** Each with the length of its prefix. */
  ranges(name: string): string[] {
    return this.list(name).map((text) => {
      const range = parseRange(text);
      if (range === null) throw this.wrong(name, text, 'is not an address or CIDR like 10.0.0.0/8');
      return text.includes('/') ? text : `${text}/${range.family === 4 ? 32 : 128}`;
    });
  }

  /** `NAMESPACE/NAME`; null where none is named. */
  object(name: string): string | null {
    const value = this.text(name);
    if (value === '' || /^[a-z0-9-]{1,63}\/[a-z0-9.-]{1,253}$/.test(value)) return value || null;
    const meant = /^[a-z0-9.-]{1,253}$/.test(value) ? `default/${value}` : undefined;
    throw this.wrong(name, value, 'is not NAMESPACE/NAME', meant);
  }

  /** Ports by those that they stand for. */
  portMap(name: string): Record<string, number> {
    const map: Record<string, number> = {};
    for (const pair of this.list(name)) {
      const m = /^(\d{1,5})=(\d{1,5})$/.exec(pair);
      const [a, b] = [Number(m?.[1]), Number(m?.[2])];
      if (m === null || a < 1 || b < 1 || a > PORT_MAX || b > PORT_MAX) {
        const [, from, to] = /^(\d{1,5})\s*(?::|->|=>)\s*(\d{1,5})$/.exec(pair) ?? [];
        const meant = Number(from) <= PORT_MAX && Number(to) <= PORT_MAX ? `${from}=${to}` : undefined;
        throw this.wrong(name, pair, `is not PORT=PORT, each from 1 to ${PORT_MAX}`, meant);
      }
      const before = map[String(a)];
      if (before !== undefined && before !== b)
        throw this.wrong(name, pair, `gives port ${a} a second place, beside ${before}`, `${a}=${before}`);
      map[String(a)] = b;
    }
    return map;
  }

  /** The name of an object, or of a namespace (`label`). */
  named(name: string, label = false): string {
    return this.#named(name, this.text(name), label ? `^${LABEL}$` : `^${LABEL}(\\.${LABEL})*$`);
  }

  namespaces(name: string): string[] {
    return this.list(name).map((one) => this.#named(name, one, `^${LABEL}$`));
  }

  hosts(name: string): string[] {
    return this.list(name).map((one) => this.#named(name, one.toLowerCase(), `^${LABEL}(\\.${LABEL})*$`));
  }

  #named(name: string, value: string, pattern: string): string {
    const fits = (text: string): boolean => new RegExp(pattern).test(text);
    if (fits(value)) return value;
    const { must, write } = formOf(pattern, value, fits);
    throw this.wrong(name, value, must, write);
  }

  /** `example.com/name`, as GatewayClass.spec.controllerName has to be. */
  controller(name: string): string {
    const value = this.text(name);
    if (new RegExp(`^${LABEL}(\\.${LABEL})*\\/[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+$`).test(value)) return value;
    throw this.wrong(name, value, 'is not a name behind a domain', undefined);
  }

  /** `meant`: what is offered instead of the flag's example. */
  wrong(name: string, value: string, what: string, meant?: string): ExitError {
    const { example = '' } = flagOf(name);
    return usage(`${this.from(name)}: '${value}' ${what}; write ${spelt(this.from(name), meant || example)}`);
  }

  /** A flag's example, as a flag or a variable as `other` was given. */
  like(name: string, other: string): string {
    const from = this.from(other).startsWith('--') ? `--${name}` : variableOf(name);
    return spelt(from, flagOf(name).example ?? '');
  }
}

/** A value under the flag or the variable that has it. */
export function spelt(from: string, value: string): string {
  return `${from}${from.startsWith('--') ? ' ' : '='}${value}`;
}

export function splitList(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

function flagOf(name: string): Flag {
  return FLAGS.find((flag) => flag.name === name) as Flag;
}

/** Of IPv6, sockets are bound to what is no IPv4 address in its clothes, and to no zone. */
const UNBINDABLE = 'is nothing to listen on: no zone, and an IPv4 address as it is';

function isBindHost(host: string): boolean {
  return host === 'localhost' || isIP(host) !== 0;
}

function isBind(text: string): boolean {
  return isBindHost(splitHostPort(text)?.host ?? '');
}

/** Who writes yes for what is on or off means on. */
function switchOf(value: string, allowed: readonly string[]): string | undefined {
  if (!allowed.includes('on')) return undefined;
  return /^(true|yes|1|enabled?)$/i.test(value) ? 'on' : /^(false|no|0|disabled?)$/i.test(value) ? 'off' : undefined;
}
