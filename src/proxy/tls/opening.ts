// The opening of a TLS connection of a client: its ClientHello is read, the host it means is found, a certificate is
// chosen, and the handshake is put under the transport. What a listener's connections share stands here.

import { hash } from 'node:crypto';
import { LIMITS } from '../../base/limits.ts';
import { ERRNO, type Handle } from '../../io/io.ts';
import { TLS_ASKS, TLS_SILENCE, TLS_VERSION, type Tls } from '../../io/tls.ts';
import type { ServerTls, SocketEntry, SocketHost } from '../../ir/ir.ts';
import { Fragment, NO_FRAGMENT } from '../../telemetry/fragment.ts';
import { handshakeCell, limitCell, type TlsRefusal, tlsRefusalCell } from '../../telemetry/layout.ts';
import {
  type ClientInfo,
  type OpeningStep,
  STEP_ENDED,
  STEP_LAYERED,
  STEP_MORE,
  STEP_REFUSED,
} from '../client-info.ts';
import type { Shared } from '../transport/shared.ts';
import type { Transport } from '../transport/transport.ts';
import { ClientHello, HELLO_BAD, HELLO_MORE, readClientHello } from './client-hello.ts';
import { forwardedCertificate } from './forwarded-certificate.ts';
import { namedBy, ServerNames } from './names.ts';
import type { TlsRef, TlsTable } from './table.ts';
import { TlsWire, type TlsWireOwner } from './wire.ts';

/** Alerts that are said before there is a handshake to say them (RFC 8446 section 6.2). */
const ALERT = { UNEXPECTED_MESSAGE: 10, DECODE_ERROR: 50, INTERNAL_ERROR: 80, UNRECOGNIZED_NAME: 112 } as const;
/** A record of one fatal alert, but for its number, which is the last byte. */
const ALERT_RECORD = Uint8Array.of(21, 3, 1, 0, 2, 2);
const HANDSHAKE_RECORD = 22;
/** Types of records, handshakes among them (IANA, TLS ContentType): no text begins so. */
const RECORDS = { FIRST: 20, LAST: 24 } as const;
const NO_OVERLAP = 120;
/** What somebody gets who speaks HTTP where TLS is spoken. */
const NOT_TLS_TEXT = 'this port speaks TLS\n';
const NOT_TLS = Buffer.from(
  `HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${NOT_TLS_TEXT.length}\r\n` +
    `Connection: close\r\n\r\n${NOT_TLS_TEXT}`,
);
const TURN_LIMIT = limitCell('TLS_HANDSHAKES_PER_TURN');
const HANDSHAKES_LIMIT = limitCell('TLS_HANDSHAKES');
const SILENCE_LIMIT = limitCell('TLS_SILENT_BYTES');

/** A host as handshakes need it. */
interface HostTls {
  /** Null for clients that name no host: that of the request decides. */
  readonly host: SocketHost | null;
  readonly tls: ServerTls;
  readonly certificates: readonly TlsRef[];
  /** Name of the context in the table. */
  readonly context: string;
  /**
   * A session is good for one listener and one way of speaking; the name comes to it. In hexadecimal digits; '' until
   * it is needed, where it can wait: what clients are checked against is another thing later.
   */
  binding: string;
  /** The name that last came to it, and what that made: of most hosts there is one. */
  lastName: string | null;
  lastPeriod: number;
  lastBinding: Uint8Array;
  /** What log lines said of its last connections, those of TLS 1.2 and 1.3, new and resumed. */
  lastFacts: Facts[];
}

/** What a connection agreed on, and what log lines say of that. */
interface Facts {
  readonly cipher: string;
  readonly alpn: string;
  readonly name: string;
  readonly json: Fragment;
}
const NO_FACTS: Facts = { cipher: '', alpn: '', name: '', json: NO_FRAGMENT };
/** Of hosts that nobody came to yet: of thousands, most. */
const NO_LAST: Facts[] = [NO_FACTS, NO_FACTS, NO_FACTS, NO_FACTS];

const NO_BYTES = new Uint8Array(0);
/** What a session of no listener is bound to in its place. */
const NOBODY = { gateway: '', listener: '' } as const;

/** What a log line says of a connection: few texts for many connections, so they are kept. */
const facts = new Map<string, Fragment>();

function factsOf(members: Readonly<Record<string, string>>): Fragment {
  const text = JSON.stringify(members);
  let fragment = facts.get(text);
  if (fragment === undefined) {
    fragment = Fragment.members(members);
    if (facts.size >= LIMITS.TLS_FACTS) facts.clear();
    facts.set(text, fragment);
  }
  return fragment;
}

