// What is said of a request: plain data, for JSON and for the table that a person reads.

import type { Endpoint } from '../ir/ir.ts';

export interface Explanation {
  /** What becomes of it, as one sentence. */
  readonly outcome: string;
  /** Of an answer of RAUTA's own; null when a backend is asked, 0 when nobody answers. */
  readonly status: number | null;
  /** Response flag of the access log. */
  readonly flag: string;
  readonly socket: Place | null;
  readonly listener: ListenerPart | null;
  readonly rule: RulePart | null;
  /** What the rule's filters do, in their order. */
  readonly filters: readonly string[];
  /** Of a redirect. */
  readonly location: string | null;
  readonly backends: readonly BackendPart[];
  /** When no rule took it: those that came nearest, and why each did not. */
  readonly misses: readonly Miss[];
  /** Routes that would have a say, and what keeps them, or a part of them, out. */
  readonly keptOut: readonly KeptOut[];
  /** What is left out of the configuration, and, where no answer is a good one, what else is wrong with it. */
  readonly problems: readonly string[];
  readonly notes: readonly string[];
}

export interface Place {
  readonly address: string;
  readonly port: number;
}

export interface ListenerPart {
  /** `namespace/name`. */
  readonly gateway: string;
  readonly name: string;
  readonly hostname: string;
  readonly port: number;
  readonly protocol: string;
}

export interface RulePart {
  readonly kind: string;
  /** `namespace/name`. */
  readonly route: string;
  readonly index: number;
  readonly name: string;
  /** The match that held. */
  readonly match: string;
  readonly timeouts: string;
  readonly retry: string;
}

export interface BackendPart {
  /** `namespace/name:port`. */
  readonly backend: string;
  /** Of 1: how many of the rule's requests it gets. */
  readonly share: number;
  readonly filters: readonly string[];
  /** Why it gets an answer of RAUTA's own instead; '' when it can be asked. */
  readonly broken: string;
  readonly protocol: string;
  readonly tls: string;
  readonly balancer: string;
  /** The request line and Host that it gets, and other fields that filters set or take away. */
  readonly sent: readonly string[];
  readonly endpoints: readonly EndpointPart[];
}

export interface EndpointPart extends Endpoint {
  /** `next`: gets this very request; `may`: one of those that can get it; '': gets none now. */
  readonly turn: 'next' | 'may' | '';
  /** What a running program knows of it, '' for nothing. */
  readonly load: string;
}

export interface Miss {
  /** `HTTPRoute default/shop rule 0`. */
  readonly rule: string;
  readonly match: string;
  readonly why: readonly string[];
}

export interface KeptOut {
  /** `HTTPRoute default/shop`. */
  readonly object: string;
  /** `Accepted is False (NotAllowedByListeners): ...` */
  readonly why: string;
}
