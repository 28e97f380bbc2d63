// HTTPRoutes and GRPCRoutes at one listener. Of two of different kinds that have a hostname in common there exactly one
// is accepted: the older, else the one first by `namespace/name` (apis/v1 GRPCRouteSpec.Hostnames; GEP-1016,
// "Cross Serving"). For what the API leaves open, more than two of them, they are taken in that order: each is accepted
// unless one that was accepted before it has what it asks for.

import type { ObjectKey } from '../api/object.ts';
import { type Aged, olderFirst } from './context.ts';
import { compare } from './dependencies.ts';
import { intersect } from './hostname.ts';

/** What a route has at a listener as long as nobody else has it. */
export interface Claim extends Aged {
  readonly kind: keyof Rivals;
  /** At which listener: see listenerId. */
  readonly at: string;
  readonly hostnames: readonly string[];
}

/** Who has what another one asked for. */
export interface Rival {
  readonly kind: string;
  /** `namespace/name`. */
  readonly name: string;
  readonly older: boolean;
  /** A hostname that both have. */
  readonly hostname: string;
}

/** Of one listener, by kind and route. */
export interface Rivals {
  readonly HTTPRoute: Map<ObjectKey, Claim>;
  readonly GRPCRoute: Map<ObjectKey, Claim>;
}

/** The listener of that name of a Gateway or ListenerSet. */
export function listenerId(owner: ObjectKey, listener: string): string {
  return `${owner}#${listener}`;
}

/** Routes that lose, each with one that has what it asked for. */
export function losersOf({ HTTPRoute: http, GRPCRoute: grpc }: Rivals): Map<ObjectKey, Rival> {
  const losers = new Map<ObjectKey, Rival>();
  if (http.size === 0 || grpc.size === 0) return losers;
  const [few, many] = http.size < grpc.size ? [http, grpc] : [grpc, http];
  // Most of the many have nothing to do with the few.
  const meeting = touching([...many], new Hostnames(few.values()));
  const met = touching([...few], new Hostnames(meeting.map(([, claim]) => claim)));
  const accepted = new Map([...meeting, ...met].map(([, { kind }]) => [kind, new Hostnames([])]));
  const order = [...meeting, ...met].sort(([, a], [, b]) => olderFirst(a, b) || compare(a.kind, b.kind));
  for (const [key, claim] of order) {
    const other = accepted.get(claim.kind === 'HTTPRoute' ? 'GRPCRoute' : 'HTTPRoute')?.sharing(claim) ?? null;
    if (other === null) accepted.get(claim.kind)?.add(claim);
    else losers.set(key, rivalOf(claim, other));
  }
  return losers;
}

function touching(claims: [ObjectKey, Claim][], others: Hostnames): [ObjectKey, Claim][] {
  return claims.filter(([, claim]) => others.sharing(claim) !== null);
}

function rivalOf(claim: Claim, { kind, name, created, hostnames }: Claim): Rival {
  for (const mine of claim.hostnames) {
    for (const theirs of hostnames) {
      const hostname = intersect(mine, theirs);
      if (hostname !== null) return { kind, name, older: created < claim.created, hostname };
    }
  }
  throw new Error('claims without a common hostname');
}

/** Hostnames of claims, so that who shares one is found without looking at each. */
class Hostnames {
  /** As they are given. */
  readonly #given = new Map<string, Claim>();
  /** Wildcards that hold one of them. */
  readonly #above = new Map<string, Claim>();

  constructor(claims: Iterable<Claim>) {
    for (const claim of claims) this.add(claim);
  }

  add(claim: Claim): void {
    for (const hostname of claim.hostnames) {
      if (!this.#given.has(hostname)) this.#given.set(hostname, claim);
      for (const wildcard of wildcardsOver(hostname)) if (!this.#above.has(wildcard)) this.#above.set(wildcard, claim);
    }
  }

  /** The first added that has a hostname in common with this one, exact ones before wildcards; null: nobody has. */
  sharing({ hostnames }: Claim): Claim | null {
    for (const hostname of hostnames) {
      const found = this.#given.get(hostname) ?? this.#above.get(hostname);
      if (found !== undefined) return found;
      for (const wildcard of wildcardsOver(hostname)) {
        const holding = this.#given.get(wildcard);
        if (holding !== undefined) return holding;
      }
    }
    return null;
  }
}

/** Wildcards other than itself that hold all of a hostname: of `a.b.c` those are `*.b.c`, `*.c` and `*`. */
function* wildcardsOver(hostname: string): Generator<string> {
  for (
    let dot = hostname.indexOf('.', hostname.startsWith('*.') ? 2 : 0);
    dot !== -1;
    dot = hostname.indexOf('.', dot + 1)
  ) {
    yield `*${hostname.slice(dot)}`;
  }
  if (hostname !== '*') yield '*';
}
