// Certificates, trust and contexts as one worker has them: numbers of TlsIo under the keys of the IR. Entries change by
// themselves; listeners hold references, so that a replaced certificate is shown by the next handshake and by no
// earlier.

import { hash } from 'node:crypto';
import { isIP } from 'node:net';
import { LIMITS } from '../../base/limits.ts';
import type { TlsIo, TlsPeer, TlsSettings } from '../../io/tls.ts';
import type { CertificateEntry, ClientTls, Key, ServerTls, TrustEntry } from '../../ir/ir.ts';

/** What a key stands for now; 0 for nothing. */
export class TlsRef {
  readonly key: Key;
  id = 0;
  /** Listeners that name it. */
  uses = 0;
  /** OCSP response of a certificate, DER; null for none. */
  staple: Uint8Array | null = null;
  /** Until when it may be shown, Unix milliseconds. */
  stapleFrom = 0;
  stapleUntil = 0;
  /** Kind of the key of a certificate: who can check it. */
  keyKind: KeyKind = 'other';
  /** Names of hosts that a certificate is for; null: nobody asked yet. */
  hosts: readonly string[] | null = null;
  /** Differs when what is trusted does; '' for certificates. */
  digest = '';

  constructor(key: Key) {
    this.key = key;
  }
}

/** Of an RSA key, of one on P-256, or of another. */
export type KeyKind = 'rsa' | 'p256' | 'other';
type Meaning = Pick<TlsRef, 'id' | 'staple' | 'stapleFrom' | 'stapleUntil' | 'keyKind' | 'hosts' | 'digest'>;
const NOTHING: Meaning = {
  id: 0,
  staple: null,
  stapleFrom: 0,
  stapleUntil: 0,
  keyKind: 'other',
  hosts: null,
  digest: '',
};
/** rsaEncryption and prime256v1 (RFC 3279 section 2.3): they occur with the key and nowhere else. */
const RSA_OID = Uint8Array.of(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1);
const P256_OID = Uint8Array.of(0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7);

interface Context {
  readonly id: number;
  /** One text for all listeners that use it. */
  readonly name: string;
  uses: number;
}

/** How listeners speak that ask nobody for a certificate, and what that comes to. */
interface Way {
  readonly tls: ServerTls;
  readonly settings: string;
  readonly binding: string;
}

/**
 * What connections to the endpoints of a cluster are secured by, as trust and certificate stand: others make another
 * one. Whoever may still begin a connection has a use of it.
 */
export class TlsClient {
  readonly io: TlsIo;
  /** Differs where connections must not be shared. */
  readonly identity: string;
  readonly context: number;
  readonly peer: TlsPeer;
  uses = 1;

  constructor(io: TlsIo, identity: string, context: number, peer: TlsPeer) {
    this.io = io;
    this.identity = identity;
    this.context = context;
    this.peer = peer;
  }
}

/** An entry that will take the place of the one before, with `commit`, or not at all, with `undo`. */
export interface Installed {
  commit(): void;
  undo(): void;
}

export class TlsTable {
  readonly io: TlsIo;
  readonly #certificates = new Map<Key, TlsRef>();
  readonly #trusts = new Map<Key, TlsRef>();
  /** What the revision being prepared will make of keys: whoever is prepared with it sees that, handshakes do not. */
  readonly #coming = new Map<Key, Meaning>();
  /** By settings. */
  readonly #contexts = new Map<string, Context>();
  #lastWay: Way | null = null;
  /** Handshakes with clients that are under way. */
  handshaking = 0;
  /** By identity. */
  readonly #clients = new Map<string, TlsClient>();

  /** Handshakes with clients that began, and with backends that went on, in `#turn`. */
  #begun = 0;
  #shaken = 0;
  #turn = -1;

  constructor(io: TlsIo) {
    this.io = io;
  }

  /** Whether one more handshake with a backend may go on in `turn` of the reactor: many come at once after a change. */
  mayShake(turn: number): boolean {
    this.#count(turn);
    return this.#shaken++ < LIMITS.TLS_HANDSHAKES_PER_TURN;
  }

  /** Whether one more handshake with a client may begin in `turn`, whichever listener it is of. */
  mayBegin(turn: number): boolean {
    this.#count(turn);
    return this.#begun++ < LIMITS.TLS_HANDSHAKES_PER_TURN;
  }

