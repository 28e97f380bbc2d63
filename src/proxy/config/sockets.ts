// Listeners in use: the hosts of their sockets, the steps that connections go through there, and the names of Gateways.

import type { Delta, GatewayEntry, Key, SocketEntry } from '../../ir/ir.ts';
import type { Core } from '../core.ts';
import { type GatewayPolicy, NO_POLICY, policyOf } from '../gateway-policy.ts';
import { Listener } from '../listener.ts';
import { ProxyOpening } from '../proxy-opening.ts';
import { TlsOpening } from '../tls/opening.ts';
import { type Pieces, type Steps, TLS_WORK } from './pieces.ts';
import { guarded, type Undo } from './refused.ts';
import type { Secrets } from './secrets.ts';

/** A socket of a revision with the steps that connections go through there. */
export interface PreparedSocket {
  readonly entry: SocketEntry;
  readonly opening: TlsOpening | null;
  readonly proxy: ProxyOpening | null;
}

/** A Gateway of a revision with what it wants. */
export interface PreparedGateway {
  readonly entry: GatewayEntry;
  readonly policy: GatewayPolicy;
}

export class Sockets {
  readonly #core: Core;
  readonly #secrets: Secrets;
  readonly #listeners = new Map<Key, Listener>();
  readonly #gateways = new Map<Key, PreparedGateway>();
  readonly #openings = new Map<Key, TlsOpening>();
  /** A listener left the configuration. */
  readonly #onRemoved: (listener: Listener) => void;

  constructor(core: Core, secrets: Secrets, onRemoved: (listener: Listener) => void) {
    this.#core = core;
    this.#secrets = secrets;
    this.#onRemoved = onRemoved;
  }

  get kept(): { readonly listeners: number; readonly gateways: number } {
    return { listeners: this.#listeners.size, gateways: this.#gateways.size };
  }

  /** The listener of the key, made when it is first spoken of. */
  listener(key: Key): Listener {
    let listener = this.#listeners.get(key);
    if (listener === undefined) {
      listener = new Listener(key);
      this.#listeners.set(key, listener);
    }
    return listener;
  }

  /** Forgets `listener` when nothing leads to it any more. */
  dropUnused(listener: Listener): void {
    if (listener.isUnused && this.#listeners.get(listener.key) === listener) this.#listeners.delete(listener.key);
  }

  /** Sockets of the revision, and those whose clients are checked against what changed in it. Throws ApplyError. */
  *prepare(
    entries: readonly SocketEntry[],
    delta: Delta,
    undo: Undo,
    pieces: Pieces,
  ): Steps<readonly PreparedSocket[]> {
    const sockets = new Map(entries.map((entry) => [entry.key, entry]));
    const trusts = new Set(delta.upserts.filter((entry) => entry.kind === 'trust').map((entry) => entry.key));
    if (trusts.size > 0) {
      for (const { entry } of this.#listeners.values()) {
        const affected = entry?.hosts.some(
          ({ tls }) => tls !== null && tls.clients !== null && trusts.has(tls.clients.trust),
        );
        if (entry !== null && affected === true && !sockets.has(entry.key)) sockets.set(entry.key, entry);
      }
    }
    const prepared: PreparedSocket[] = [];
    for (const entry of sockets.values()) {
      prepared.push(this.#prepare(entry, undo));
      if (pieces.full(TLS_WORK)) yield;
    }
    return prepared;
  }

  #prepare(entry: SocketEntry, undo: Undo): PreparedSocket {
    const { proxyProtocol: proxied } = entry;
    const proxy = proxied === null ? null : guarded(entry.key, () => new ProxyOpening(this.#core, proxied.trusted));
    if (!entry.hosts.some(({ tls, protocol }) => tls !== null || protocol === 'TLS'))
      return { entry, opening: null, proxy };
    const opening = guarded(entry.key, () => new TlsOpening(this.#core.shared, this.#secrets.table, entry));
    undo.push(() => opening.dispose());
    return { entry, opening, proxy };
  }

  /** Puts Gateways and sockets to use; nothing refuses. */
  set(gateways: readonly PreparedGateway[], sockets: readonly PreparedSocket[]): void {
    for (const gateway of gateways) this.#gateways.set(gateway.entry.key, gateway);
    const changed = new Set(gateways.map(({ entry }) => entry.key));
    const anew = new Set(sockets.map(({ entry }) => entry.key));
    // Hosts of another revision than their Gateway, each socket once.
    for (const listener of this.#listeners.values()) {
      if (changed.size === 0 || listener.entry === null || anew.has(listener.key)) continue;
      if (listener.entry.hosts.some((host) => changed.has(host.gateway))) this.#setEntry(listener, listener.entry);
    }
    for (const { entry, opening, proxy } of sockets) {
      const listener = this.listener(entry.key);
      this.#setEntry(listener, entry);
      this.#setOpening(listener, opening);
      listener.proxy = proxy;
    }
  }

  /** Throws ApplyError. */
  prepareGateway(entry: GatewayEntry): PreparedGateway {
    return { entry, policy: guarded(entry.key, () => policyOf(entry)) };
  }

  removeGateway(key: Key): void {
    this.#gateways.delete(key);
  }

  remove(key: Key): void {
    const listener = this.#listeners.get(key);
    if (listener === undefined || listener.entry === null) return;
    this.#setEntry(listener, null);
    this.#setOpening(listener, null);
    listener.proxy = null;
    this.#onRemoved(listener);
  }

  /** Drops what nothing names any more. */
  forget(): void {
    for (const listener of this.#listeners.values()) this.dropUnused(listener);
  }

  #setEntry(listener: Listener, entry: SocketEntry | null): void {
    const before = listener.entry;
    listener.setEntry(
      entry,
      (gateway) => this.#gateways.get(gateway)?.entry.name ?? gateway,
      (gateway) => this.#gateways.get(gateway)?.policy ?? NO_POLICY,
    );
    this.#core.loops.moved(listener, before);
  }

  #setOpening(listener: Listener, opening: TlsOpening | null): void {
    this.#openings.get(listener.key)?.dispose(opening);
    if (opening === null) this.#openings.delete(listener.key);
    else this.#openings.set(listener.key, opening);
    listener.steps = opening === null ? [] : [opening];
  }
}
