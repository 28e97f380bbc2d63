// TlsIo over the simulated sockets, by a toy for a cipher. It keeps OpenSSL's manners, for those are what the proxy has
// to get right: nothing is read but whole records, a record that the socket did not take is offered again by the same
// bytes, and the end of a socket without close_notify is no end in order.

import { ERRNO, type Handle } from '../io/io.ts';
import {
  TLS_FAILED,
  type Tls,
  type TlsCounts,
  type TlsFailure,
  type TlsIo,
  type TlsPeer,
  type TlsSettings,
  type TlsVersion,
} from '../io/tls.ts';
import type { SimIo } from './io.ts';
import {
  BAD_RECORD_MAC,
  CLOSE_NOTIFY,
  clientHello,
  HANDSHAKE,
  NO_APPLICATION_PROTOCOL,
  Opener,
  plainRecord,
  protocolsOf,
  RECORD,
  RECORD_BYTES,
  readServerHello,
  Sealer,
  type SimRecord,
  serverHello,
} from './tls-records.ts';

const READ_BYTES = 16_384;
/** X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY. */
const UNKNOWN_ISSUER = 20;

interface Certificate {
  readonly chain: readonly Uint8Array[];
}

/** What a connection does next. */
type Step = 'hello' | 'answer' | 'finish' | 'open' | 'failed';

class Connection {
  readonly socket: Handle;
  readonly server: boolean;
  readonly settings: TlsSettings;
  readonly name: string;
  readonly opener = new Opener();
  readonly sealer = new Sealer();
  certificate: Certificate | null = null;
  step: Step = 'hello';
  alpn = '';
  verify = 0;
  /** Sealed and not taken by the socket yet. */
  out: Uint8Array = new Uint8Array(0);
  /** The bytes of the record among them that nobody was told of yet. */
  offered: Uint8Array | null = null;
  /** Of the record that is being read. */
  plain: Uint8Array = new Uint8Array(0);
  /** The last read of the socket was shorter than it might have been. */
  short = false;
  /** close_notify came. */
  ended = false;
  /** Ours was said. */
  closing = false;

  constructor(socket: Handle, server: boolean, settings: TlsSettings, name: string) {
    this.socket = socket;
    this.server = server;
    this.settings = settings;
    this.name = name;
  }
}

export class SimTls implements TlsIo {
  readonly #io: SimIo;
  readonly #connections = new Map<Tls, Connection>();
  readonly #contexts = new Map<number, TlsSettings>();
  readonly #certificates = new Map<number, Certificate>();
  readonly #trusts = new Map<number, ReadonlySet<string>>();
  readonly #scratch = new Uint8Array(READ_BYTES);
  /** A toy takes up none. */
  readonly sessions = 0;
  #next = 1;
  failure: TlsFailure = { reason: '', verify: 0, alert: 0 };

  constructor(io: SimIo) {
    this.#io = io;
  }

  get counts(): TlsCounts {
    return {
      connections: this.#connections.size,
      contexts: this.#contexts.size,
      sessions: 0,
      certificates: this.#certificates.size,
      parsed: 0,
    };
  }

  // ---- contexts, certificates, trust

  serverContext(settings: TlsSettings): number {
    this.#contexts.set(this.#next, settings);
    return this.#next++;
  }
  clientContext(settings: TlsSettings, _certificate: number): number {
    return this.serverContext(settings);
  }
  dropContext(context: number): void {
    this.#contexts.delete(context);
  }
  certificate(chain: readonly Uint8Array[], _key: Uint8Array): number {
    this.#certificates.set(this.#next, { chain: chain.map((der) => der.slice()) });
    return this.#next++;
  }
  dropCertificate(certificate: number): void {
    this.#certificates.delete(certificate);
  }
  hostsOf(_certificate: number): readonly string[] {
    return [];
  }
  trust(authorities: readonly Uint8Array[], _revoked: readonly Uint8Array[]): number {
    this.#trusts.set(this.#next, new Set(authorities.map((der) => Buffer.from(der).toString('base64'))));
    return this.#next++;
  }
  dropTrust(trust: number): void {
    this.#trusts.delete(trust);
  }
  setTicketKeys(_keys: readonly Uint8Array[]): void {}

  // ---- connections

  accept(context: number, socket: Handle): Tls {
    return this.#add(context, socket, true, '');
  }
  connect(context: number, socket: Handle, peer: TlsPeer): Tls {
    return this.#add(context, socket, false, peer.serverName);
  }

