// One listening socket's rules: who takes its requests. It exists as soon as a rule names it, also before its own entry came.

import type { Key, ListenerEntry, ListenerHost } from '../ir/ir.ts';
import { Fragment, NO_FRAGMENT } from '../telemetry/fragment.ts';
import type { CompiledRule } from './exchange/rule.ts';
import { Router } from './route/router.ts';

export class Listener {
  readonly key: Key;
  readonly router: Router<CompiledRule>;
  /** null: not (or no longer) in the configuration. */
  entry: ListenerEntry | null = null;
  #json = new Map<ListenerHost, Fragment>();

  constructor(key: Key) {
    this.key = key;
    this.router = new Router<CompiledRule>(key);
  }

  /** Its port as the Gateway says it, whatever that is mapped to. */
  get port(): number {
    return this.entry === null ? 0 : this.entry.port;
  }

  setEntry(entry: ListenerEntry | null): void {
    const hosts = entry === null ? [] : entry.hosts;
    this.entry = entry;
    this.router.setHosts(hosts);
    this.#json = new Map(
      hosts.map((host) => [host, Fragment.members({ gateway: host.gateway, listener: host.listener })]),
    );
  }

  /** `"gateway":"ns/name","listener":"http"` */
  jsonOf(host: ListenerHost): Fragment {
    return this.#json.get(host) ?? NO_FRAGMENT;
  }
}
