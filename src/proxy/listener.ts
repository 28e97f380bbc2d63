// One listening socket's rules: who takes its requests. It exists as soon as a rule names it, also before its own entry
// came.

import type { Key, SocketEntry, SocketHost } from '../ir/ir.ts';
import { Fragment, NO_FRAGMENT } from '../telemetry/fragment.ts';
import type { OpeningStep } from './client-info.ts';
import type { CompiledRule } from './exchange/rule.ts';
import { type GatewayPolicy, NO_POLICY } from './gateway-policy.ts';
import type { Head } from './head.ts';
import type { ProxyOpening } from './proxy-opening.ts';
import type { Way, Waypoint } from './relay/loops.ts';
import { RelayTable, takersOf } from './relay/relay.ts';
import { Router } from './route/router.ts';

/**
 * Whether a connection for host `a` may ask `b`: it is good for the listener that it was shown (RFC 9110 section 7.4).
 */
export function isSameListener(a: SocketHost, b: SocketHost): boolean {
  return a === b || (a.gateway === b.gateway && a.listener === b.listener);
}

export class Listener implements Waypoint {
  readonly key: Key;
  /** Who takes its requests; replaced as a whole when much of it changes. */
  router: Router<CompiledRule>;
  /** Who takes sessions of layer 4. */
  readonly relays: RelayTable;
  /** What reads the PROXY header of those who send one; null: nobody does. */
  proxy: ProxyOpening | null = null;
  /** The host that every connection is for, where it is one of TCP; else null. */
  relayHost: SocketHost | null = null;
  /** What a connection goes through here before it speaks its protocol, in this order. */
  steps: readonly OpeningStep[] = [];
  /** null: not (or no longer) in the configuration. */
  entry: SocketEntry | null = null;
  /** Acceptors that hand connections to it: while there are some, it is what its key stands for. */
  acceptors = 0;
  /** What holds before it is known which host a request is for, and always while `varies` is false. */
  policy: GatewayPolicy = NO_POLICY;
  /** Its hosts are of Gateways that want different things. */
  #varies = false;
  /** What logs call its Gateways; and what they say of hosts, once somebody came to one: of thousands, few. */
  #names = new Map<Key, string>();
  #json = new Map<SocketHost, Fragment>();
  #policies = new Map<SocketHost, GatewayPolicy>();

  constructor(key: Key) {
    this.key = key;
    this.router = new Router<CompiledRule>(key);
    this.relays = new RelayTable(key);
  }

  /** Nothing leads to it any more: no entry, no rule, no socket. */
  get isUnused(): boolean {
    return this.entry === null && this.acceptors === 0 && this.router.size + this.relays.size === 0;
  }

  /** `nameOf`: what logs call a Gateway; `policyOf`: what it wants. */
  setEntry(
    entry: SocketEntry | null,
    nameOf: (gateway: Key) => string,
    policyOf: (gateway: Key) => GatewayPolicy = () => NO_POLICY,
  ): void {
    const hosts = entry === null ? [] : entry.hosts;
    this.entry = entry;
    this.relayHost = hosts.find(({ protocol }) => protocol === 'TCP') ?? null;
    this.router.setHosts(hosts);
    this.#names = new Map();
    this.#json = new Map();
    for (const { gateway } of hosts) if (!this.#names.has(gateway)) this.#names.set(gateway, nameOf(gateway));
    const policies = new Set([...this.#names.keys()].map((gateway) => policyOf(gateway)));
    this.#varies = policies.size > 1;
    this.#policies = new Map(this.#varies ? hosts.map((host) => [host, policyOf(host.gateway)]) : []);
    this.policy = policies.size === 1 ? ([...policies][0] as GatewayPolicy) : NO_POLICY;
  }

  /** Where sessions of layer 4 that come here by `name` may go on to; null: by any. */
  *onward(name: string | null): Iterable<Way> {
    for (const [relay, ends] of takersOf(this.entry, this.relays, name)) yield* relay.onward(ends ? null : name);
  }

  /** `"gateway":"ns/name","listener":"http"` */
  jsonOf(host: SocketHost): Fragment {
    return this.#json.get(host) ?? this.#newJson(host);
  }

  #newJson(host: SocketHost): Fragment {
    const gateway = this.#names.get(host.gateway);
    if (gateway === undefined) return NO_FRAGMENT;
    const json = Fragment.members({ gateway, listener: host.listener });
    this.#json.set(host, json);
    return json;
  }

  policyOf(host: SocketHost): GatewayPolicy {
    return this.#varies ? (this.#policies.get(host) ?? NO_POLICY) : this.policy;
  }

  /** The policy of the Gateway that the request in `head` is for, whether a rule takes it or not. */
  policyFor(mem: Uint8Array, head: Head): GatewayPolicy {
    if (!this.#varies) return this.policy;
    const host = this.router.hostFor(mem, head);
    return host === null ? NO_POLICY : this.policyOf(host);
  }
}