  #add(context: number, socket: Handle, server: boolean, name: string): Tls {
    const settings = this.#contexts.get(context);
    if (settings === undefined) return -ERRNO.EINVAL;
    this.#connections.set(this.#next, new Connection(socket, server, settings, name));
    return this.#next++;
  }

  use(tls: Tls, certificate: number): number {
    const connection = this.#connections.get(tls);
    if (connection === undefined) return -ERRNO.EBADF;
    connection.certificate ??= this.#certificates.get(certificate) ?? null;
    return connection.certificate === null ? TLS_FAILED : 0;
  }
  staple(_tls: Tls, _response: Uint8Array): void {}
  bind(_tls: Tls, _context: Uint8Array): void {}
  offered(_tls: Tls, _ticketName: Uint8Array): boolean {
    return false;
  }
  handshakeOn(_tls: Tls): number {
    return -ERRNO.EINVAL;
  }

  handshakeWith(tls: Tls, offset: number, length: number): number {
    this.#connections.get(tls)?.opener.push(this.#io.mem.subarray(offset, offset + length));
    return this.handshake(tls);
  }

  handshake(tls: Tls): number {
    const one = this.#connections.get(tls);
    if (one === undefined) return -ERRNO.EBADF;
    if (one.step === 'failed') return TLS_FAILED;
    if (!one.server && one.step === 'hello') {
      this.#say(one, clientHello(one.name, one.settings.alpn));
      one.step = 'answer';
    }
    while (one.step !== 'open') {
      const flushed = this.#flush(one);
      if (flushed !== 0) return flushed;
      if (one.step === 'finish' && !one.server) {
        this.#stands(one);
        break;
      }
      const record = one.opener.next();
      if (record === null) {
        const n = this.#fill(one);
        if (n <= 0) return n === 0 ? -ERRNO.ECONNRESET : n;
        continue;
      }
      const refused = this.#hear(one, record);
      if (refused !== 0) return refused;
    }
    return 1;
  }

  #stands(one: Connection): void {
    one.step = 'open';
    one.opener.sealed = true;
  }

  /** A message of the handshake: 0, or TLS_FAILED. */
  #hear(one: Connection, record: SimRecord | 'bad'): number {
    if (record === 'bad') return this.#fail(one, BAD_RECORD_MAC, 'bad record mac');
    if (record.type === RECORD.ALERT) return this.#refused(one, record.body.at(-1) as number);
    const message = record.type === RECORD.HANDSHAKE ? record.body[0] : -1;
    if (one.server && one.step === 'hello' && message === HANDSHAKE.CLIENT_HELLO) return this.#answer(one, record.body);
    if (one.server && one.step === 'finish' && message === HANDSHAKE.FINISHED) {
      this.#stands(one);
      return 0;
    }
    if (!one.server && one.step === 'answer' && message === HANDSHAKE.SERVER_HELLO)
      return this.#check(one, record.body);
    return this.#fail(one, 10, 'unexpected message');
  }

  #answer(one: Connection, hello: Uint8Array): number {
    const { alpn } = one.settings;
    const offered = protocolsOf(hello);
    if (one.certificate === null) return this.#fail(one, 40, 'no shared cipher');
    if (alpn.length > 0 && offered.length > 0) {
      const chosen = alpn.find((protocol) => offered.includes(protocol));
      if (chosen === undefined) return this.#fail(one, NO_APPLICATION_PROTOCOL, 'no application protocol');
      one.alpn = chosen;
    }
    this.#say(one, serverHello(one.alpn, one.certificate.chain));
    one.step = 'finish';
    return 0;
  }

  #check(one: Connection, hello: Uint8Array): number {
    const { alpn, chain } = readServerHello(hello);
    const { verify } = one.settings;
    const trusted = verify === null || chain.some((der) => this.#trusts.get(verify.trust)?.has(der) === true);
    one.verify = trusted ? 0 : UNKNOWN_ISSUER;
    if (!trusted && verify?.mode === 'require') return this.#fail(one, 48, 'certificate verify failed');
    one.alpn = alpn;
    this.#say(one, plainRecord(RECORD.HANDSHAKE, Uint8Array.of(HANDSHAKE.FINISHED)));
    one.step = 'finish';
    return 0;
  }

  recv(tls: Tls, offset: number, length: number): number {
    const one = this.#connections.get(tls);
    if (one === undefined) return -ERRNO.EBADF;
    for (;;) {
      if (one.plain.length > 0) {
        const taken = one.plain.subarray(0, length);
        this.#io.mem.set(taken, offset);
        one.plain = one.plain.subarray(taken.length);
        return taken.length;
      }
      if (one.ended) return 0;
      const record = one.opener.next();
      if (record === null) {
        const n = this.#fill(one);
        if (n <= 0) return n === 0 ? -ERRNO.ECONNRESET : n;
      } else if (record === 'bad') return this.#fail(one, BAD_RECORD_MAC, 'bad record mac');
      else if (record.type === RECORD.DATA) one.plain = record.body;
      else if (record.type !== RECORD.ALERT) return this.#fail(one, 10, 'unexpected message');
      else if (record.body.at(-1) === CLOSE_NOTIFY) one.ended = true;
      else return this.#refused(one, record.body.at(-1) as number);
    }
  }

  emptied(tls: Tls): boolean {
    const one = this.#connections.get(tls);
    return one?.short === true && one.plain.length === 0 && !one.ended && one.opener.empty;
  }

  send(tls: Tls, offset: number, length: number): number {
    const one = this.#connections.get(tls);
    if (one === undefined) return -ERRNO.EBADF;
    const { mem } = this.#io;
    if (one.offered === null) {
      const body = mem.slice(offset, offset + Math.min(length, RECORD_BYTES));
      this.#say(one, one.sealer.seal(RECORD.DATA, body));
      one.offered = body;
    } else {
      // SSL_R_BAD_WRITE_RETRY: what is offered again is not what was sealed.
      const again = mem.subarray(offset, offset + one.offered.length);
      if (length < one.offered.length || !one.offered.every((byte, i) => byte === again[i])) {
        throw new Error('bad write retry: other bytes than those that were offered before');
      }
    }
    const flushed = this.#flush(one);
    if (flushed !== 0) return flushed;
    const n = one.offered.length;
    one.offered = null;
    return n;
  }

  shutdown(tls: Tls): number {
    const one = this.#connections.get(tls);
    if (one === undefined) return -ERRNO.EBADF;
    if (!one.closing) {
      one.closing = true;
      this.#say(one, one.sealer.seal(RECORD.ALERT, Uint8Array.of(1, CLOSE_NOTIFY)));
    }
    return this.#flush(one);
  }

  close(tls: Tls): void {
    this.#connections.delete(tls);
  }

  // ---- inside

  #say(one: Connection, record: Uint8Array): void {
    one.out = Buffer.concat([one.out, record]);
  }

  /** 0 when the socket took all, -errno when not. */
  #flush(one: Connection): number {
    while (one.out.length > 0) {
      const n = this.#io.sendFrom(one.socket, one.out, 0, one.out.length);
      if (n < 0) return n;
      one.out = one.out.subarray(n);
    }
    return 0;
  }

  #fill(one: Connection): number {
    const n = this.#io.recvInto(one.socket, this.#scratch, 0, READ_BYTES);
    if (n > 0) one.opener.push(this.#scratch.subarray(0, n));
    one.short = n > 0 && n < READ_BYTES;
    return n;
  }

  /** We refuse: the other side is told. */
  #fail(one: Connection, alert: number, reason: string): number {
    const body = Uint8Array.of(2, alert);
    this.#say(one, one.step === 'open' ? one.sealer.seal(RECORD.ALERT, body) : plainRecord(RECORD.ALERT, body));
    one.step = 'failed';
    this.#flush(one);
    this.failure = { reason, verify: one.verify, alert: 0 };
    return TLS_FAILED;
  }

  #refused(one: Connection, alert: number): number {
    one.step = 'failed';
    this.failure = { reason: `alert ${alert}`, verify: 0, alert };
    return TLS_FAILED;
  }

  // ---- sessions: none

  session(_tls: Tls): number {
    return 0;
  }
  resume(_tls: Tls, _session: number): void {}
  dropSession(_session: number): void {}

  // ---- facts

  version(_tls: Tls): TlsVersion {
    return 'TLSv1.3';
  }
  cipher(_tls: Tls): string {
    return 'TOY';
  }
  resumed(_tls: Tls): boolean {
    return false;
  }
  alpn(tls: Tls): string {
    return this.#connections.get(tls)?.alpn ?? '';
  }
  verifyResult(tls: Tls): number {
    return this.#connections.get(tls)?.verify ?? 0;
  }
  peerFingerprint(_tls: Tls): string {
    return '';
  }
  peerCertificate(_tls: Tls): Uint8Array {
    return new Uint8Array(0);
  }
}
