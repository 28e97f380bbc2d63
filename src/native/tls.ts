// TLS by the OpenSSL inside Node. The law of this room: the error queue is empty before every call whose failure it
// explains (node:crypto shares the thread's), a connection is a handle with a generation, no callback decides anything,
// and what a caller hands over is copied or counted.

import { LIMITS } from '../base/limits.ts';
import { ERRNO, type Handle } from '../io/io.ts';
import {
  type PeerName,
  SESSION_CONTEXT_BYTES,
  TICKET_KEY_BYTES,
  TLS_ASKS,
  TLS_FAILED,
  TLS_SILENCE,
  type Tls,
  type TlsCounts,
  type TlsFailure,
  type TlsIo,
  type TlsPeer,
  type TlsSettings,
  type TlsVersion,
} from '../io/tls.ts';
import { errno } from './ffi.ts';
import type { NativeIo } from './io.ts';
import * as ssl from './openssl.ts';
import { TlsContexts } from './tls-context.ts';
import { ErrorQueue } from './tls-errors.ts';
import { TLS13, TlsFacts } from './tls-facts.ts';
import { TlsInbox } from './tls-inbox.ts';
import { errorText, TlsMemory, takeError } from './tls-memory.ts';
import { hostsOf, isAddress, isCertificateFor, isOpenSslsWork } from './tls-names.ts';
import { TlsSessions } from './tls-sessions.ts';
import { TlsStore } from './tls-store.ts';

const INDEX_BITS = 20;
const INDEX_MASK = (1 << INDEX_BITS) - 1;
const GENERATIONS = 1 << (31 - INDEX_BITS);
/** As C reads the low half of it. */
const MINUS_ONE = 0xffff_ffffn;
/** X509_V_ERR_HOSTNAME_MISMATCH. */
const HOSTNAME_MISMATCH = 62;

export class NativeTls implements TlsIo {
  readonly #io: NativeIo;
  readonly #errors: ErrorQueue;
  readonly #memory: TlsMemory;
  readonly #store: TlsStore;
  readonly #contexts: TlsContexts;
  readonly #inbox: TlsInbox;
  readonly #facts: TlsFacts;
  readonly #address: bigint;
  readonly #bytes: number;

  // ---- by index of a connection
  readonly #ssl: number[] = [];
  /** The same as direct calls take it. */
  readonly #pointers: bigint[] = [];
  readonly #handles: number[] = [];
  readonly #contextOf: number[] = [];
  readonly #sockets: Handle[] = [];
  /** Which ticket key the next call of the handshake is made with, 0 for the first. */
  readonly #ticketKey: number[] = [];
  /** A client's. */
  readonly #accepted: boolean[] = [];
  /** Its handshake is over. */
  readonly #stands: boolean[] = [];
  /** Its certificates are put on it when it turns out that it needs them: its ticket may be taken. */
  readonly #bare: boolean[] = [];
  /** Certificates were put on it, or on its context. */
  readonly #dressed: boolean[] = [];
  /** Its handshake goes on before more is read: it has to begin, or waits until the socket takes more. */
  readonly #blocked: boolean[] = [];
  /** Names that OpenSSL does not look for by itself; null for none. */
  readonly #names: (readonly PeerName[] | null)[] = [];
  readonly #free: number[] = [];
  #open = 0;

  readonly #sessions = new TlsSessions();

  /** What was asked for last would go on if its socket took more. */
  #wantsWrite = false;
  readonly #failure = { reason: '', verify: 0, alert: 0 };
  readonly #notYet = BigInt(ssl.notYet());

  constructor(io: NativeIo) {
    ssl.checkOpenSsl(ssl.OpenSslVersion());
    this.#io = io;
    this.#errors = new ErrorQueue(io);
    this.#memory = new TlsMemory(io);
    this.#store = new TlsStore(this.#memory);
    this.#contexts = new TlsContexts(this.#memory, this.#store);
    this.#inbox = new TlsInbox(io);
    this.#facts = new TlsFacts(this.#memory, this.#contexts);
    this.#address = BigInt(io.arena.base);
    this.#bytes = io.arena.bytes;
  }

  get failure(): TlsFailure {
    return this.#failure;
  }
  get sessions(): number {
    return this.#sessions.size;
  }
  get counts(): TlsCounts {
    return {
      connections: this.#open,
      contexts: this.#contexts.size,
      sessions: this.#sessions.size,
      certificates: this.#store.certificates,
      parsed: this.#store.parsed,
    };
  }

  // ---- contexts, certificates, trust

