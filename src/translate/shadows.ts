// Matches that are equal: of several at one host of a listener the first by the API's order has every request (apis/v1
// HTTPRouteRule.Matches), and the others none. Kept as rules come and go, so that a change costs what it touches.
// Matches that are not equal do not hide each other: the more specific one comes first.

import { type ObjectKey, objectKey } from '../api/object.ts';
import type { Problem } from '../api/problem.ts';
import { equal } from '../base/equal.ts';
import { LIMITS } from '../base/limits.ts';
import type { Match, RuleEntry, ValueMatch } from '../ir/ir.ts';
import { compare } from './dependencies.ts';

const ADVICE = 'Give one of them another path, host or condition.';

/** One match of a rule. */
interface Taker {
  readonly object: ObjectKey;
  readonly entry: RuleEntry;
  readonly match: number;
}

export class Shadows {
  /** By host, hostname and match, who has it: the first in front. Mostly one. */
  readonly #takers = new Map<string, Taker | Taker[]>();

  /** Replaces the rules of an object; returns the objects of which something else is to be said now. */
  replace(before: readonly RuleEntry[], after: readonly RuleEntry[]): ReadonlySet<ObjectKey> {
    const changed = new Set<ObjectKey>();
    for (const entry of before)
      if (!after.includes(entry)) this.#each(entry, (key, taker) => this.#leave(key, taker, changed));
    for (const entry of after)
      if (!before.includes(entry)) this.#each(entry, (key, taker) => this.#enter(key, taker, changed));
    return changed;
  }

  #each(entry: RuleEntry, say: (key: string, taker: Taker) => void): void {
    for (const [match, keys] of keysOf(entry).entries()) {
      const taker = { object: objectOf(entry), entry, match };
      for (const { key } of keys) say(key, taker);
    }
  }

  #enter(key: string, taker: Taker, changed: Set<ObjectKey>): void {
    const found = this.#takers.get(key);
    if (found === undefined) {
      this.#takers.set(key, taker);
      return;
    }
    const list = Array.isArray(found) ? found : [found];
    let at = list.length;
    while (at > 0 && order(taker, list[at - 1] as Taker) < 0) at--;
    list.splice(at, 0, taker);
    this.#takers.set(key, list);
    changed.add(taker.object);
    if (at === 0) for (const { object } of list) changed.add(object);
  }

  #leave(key: string, { entry, match }: Taker, changed: Set<ObjectKey>): void {
    const found = this.#takers.get(key);
    if (!Array.isArray(found)) {
      if (found?.entry === entry && found.match === match) this.#takers.delete(key);
      return;
    }
    const at = found.findIndex((taker) => taker.entry === entry && taker.match === match);
    if (at < 0) return;
    const [gone] = found.splice(at, 1) as [Taker];
    changed.add(gone.object);
    if (at === 0) for (const { object } of found) changed.add(object);
    if (found.length === 1) this.#takers.set(key, found[0] as Taker);
  }

  /** Of each match of the rules of one object that others have, at some or all of its hostnames. */
  problemsOf(entries: readonly RuleEntry[]): Problem[] {
    const problems: Problem[] = [];
    for (const entry of entries) {
      for (const [match, keys] of keysOf(entry).entries()) {
        const lost = keys.flatMap(({ key, hostname }) => {
          const first = this.#firstOf(key);
          return first === null || first.object === objectOf(entry) ? [] : [{ hostname, first }];
        });
        const [one] = lost;
        if (one === undefined) continue;
        const hostnames = [...new Set(lost.map(({ hostname }) => hostname))];
        const where = lost.length === keys.length ? '' : ` for ${named(hostnames)}`;
        const { first } = one;
        const why = first.entry.created < entry.created ? 'is older' : 'comes first by name';
        const message = `${nameOf(first.entry)} matches the same and ${why}: this match gets no request${where}. ${ADVICE}`;
        problems.push({
          severity: 'warning',
          message,
          place: { object: objectOf(entry), field: fieldOf(entry, match) },
        });
      }
    }
    // A path of an Ingress may be several rules.
    return problems.filter((one, i) => !problems.slice(0, i).some((earlier) => equal(earlier, one)));
  }

  #firstOf(key: string): Taker | null {
    const found = this.#takers.get(key);
    return Array.isArray(found) ? (found[0] as Taker) : (found ?? null);
  }
}

function objectOf({ routeKind, route }: RuleEntry): ObjectKey {
  const [namespace = '', name = ''] = route.split('/');
  return objectKey(routeKind, namespace, name);
}

/** Paths of an Ingress are numbered otherwise than its author would. */
function nameOf({ routeKind, route, index, name }: RuleEntry): string {
  return routeKind === 'Ingress' ? `Ingress ${route}` : `${routeKind} ${route}, rule ${name === '' ? index : name},`;
}

/** An Ingress has its paths under several rules: the field is the object's. */
function fieldOf({ routeKind, index }: RuleEntry, match: number): string {
  return routeKind === 'Ingress' ? 'spec.rules' : `spec.rules[${index}].matches[${match}]`;
}

function named(hostnames: readonly string[]): string {
  const shown = hostnames.slice(0, LIMITS.NAMES_LISTED);
  return shown.length < hostnames.length ? `${shown.join(', ')} ...` : shown.join(', ');
}

/** As Candidate.before has it of matches that are otherwise equal. */
function order(a: Taker, b: Taker): number {
  return (
    a.entry.created - b.entry.created ||
    compare(a.entry.route, b.entry.route) ||
    a.entry.index - b.entry.index ||
    a.match - b.match ||
    compare(a.entry.key, b.entry.key)
  );
}

interface Place {
  readonly key: string;
  readonly hostname: string;
}

/** By match, where it holds: equal keys are equal requests. */
function keysOf({ matches, attachments }: RuleEntry): Place[][] {
  return matches.map((match) => {
    const text = textOf(match);
    return attachments.flatMap(({ socket, host, hostnames }) =>
      hostnames.map((hostname) => ({ key: `${socket} ${host} ${hostname} ${text}`, hostname })),
    );
  });
}

function textOf({ path, method, headers, query }: Match): string {
  if (headers.length === 0 && query.length === 0) return `${method} ${path.type} ${path.value}`;
  return `${method} ${path.type} ${path.value} ${JSON.stringify([valuesOf(headers), valuesOf(query)])}`;
}

/** In whatever order they stand. */
function valuesOf(values: readonly ValueMatch[]): string[][] {
  return values.map(({ name, type, value }) => [name, type, value]).sort((a, b) => compare(a.join(), b.join()));
}