export class TlsOpening implements OpeningStep {
  readonly #shared: Shared;
  readonly #table: TlsTable;
  /** Not its address: replicas that share keys of tickets have others. */
  readonly #port: number;
  readonly #hello = new ClientHello();
  readonly #hosts: HostTls[] = [];
  /** A SocketHost: TLS is passed through. */
  readonly #names = new ServerNames<HostTls | SocketHost>();
  /** Some host is of layer 4: who is meant by nobody is closed without a word, as TLSRoute has it. */
  readonly #relays: boolean;
  #fallback: HostTls | null = null;
  #disposed = false;
  #next: TlsOpening | null = null;

  /** Throws when TLS refuses the settings of a host; nothing is held then. */
  constructor(shared: Shared, table: TlsTable, entry: SocketEntry) {
    this.#shared = shared;
    this.#table = table;
    this.#port = entry.port;
    this.#relays = entry.hosts.some(({ protocol }) => protocol === 'TLS');
    try {
      for (const host of entry.hosts) {
        if (host.tls !== null) this.#names.add(host.hostname, this.#add(host, host.tls));
        else if (host.protocol === 'TLS') this.#names.add(host.hostname, host);
      }
      if (entry.fallback !== null) this.#fallback = this.#add(null, entry.fallback);
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  #add(host: SocketHost | null, tls: ServerTls): HostTls {
    const context = this.#table.acquireContext(tls);
    const certificates = tls.certificates.map((key) => this.#table.acquire(key));
    const last = { lastName: null, lastPeriod: 0, lastBinding: NO_BYTES, lastFacts: NO_LAST };
    const one: HostTls = { host, tls, certificates, context, binding: '', ...last };
    if (tls.clients !== null) one.binding = this.#binding(one);
    this.#hosts.push(one);
    return one;
  }

  #binding({ host, tls }: HostTls): string {
    const { gateway, listener } = host ?? NOBODY;
    return hash('sha256', JSON.stringify([this.#port, gateway, listener, this.#table.binding(tls)]), 'hex');
  }

  /**
   * A certificate of a client is looked at when a session begins and not when it is taken up, and a ticket of TLS 1.3
   * brings the next one: without end, whatever became of the certificate. So such a session is good for a time.
   */
  #periodOf({ tls }: HostTls): number {
    return tls.clients === null ? 0 : Math.floor(this.#shared.io.wallMs / LIMITS.TLS_CLIENT_SESSION_MS);
  }

  /** What sessions of `name` are bound to. */
  #bindingOf(host: HostTls, name: string): Uint8Array {
    const period = this.#periodOf(host);
    if (host.lastName !== name || host.lastPeriod !== period) {
      host.lastName = name;
      host.lastPeriod = period;
      if (host.binding === '') host.binding = this.#binding(host);
      // So few bytes lie with the object; a Buffer's would not.
      host.lastBinding = new Uint8Array(32);
      host.lastBinding.set(hash('sha256', `${host.binding}${name} ${period}`, 'buffer'));
    }
    return host.lastBinding;
  }

  /**
   * The listener is `next` now, or not of TLS any more. Handshakes under way go on with what they have; those that are
   * still to begin begin there.
   */
  dispose(next: TlsOpening | null = null): void {
    this.#disposed = true;
    this.#next = next;
    for (const { context, certificates } of this.#hosts) {
      this.#table.releaseContext(context);
      for (const ref of certificates) this.#table.release(ref);
    }
    this.#hosts.length = 0;
  }

  read(mem: Uint8Array, start: number, end: number, info: ClientInfo, transport: Transport): number {
    let latest: TlsOpening = this;
    while (latest.#next !== null) latest = latest.#next;
    return latest.#disposed ? STEP_REFUSED : latest.#read(mem, start, end, info, transport);
  }

  #read(mem: Uint8Array, start: number, end: number, info: ClientInfo, transport: Transport): number {
    const used = readClientHello(mem, start, end, this.#hello);
    if (used === HELLO_MORE) return STEP_MORE;
    if (used === HELLO_BAD) {
      const type = mem[start] as number;
      if (type === HANDSHAKE_RECORD) return this.#refuse(transport, ALERT.DECODE_ERROR, 'bad_hello');
      if (type >= RECORDS.FIRST && type <= RECORDS.LAST && (end === start + 1 || mem[start + 1] === 3))
        return this.#refuse(transport, ALERT.UNEXPECTED_MESSAGE, 'bad_hello');
      return this.#answerPlain(transport);
    }
    const { serverName } = this.#hello;
    const host = this.#names.find(serverName) ?? this.#fallback;
    if ((host === null && this.#relays) || (host !== null && !('context' in host))) {
      info.relayed = true;
      info.host = host;
      info.serverName = serverName;
      if (serverName !== '') info.json = info.json.with(Fragment.members({ sni: serverName }));
      return start;
    }
    if (host !== null && !this.#mayBegin()) {
      transport.yield();
      return STEP_MORE;
    }
    if (host === null) return this.#refuse(transport, ALERT.UNRECOGNIZED_NAME, 'no_name');
    return this.#begin(host, start, end, info, transport);
  }

  /** A handshake costs as much as fifty requests: those of others must not wait for many of them. */
  #mayBegin(): boolean {
    const { turn, cells } = this.#shared;
    if (this.#table.mayBegin(turn)) return true;
    cells.add(TURN_LIMIT, 1);
    return false;
  }

  #begin(host: HostTls, start: number, end: number, info: ClientInfo, transport: Transport): number {
    const { io } = this.#table;
    const hello = this.#hello;
    if (this.#table.handshaking >= LIMITS.TLS_HANDSHAKES) {
      this.#shared.cells.add(HANDSHAKES_LIMIT, 1);
      return this.#refuse(transport, ALERT.INTERNAL_ERROR, 'other');
    }
    const socket = transport.wire.plain;
    const tls = io.accept(this.#table.contextId(host.context), socket);
    if (tls < 0) return this.#refuse(transport, ALERT.INTERNAL_ERROR, 'other');
    io.bind(tls, this.#bindingOf(host, hello.serverName));
    // A session that is taken up shows no certificate, and needs none: it is put there when it is asked for.
    const later = hello.hasTicket && io.offered(tls, hello.ticketName);
    let shown = later || this.#present(tls, host);
    // The socket was read up to here, behind the ClientHello too: what OpenSSL gets by itself comes after that.
    let said = shown ? io.handshakeWith(tls, start, end - start) : 0;
    if (said === TLS_ASKS) {
      shown = this.#present(tls, host);
      if (shown) said = io.handshakeOn(tls);
    }
    if (!shown) {
      io.close(tls);
      return this.#refuse(transport, ALERT.INTERNAL_ERROR, 'certificate');
    }
    const handshake = new ServerHandshake(this.#shared, this.#table, host, hello.serverName, info);
    const wire = new TlsWire(this.#shared.io, io, tls, socket as Handle, handshake, false);
    wire.began(said);
    transport.layer(wire, said !== -ERRNO.EAGAIN);
    return STEP_LAYERED;
  }

  /**
   * Puts the host's certificates on the connection. TLS chooses by what the client can check, so that a response of
   * OCSP is only put where it is sure whose it will be.
   */
  #present(tls: Tls, host: HostTls): boolean {
    const { io } = this.#table;
    const suitable = this.#suitableOf(host);
    const sure = this.#sureOf(suitable);
    if (sure !== null && io.use(tls, sure.id) === 0) {
      this.#staple(tls, sure);
      return true;
    }
    let shown: TlsRef | null = null;
    let several = false;
    // TLS keeps one of each kind of key, the last one: that is to be the first of them.
    for (const ref of suitable.toReversed()) {
      if (ref.id === 0 || io.use(tls, ref.id) !== 0) continue;
      several = shown !== null && (several || ref.keyKind === 'other' || ref.keyKind !== shown.keyKind);
      shown = ref;
    }
    if (shown !== null && !several) this.#staple(tls, shown);
    return shown !== null;
  }

  /**
   * Of several certificates those that are for the name the client asks for, by the name itself before by a wildcard
   * (GEP-851); all where it names nobody, or none is.
   */
  #suitableOf({ certificates }: HostTls): readonly TlsRef[] {
    const { serverName } = this.#hello;
    if (certificates.length < 2 || serverName === '') return certificates;
    const exact: TlsRef[] = [];
    const wild: TlsRef[] = [];
    for (const ref of certificates) {
      const by = ref.id === 0 ? null : namedBy(this.#table.hostsOf(ref), serverName);
      if (by !== null) (by === 'exact' ? exact : wild).push(ref);
    }
    return exact.length + wild.length === 0 ? certificates : [...exact, ...wild];
  }

  /**
   * The certificate that a client of TLS 1.3 is shown: its signature alone decides there (RFC 8446 section 4.4.2.2).
   */
  #sureOf(suitable: readonly TlsRef[]): TlsRef | null {
    const { tls13, p256, rsa } = this.#hello;
    if (!tls13 || suitable.length < 2) return null;
    for (const ref of suitable) {
      if (ref.id !== 0 && ((ref.keyKind === 'p256' && p256) || (ref.keyKind === 'rsa' && rsa))) return ref;
    }
    return null;
  }

  #staple(tls: Tls, { staple, stapleFrom, stapleUntil }: TlsRef): void {
    if (staple === null || !this.#hello.wantsStaple) return;
    const now = this.#shared.io.wallMs;
    if (now >= stapleFrom && now < stapleUntil) this.#table.io.staple(tls, staple);
  }

  #refuse(transport: Transport, alert: number, why: TlsRefusal): number {
    this.#shared.cells.add(tlsRefusalCell(why), 1);
    const { mem } = this.#shared;
    const at = transport.reserve(ALERT_RECORD.length + 1);
    mem.set(ALERT_RECORD, at);
    mem[at + ALERT_RECORD.length] = alert;
    transport.commit(at + ALERT_RECORD.length + 1);
    return STEP_ENDED;
  }

  #answerPlain(transport: Transport): number {
    this.#shared.cells.add(tlsRefusalCell('not_tls'), 1);
    const at = transport.reserve(NOT_TLS.length);
    this.#shared.mem.set(NOT_TLS, at);
    transport.commit(at + NOT_TLS.length);
    return STEP_ENDED;
  }
}

/** The handshake of one connection: what becomes of it is counted, and what it agreed on told to the connection. */
class ServerHandshake implements TlsWireOwner {
  readonly #shared: Shared;
  readonly #table: TlsTable;
  readonly #host: HostTls;
  readonly #name: string;
  readonly #info: ClientInfo;

  constructor(shared: Shared, table: TlsTable, host: HostTls, name: string, info: ClientInfo) {
    this.#shared = shared;
    this.#table = table;
    this.#host = host;
    this.#name = name;
    this.#info = info;
    table.handshaking++;
  }

  left(): void {
    this.#table.handshaking--;
  }

  established({ tls }: TlsWire): void {
    this.#table.handshaking--;
    const { io } = this.#table;
    const version = io.version(tls);
    const tls13 = TLS_VERSION[version] === TLS_VERSION['TLSv1.3'];
    const resumed = io.resumed(tls);
    this.#shared.cells.add(handshakeCell('downstream', tls13, resumed), 1);
    const { host } = this.#host;
    const { clients } = this.#host.tls;
    // Nobody else was asked for a certificate.
    const fingerprint = clients === null ? '' : io.peerFingerprint(tls);
    // Of one that was let in though it is not good, nobody is told.
    if (clients !== null && clients.forward.length > 0 && fingerprint !== '' && io.verifyResult(tls) === 0)
      this.#info.certificate = forwardedCertificate(io.peerCertificate(tls), clients.forward);
    const alpn = io.alpn(tls);
    const info = this.#info;
    info.secure = true;
    info.host = host;
    info.relayed = host?.protocol === 'TLS';
    info.serverName = this.#name;
    info.alpn = alpn;
    const cipher = io.cipher(tls);
    const { lastFacts } = this.#host;
    const at = (tls13 ? 2 : 0) + (resumed ? 1 : 0);
    const last = lastFacts[at] as Facts;
    if (fingerprint === '' && last.cipher === cipher && last.alpn === alpn && last.name === this.#name) {
      info.json = info.json.with(last.json);
      return;
    }
    const json = factsOf({
      tls: version,
      cipher,
      ...(alpn === '' ? {} : { alpn }),
      ...(this.#name === '' ? {} : { sni: this.#name }),
      resumed: String(resumed),
      ...(fingerprint === '' ? {} : { client_cert_sha256: fingerprint }),
    });
    if (fingerprint === '') {
      if (lastFacts === NO_LAST) this.#host.lastFacts = NO_LAST.slice();
      this.#host.lastFacts[at] = { cipher, alpn, name: this.#name, json };
    }
    info.json = info.json.with(json);
  }

  failed(_wire: TlsWire, errno: number): void {
    this.#table.handshaking--;
    const { failure } = this.#table.io;
    let why: TlsRefusal = 'other';
    if (errno !== 0) why = errno === ERRNO.ETIMEDOUT ? 'timeout' : 'gone';
    else if (failure.verify !== 0) why = 'client_certificate';
    else if (failure.reason.includes('peer did not return a certificate')) why = 'client_certificate';
    else if (failure.reason.includes('no application protocol')) why = 'no_protocol';
    else if (failure.reason.includes('no shared cipher')) why = 'no_cipher';
    else if (failure.reason.includes('unsupported protocol')) why = 'version';
    else if (failure.alert === NO_OVERLAP) why = 'no_protocol';
    else if (failure.alert !== 0) why = 'client_refused';
    this.#shared.cells.add(tlsRefusalCell(why), 1);
  }

  /** It was let in by `mayBegin`. */
  mayGoOn(): boolean {
    return true;
  }
  heard(): void {}
  /** Its transport ends, and says so. */
  broke(): void {
    if (this.#table.io.failure.reason === TLS_SILENCE) this.#shared.cells.add(SILENCE_LIMIT, 1);
  }
}