  serverContext(settings: TlsSettings): number {
    this.#errors.clear();
    return this.#contexts.add(settings, true);
  }
  clientContext(settings: TlsSettings, certificate: number): number {
    this.#errors.clear();
    return this.#contexts.add(settings, false, certificate);
  }
  dropContext(context: number): void {
    this.#contexts.drop(context);
  }
  certificate(chain: readonly Uint8Array[], key: Uint8Array): number {
    this.#errors.clear();
    return this.#store.add(chain, key);
  }
  dropCertificate(certificate: number): void {
    this.#store.drop(certificate);
  }
  hostsOf(certificate: number): readonly string[] {
    return hostsOf(this.#store.der(certificate));
  }
  trust(authorities: readonly Uint8Array[], revoked: readonly Uint8Array[]): number {
    this.#errors.clear();
    return this.#store.addTrust(authorities, revoked);
  }
  dropTrust(trust: number): void {
    this.#store.dropTrust(trust);
  }
  setTicketKeys(keys: readonly Uint8Array[]): void {
    if (keys.length > LIMITS.TLS_TICKET_KEYS || keys.some((key) => key.length !== TICKET_KEY_BYTES)) {
      throw new RangeError(`ticket keys: at most ${LIMITS.TLS_TICKET_KEYS} of ${TICKET_KEY_BYTES} bytes each`);
    }
    this.#contexts.setTicketKeys(keys);
  }

  // ---- connections

  accept(context: number, socket: Handle): Tls {
    const tls = this.#new(context, socket, true);
    if (tls >= 0) ssl.sslSetAcceptState(this.#pointers[tls & INDEX_MASK] as bigint, 0n);
    return tls;
  }

  connect(context: number, socket: Handle, peer: TlsPeer): Tls {
    const tls = this.#new(context, socket, false);
    if (tls < 0) return tls;
    const s = this.#ssl[tls & INDEX_MASK] as number;
    ssl.sslSetConnectState(s);
    const { serverName, names } = peer;
    // Names and addresses are looked for in different places of a certificate; only names go into SNI (RFC 6066 section
    // 3).
    if (serverName !== '' && !isAddress(serverName)) {
      const text = this.#memory.putText(serverName);
      if (ssl.sslCtrl(s, ssl.CTRL.SET_TLSEXT_HOSTNAME, 0, text) !== 1) return this.#refused(tls);
    }
    if (!isOpenSslsWork(names)) this.#names[tls & INDEX_MASK] = names;
    else if (!names.every(({ value }, i) => this.#expect(s, value, i === 0))) return this.#refused(tls);
    return tls;
  }

  /** Lets OpenSSL look for `name` in the server's certificate. */
  #expect(s: number, name: string, first: boolean): boolean {
    const text = this.#memory.putText(name);
    if (isAddress(name)) return ssl.paramSet1IpAsc(ssl.sslGet0Param(s), text) === 1;
    ssl.sslSetHostflags(s, ssl.HOST_FLAGS);
    return (first ? ssl.sslSet1Host(s, text) : ssl.sslAdd1Host(s, text)) === 1;
  }

  #refused(tls: Tls): number {
    this.close(tls);
    return -ERRNO.EINVAL;
  }

  #new(context: number, socket: Handle, accepted: boolean): Tls {
    const fd = this.#io.fdOf(socket);
    if (fd < 0) return fd;
    const ctx = this.#contexts.pointer(context);
    if (ctx === 0) return -ERRNO.EINVAL;
    this.#errors.clear();
    const s = ssl.sslNew(ctx);
    if (s === 0) return -ERRNO.ENOMEM;
    const pointer = BigInt(s);
    if (ssl.sslSetWfd(pointer, BigInt(fd | 0)) !== 1) {
      ssl.sslFree(pointer, 0n);
      return -ERRNO.ENOMEM;
    }
    const index = this.#free.pop() ?? this.#ssl.length;
    if (index > INDEX_MASK) {
      ssl.sslFree(pointer, 0n);
      return -ERRNO.EMFILE;
    }
    let generation = (Math.abs(this.#handles[index] ?? 0) >> INDEX_BITS) + 1;
    if (generation === GENERATIONS) generation = 1;
    const tls = (generation << INDEX_BITS) | index;
    this.#ssl[index] = s;
    this.#pointers[index] = pointer;
    this.#handles[index] = tls;
    this.#contextOf[index] = context;
    this.#sockets[index] = socket;
    this.#ticketKey[index] = 0;
    this.#accepted[index] = accepted;
    this.#stands[index] = false;
    this.#bare[index] = false;
    this.#dressed[index] = !accepted;
    this.#blocked[index] = !accepted;
    this.#names[index] = null;
    this.#inbox.attach(index, pointer);
    this.#open++;
    return tls;
  }

  /** The SSL of an open connection, 0 for a stale handle. */
  #of(tls: Tls): number {
    const index = tls & INDEX_MASK;
    return tls > INDEX_MASK && this.#handles[index] === tls ? (this.#ssl[index] as number) : 0;
  }

  use(tls: Tls, certificate: number): number {
    const s = this.#of(tls);
    if (s === 0) return -ERRNO.EBADF;
    this.#errors.clear();
    this.#dressed[tls & INDEX_MASK] = true;
    const made = this.#store.get(certificate);
    if (made !== null && ssl.sslUseCertAndKey(s, made.x509, made.pkey, made.stack, 1) === 1) return 0;
    return this.#fail(s);
  }

  bind(tls: Tls, context: Uint8Array): void {
    if (context.length !== SESSION_CONTEXT_BYTES) throw new RangeError(`a session context of ${context.length} bytes`);
    if (this.#of(tls) === 0) return;
    this.#memory.put(context);
    const pointer = this.#pointers[tls & INDEX_MASK] as bigint;
    ssl.sslSetSessionIdContext(pointer, this.#memory.putAt, BigInt(SESSION_CONTEXT_BYTES));
  }

  staple(tls: Tls, response: Uint8Array): void {
    const s = this.#of(tls);
    if (s === 0) return;
    // OpenSSL frees it.
    const copy = ssl.memdup(this.#memory.put(response), response.length, 0, 0);
    if (copy !== 0) ssl.sslCtrl(s, ssl.CTRL.SET_OCSP_RESPONSE, response.length, copy);
  }

  offered(tls: Tls, ticketName: Uint8Array): boolean {
    const key = this.#of(tls) === 0 ? -1 : this.#contexts.ticketKeyOf(ticketName);
    if (key < 0) return false;
    const index = tls & INDEX_MASK;
    this.#ticketKey[index] = key;
    this.#bare[index] = true;
    ssl.sslSetCertCb(this.#pointers[index] as bigint, this.#notYet, 0n);
    return true;
  }

  handshake(tls: Tls): number {
    const s = this.#of(tls);
    if (s === 0) return -ERRNO.EBADF;
    const index = tls & INDEX_MASK;
    if (this.#stands[index] as boolean) return 1;
    const inbox = this.#inbox;
    inbox.begin(index);
    if (this.#blocked[index] as boolean) {
      const said = this.#goOn(s, index);
      if (said !== -ERRNO.EAGAIN || (this.#blocked[index] as boolean)) return said;
    }
    for (let read = 0; read < LIMITS.TLS_SILENT_BYTES; ) {
      const n = inbox.fill(index, this.#sockets[index] as Handle);
      if (n <= 0) return n === 0 ? -ERRNO.ECONNRESET : n;
      const said = this.#goOn(s, index);
      if (said !== -ERRNO.EAGAIN || (this.#blocked[index] as boolean) || inbox.dry(index)) return said;
      read += n;
    }
    return -ERRNO.EINPROGRESS;
  }

  handshakeWith(tls: Tls, offset: number, length: number): number {
    const s = this.#of(tls);
    if (s === 0) return -ERRNO.EBADF;
    if (!(offset >= 0 && length > 0 && offset + length <= this.#bytes)) throw outOfRange(offset, length);
    const index = tls & INDEX_MASK;
    if (!(this.#accepted[index] as boolean)) return -ERRNO.EINVAL;
    this.#inbox.begin(index);
    this.#inbox.take(index, offset, length);
    return this.#goOn(s, index);
  }

  handshakeOn(tls: Tls): number {
    const s = this.#of(tls);
    const index = tls & INDEX_MASK;
    if (s === 0) return -ERRNO.EBADF;
    if (!(this.#bare[index] as boolean)) return -ERRNO.EINVAL;
    this.#bare[index] = false;
    ssl.sslSetCertCb(this.#pointers[index] as bigint, 0n, 0n);
    this.#inbox.again(index);
    return this.#goOn(s, index);
  }

  /** Goes on with what is in the inbox of the handshake. */
  #goOn(s: number, index: number): number {
    const inbox = this.#inbox;
    const said = this.#shake(s, index);
    inbox.keep(index);
    // What is left is read by `handshakeOn`.
    if (said === TLS_ASKS) return said;
    if (said === 1) {
      this.#stands[index] = true;
      this.#bare[index] = false;
      return said;
    }
    // The ticket that comes with another key share need not be taken, and who knows what is changed until then.
    const asks = said === -ERRNO.EAGAIN && (this.#bare[index] as boolean) && this.#asksAgain(s, index);
    return asks ? TLS_ASKS : said;
  }

  /** One call of the handshake: 1 when it is over, -EAGAIN, -errno or TLS_FAILED. */
  #shake(s: number, index: number): number {
    this.#errors.clear();
    const key = this.#ticketKey[index] as number;
    let done: number;
    if (key === 0) done = ssl.sslDoHandshake(s);
    else {
      // A context holds one key. The client's is put there for as long as this call takes: what is issued later, in
      // another call, is under the first again.
      const ctx = this.#contexts.pointer(this.#contextOf[index] as number);
      this.#contexts.putTicketKey(ctx, key);
      done = ssl.sslDoHandshake(s);
      this.#contexts.putTicketKey(ctx, 0);
      if (!this.#asksAgain(s, index)) this.#ticketKey[index] = 0;
    }
    this.#wantsWrite = false;
    const said = done === 1 ? 1 : this.#outcome(s, index, done);
    this.#blocked[index] = this.#wantsWrite;
    if (said !== 1) return said;
    const names = this.#names[index];
    if (names != null && !this.#isFor(index, names)) return this.#refuse(HOSTNAME_MISMATCH, 'hostname mismatch');
    // An idle connection does not keep a certificate alive that was replaced.
    if (this.#dressed[index] as boolean) ssl.sslCertsClear(this.#pointers[index] as bigint, 0n);
    return 1;
  }

  #refuse(verify: number, reason: string): number {
    this.#failure.reason = reason;
    this.#failure.alert = 0;
    this.#failure.verify = verify;
    return TLS_FAILED;
  }

  /** Whether the other side's certificate has one of `names`; a session that was taken up has it still. */
  #isFor(index: number, names: readonly PeerName[]): boolean {
    const der = this.#facts.peerDer(this.#pointers[index] as bigint);
    return der.length > 0 && isCertificateFor(der, names);
  }

  /**
   * Whether the client was asked for another key share: then its ticket comes again. TLS 1.3 tells by the share that a
   * ClientHello was enough (RFC 8446 section 4.1.4).
   */
  #asksAgain(s: number, index: number): boolean {
    if (ssl.sslVersion(this.#pointers[index] as bigint, 0n) !== TLS13) return false;
    if (ssl.sslCtrl(s, ssl.CTRL.GET_PEER_TMP_KEY, 0, this.#memory.cell(0)) !== 1) return true;
    ssl.pkeyFree(this.#memory.getCell(0));
    return false;
  }

  recv(tls: Tls, offset: number, length: number): number {
    const index = tls & INDEX_MASK;
    if (tls <= INDEX_MASK || this.#handles[index] !== tls) return -ERRNO.EBADF;
    if (!(offset >= 0 && length >= 0 && offset + length <= this.#bytes)) throw outOfRange(offset, length);
    const pointer = this.#pointers[index] as bigint;
    const inbox = this.#inbox;
    let asks = inbox.begin(index);
    for (let silent = 0; ; ) {
      if (asks) {
        this.#errors.clearOnce();
        const n = ssl.sslRead(pointer, this.#address + BigInt(offset | 0), BigInt(length | 0));
        inbox.keep(index);
        if (n > 0) return n;
        this.#wantsWrite = false;
        const said = this.#outcome(this.#ssl[index] as number, index, n);
        if (said !== -ERRNO.EAGAIN || this.#wantsWrite) return said;
        if (silent >= LIMITS.TLS_SILENT_BYTES) return this.#refuse(0, TLS_SILENCE);
      }
      // Also where the last read was a short one: the end of the socket may be behind it, which nobody tells of twice.
      const n = inbox.fill(index, this.#sockets[index] as Handle);
      // The end of the socket without close_notify is an end that anybody could have made (RFC 8446 section 6.1).
      if (n <= 0) return n === 0 ? -ERRNO.ECONNRESET : n;
      silent += n;
      asks = true;
    }
  }

  emptied(tls: Tls): boolean {
    const index = tls & INDEX_MASK;
    if (tls <= INDEX_MASK || this.#handles[index] !== tls || !this.#inbox.dry(index)) return false;
    // Of a record that came in part the buffer may hold the head and not count it: that is read with the rest of it.
    if (ssl.sslHasPending(this.#pointers[index] as bigint, 0n) !== 0) return false;
    this.#inbox.release(index);
    return true;
  }

  send(tls: Tls, offset: number, length: number): number {
    const index = tls & INDEX_MASK;
    if (tls <= INDEX_MASK || this.#handles[index] !== tls) return -ERRNO.EBADF;
    if (!(offset >= 0 && length > 0 && offset + length <= this.#bytes)) throw outOfRange(offset, length);
    const pointer = this.#pointers[index] as bigint;
    this.#errors.clearOnce();
    const n = ssl.sslWrite(pointer, this.#address + BigInt(offset | 0), BigInt(length | 0));
    return n > 0 ? n : this.#outcome(this.#ssl[index] as number, index, n);
  }

  shutdown(tls: Tls): number {
    const s = this.#of(tls);
    if (s === 0) return -ERRNO.EBADF;
    this.#errors.clear();
    const said = ssl.sslShutdown(s);
    return said >= 0 ? 0 : this.#outcome(s, tls & INDEX_MASK, said);
  }

  close(tls: Tls): void {
    const s = this.#of(tls);
    if (s === 0) return;
    const index = tls & INDEX_MASK;
    this.#inbox.forget(index);
    this.#handles[index] = -tls;
    ssl.sslFree(this.#pointers[index] as bigint, 0n);
    this.#ssl[index] = 0;
    this.#pointers[index] = 0n;
    this.#names[index] = null;
    this.#free.push(index);
    this.#open--;
  }

  /** What a call means that gave no bytes. */
  #outcome(s: number, index: number, result: number): number {
    // errno is as the failed call left it: SSL_get_error puts it back.
    switch (ssl.sslGetError(this.#pointers[index] as bigint, result < 0 ? MINUS_ONE : 0n)) {
      case ssl.SSL_ERROR.WANT_WRITE:
        this.#wantsWrite = true;
        return -ERRNO.EAGAIN;
      case ssl.SSL_ERROR.WANT_READ:
        return -ERRNO.EAGAIN;
      case ssl.SSL_ERROR.WANT_X509_LOOKUP:
        return TLS_ASKS;
      case ssl.SSL_ERROR.ZERO_RETURN:
        return 0;
      case ssl.SSL_ERROR.SYSCALL: {
        const error = errno();
        this.#errors.clear();
        return error === 0 || error === ERRNO.EAGAIN ? -ERRNO.ECONNRESET : -error;
      }
      default:
        return this.#fail(s);
    }
  }

  #fail(s: number): number {
    const error = takeError();
    const reason = error % (ssl.REASON_MASK + 1);
    const alert = reason - ssl.ALERT_OFFSET;
    this.#failure.reason = errorText(error);
    this.#failure.alert = alert >= 0 && alert < 256 ? alert : 0;
    this.#failure.verify = ssl.sslGetVerifyResult(s);
    this.#errors.clear();
    return TLS_FAILED;
  }

  // ---- sessions

  session(tls: Tls): number {
    const s = this.#of(tls);
    return s === 0 ? 0 : this.#sessions.keep(s);
  }

  resume(tls: Tls, session: number): void {
    const s = this.#of(tls);
    if (s !== 0) this.#sessions.offer(s, session);
  }

  dropSession(session: number): void {
    this.#sessions.drop(session);
  }

  // ---- facts

  version(tls: Tls): TlsVersion {
    return this.#facts.version(this.#live(tls));
  }
  cipher(tls: Tls): string {
    return this.#facts.cipher(this.#live(tls));
  }
  resumed(tls: Tls): boolean {
    return ssl.sslSessionReused(this.#live(tls), 0n) === 1;
  }
  alpn(tls: Tls): string {
    return this.#facts.alpn(this.#live(tls));
  }
  verifyResult(tls: Tls): number {
    return ssl.sslGetVerifyResult(Number(this.#live(tls)));
  }
  peerFingerprint(tls: Tls): string {
    return this.#facts.peerFingerprint(this.#live(tls));
  }
  peerCertificate(tls: Tls): Uint8Array {
    return this.#facts.peerDer(this.#live(tls)).slice();
  }

  #live(tls: Tls): bigint {
    if (this.#of(tls) === 0) throw new RangeError(`TLS connection ${tls} is not open`);
    return this.#pointers[tls & INDEX_MASK] as bigint;
  }

  /** Frees everything; for what lives shorter than its process (tests). */
  dispose(): void {
    for (const tls of this.#handles) if (tls > 0) this.close(tls);
    this.#sessions.dispose();
    this.#contexts.dispose();
    this.#store.dispose();
    this.#inbox.dispose();
    this.#memory.dispose();
  }
}

function outOfRange(offset: number, length: number): RangeError {
  return new RangeError(`mem[${offset}..+${length}) is outside the arena`);
}