  #count(turn: number): void {
    if (turn === this.#turn) return;
    this.#turn = turn;
    this.#begun = 0;
    this.#shaken = 0;
  }

  /** Certificates, trusts and contexts that are kept: nothing that nobody names is among them. */
  get kept(): number {
    return this.#certificates.size + this.#trusts.size + this.#contexts.size + this.#clients.size;
  }

  /** The certificate of the key, whether it is there yet or not; to be given back by `release`. */
  acquire(key: Key): TlsRef {
    const ref = refOf(this.#certificates, key);
    ref.uses++;
    return ref;
  }
  release(ref: TlsRef): void {
    ref.uses--;
    forget(this.#certificates, ref);
  }

  /** Names of hosts that the certificate is for: read once, where there are several to choose from. */
  hostsOf(ref: TlsRef): readonly string[] {
    ref.hosts ??= this.io.hostsOf(ref.id);
    return ref.hosts;
  }

  /** Makes ready what the entry's key is to stand for. Throws when TLS cannot make anything of it. */
  install(entry: CertificateEntry | TrustEntry): Installed {
    const { io } = this;
    if (entry.kind === 'trust') {
      const id = io.trust(entry.authorities.map(bytesOf64), entry.revoked.map(bytesOf64));
      const digest = hash('sha256', JSON.stringify([entry.authorities, entry.revoked]), 'base64');
      return this.#put(this.#trusts, entry.key, { ...NOTHING, id, digest }, (old) => io.dropTrust(old));
    }
    const chain = entry.chain.map(bytesOf);
    const id = io.certificate(chain, bytesOf(entry.privateKey));
    const staple = entry.staple === '' ? null : bytesOf64(entry.staple);
    const { stapleFrom, stapleUntil } = entry;
    const meaning = { ...NOTHING, id, staple, stapleFrom, stapleUntil, keyKind: keyKindOf(chain[0] as Buffer) };
    return this.#put(this.#certificates, entry.key, meaning, (old) => io.dropCertificate(old));
  }

  /** Nothing is to stand under the key any more. */
  remove(kind: 'certificate' | 'trust', key: Key): Installed {
    const { io } = this;
    if (kind === 'trust') return this.#put(this.#trusts, key, NOTHING, (old) => io.dropTrust(old));
    return this.#put(this.#certificates, key, NOTHING, (old) => io.dropCertificate(old));
  }

  #put(refs: Map<Key, TlsRef>, key: Key, what: Meaning, drop: (id: number) => void): Installed {
    this.#coming.set(key, what);
    const came = (): void => {
      if (this.#coming.get(key) === what) this.#coming.delete(key);
    };
    return {
      commit: () => {
        came();
        const ref = refOf(refs, key);
        if (ref.id !== 0) drop(ref.id);
        Object.assign(ref, what);
        forget(refs, ref);
      },
      undo: () => {
        came();
        if (what.id !== 0) drop(what.id);
      },
    };
  }

  #meaning(refs: ReadonlyMap<Key, TlsRef>, key: Key): Meaning {
    return this.#coming.get(key) ?? refs.get(key) ?? NOTHING;
  }

  /** The context for a listener's settings, to be given back by `releaseContext`. Throws for settings TLS refuses. */
  acquireContext(tls: ServerTls): string {
    const name = this.#wayOf(tls)?.settings ?? JSON.stringify(this.#settingsOf(tls));
    let context = this.#contexts.get(name);
    if (context === undefined) {
      context = { id: this.io.serverContext(this.#settingsOf(tls)), name, uses: 0 };
      this.#contexts.set(name, context);
    }
    context.uses++;
    return context.name;
  }

  /**
   * Of thousands of listeners one after the other most speak alike, and to write down how takes as long as all else.
   * Null where certificates of clients are asked for: what that comes to is another thing as authorities change.
   */
  #wayOf(tls: ServerTls): Way | null {
    if (tls.clients !== null) return null;
    const { minVersion, ciphers, suites, alpn } = tls;
    const last = this.#lastWay?.tls;
    const same =
      last?.minVersion === minVersion && last.ciphers === ciphers && last.suites === suites && last.alpn === alpn;
    if (!same) {
      const binding = JSON.stringify([minVersion, ciphers, suites, '', '']);
      this.#lastWay = { tls, settings: JSON.stringify(this.#settingsOf(tls)), binding };
    }
    return this.#lastWay;
  }

  /** Gives everything back to TLS. */
  dispose(): void {
    for (const { id } of this.#certificates.values()) if (id !== 0) this.io.dropCertificate(id);
    for (const { id } of this.#trusts.values()) if (id !== 0) this.io.dropTrust(id);
    for (const { id } of this.#contexts.values()) this.io.dropContext(id);
    for (const { context } of this.#clients.values()) this.io.dropContext(context);
  }

  /**
   * What a session is bound to beside its listener and name: in which way it may be taken up. Other authorities or
   * lists of revoked certificates end what was good before, and so do other versions and ciphers.
   */
  binding(tls: ServerTls): string {
    const way = this.#wayOf(tls);
    if (way !== null) return way.binding;
    const { minVersion, ciphers, suites, clients } = tls;
    const trust = clients === null ? '' : this.#meaning(this.#trusts, clients.trust).digest;
    return JSON.stringify([minVersion, ciphers, suites, clients?.mode ?? '', trust]);
  }

  contextId(name: string): number {
    return this.#contexts.get(name)?.id ?? 0;
  }

  releaseContext(name: string): void {
    const context = this.#contexts.get(name);
    if (context === undefined || --context.uses > 0) return;
    this.#contexts.delete(name);
    this.io.dropContext(context.id);
  }

  /** What a cluster's connections are secured by, with one use. Throws for what is not there, or TLS refuses. */
  acquireClient(tls: ClientTls): TlsClient {
    const trust = this.#meaning(this.#trusts, tls.trust).id;
    if (trust === 0) throw new Error(`${tls.trust} is not there`);
    const certificate = tls.certificate === null ? 0 : this.#meaning(this.#certificates, tls.certificate).id;
    if (tls.certificate !== null && certificate === 0) throw new Error(`${tls.certificate} is not there`);
    const settings: TlsSettings = {
      minVersion: tls.minVersion,
      maxVersion: 'TLSv1.3',
      ciphers: '',
      suites: '',
      alpn: tls.alpn,
      verify: { trust, mode: 'require' },
    };
    const peer: TlsPeer = {
      serverName: isIP(tls.hostname) === 0 ? tls.hostname : '',
      names:
        tls.subjectAltNames.length > 0
          ? tls.subjectAltNames.map(({ type, value }) => ({ type, value }))
          : [{ type: 'Hostname', value: tls.hostname }],
    };
    const identity = JSON.stringify([settings, certificate, peer]);
    const known = this.#clients.get(identity);
    if (known !== undefined) {
      known.uses++;
      return known;
    }
    const client = new TlsClient(this.io, identity, this.io.clientContext(settings, certificate), peer);
    this.#clients.set(identity, client);
    return client;
  }

  releaseClient(client: TlsClient): void {
    if (--client.uses > 0) return;
    this.#clients.delete(client.identity);
    this.io.dropContext(client.context);
  }

  #settingsOf(tls: ServerTls): TlsSettings {
    const { clients } = tls;
    const trust = clients === null ? 0 : this.#meaning(this.#trusts, clients.trust).id;
    if (clients !== null && trust === 0) throw new Error(`${clients.trust} is not there`);
    return {
      minVersion: tls.minVersion,
      maxVersion: 'TLSv1.3',
      ciphers: tls.ciphers.join(':'),
      suites: tls.suites.join(':'),
      alpn: tls.alpn,
      verify: clients === null ? null : { trust, mode: clients.mode === 'AllowValidOnly' ? 'require' : 'request' },
    };
  }
}

function refOf(refs: Map<Key, TlsRef>, key: Key): TlsRef {
  let ref = refs.get(key);
  if (ref === undefined) {
    ref = new TlsRef(key);
    refs.set(key, ref);
  }
  return ref;
}

function forget(refs: Map<Key, TlsRef>, ref: TlsRef): void {
  if (ref.id === 0 && ref.uses === 0 && refs.get(ref.key) === ref) refs.delete(ref.key);
}

function keyKindOf(own: Buffer): KeyKind {
  return own.includes(RSA_OID) ? 'rsa' : own.includes(P256_OID) ? 'p256' : 'other';
}

/** `text`: one character a byte. */
function bytesOf(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

function bytesOf64(text: string): Uint8Array {
  return Buffer.from(text, 'base64');
}
