// TLS as the proxy sees it: contexts, certificates and trust by number, connections by handle. `src/native/` does it by
// the OpenSSL inside Node, `src/sim/` by a toy. Nothing here is a pointer, and nothing of OpenSSL shows but its texts.

import type { Handle } from './io.ts';

/** A TLS connection: a generation above an index, so that one kept after `close` is refused (-EBADF). */
export type Tls = number;

/** Beside -errno: the peer or its certificate was refused, or the other way round; `failure` says why. */
export const TLS_FAILED = -4096;

/** Behind `offered`: the ticket is not taken, or may still not be. Certificates are put on the connection now. */
export const TLS_ASKS = -4097;

/** The reason of a failure: more than LIMITS.TLS_SILENT_BYTES at once said nothing, new keys for example. */
export const TLS_SILENCE = 'too much that says nothing';

export const TLS_VERSION = { 'TLSv1.2': 0x0303, 'TLSv1.3': 0x0304 } as const;
export type TlsVersion = keyof typeof TLS_VERSION;

/** Bytes of a ticket key: name 16, HMAC 32, AES 32 (RFC 5077 section 4). */
export const TICKET_KEY_BYTES = 80;
export const TICKET_NAME_BYTES = 16;
/** Bytes of what a session is bound to. */
export const SESSION_CONTEXT_BYTES = 32;

/** What connections share that have equal settings. */
export interface TlsSettings {
  readonly minVersion: TlsVersion;
  readonly maxVersion: TlsVersion;
  /** Names of suites, in order, separated by colons: of TLS 1.2 and of TLS 1.3. '' for the default of `io`. */
  readonly ciphers: string;
  readonly suites: string;
  /** Protocols in order of preference; none: ALPN is not spoken. */
  readonly alpn: readonly string[];
  /** Whose certificates of the other side are good; null: the other side is not asked for one. */
  readonly verify: TlsVerify | null;
}

export interface TlsVerify {
  /** From `trust`. */
  readonly trust: number;
  /**
   * `require`: no connection without a good certificate. `request`: a missing or a bad one is for the caller to judge
   * (`verifyResult`). A server's certificate is always required.
   */
  readonly mode: 'require' | 'request';
}

/** Whom a connection to a server is for. */
export interface TlsPeer {
  /** The host that is asked for by SNI; an address, which is never sent (RFC 6066 section 3), and '' for none. */
  readonly serverName: string;
  /** The server's certificate must be for one of these; none: for anybody. */
  readonly names: readonly PeerName[];
}

/** A host (`*.a.example` stands for itself), an address, or a URI as it stands. */
export interface PeerName {
  readonly type: 'Hostname' | 'URI';
  readonly value: string;
}

/** Why an operation gave TLS_FAILED. */
export interface TlsFailure {
  /** OpenSSL's words, in lower case: `certificate verify failed`, `no shared cipher`. */
  readonly reason: string;
  /** Of the other side's certificate (X509_V_ERR_*), 0 when that is not what failed. */
  readonly verify: number;
  /** The alert that the other side sent (RFC 8446 section 6), 0 for none. */
  readonly alert: number;
}

export interface TlsIo {
  // ---- what connections are made of: by number, until they are dropped; connections keep what they use
  /** Throws NativeError for settings that OpenSSL refuses: they are checked before. */
  serverContext(settings: TlsSettings): number;
  /** `certificate`: what servers that ask are shown, kept by the context; 0 for none. */
  clientContext(settings: TlsSettings, certificate: number): number;
  dropContext(context: number): void;
  /**
   * `chain`: the certificate and those that lead to its root, DER. `key`: PKCS#8, PKCS#1 or SEC 1. Parsed at first use.
   */
  certificate(chain: readonly Uint8Array[], key: Uint8Array): number;
  dropCertificate(certificate: number): void;
  /** Names of hosts that a certificate is for (subjectAltName), lower case; none for what cannot be read. */
  hostsOf(certificate: number): readonly string[];
  /** Certificates of authorities and lists of revoked ones, DER. Throws NativeError for what cannot be read. */
  trust(authorities: readonly Uint8Array[], revoked: readonly Uint8Array[]): number;
  dropTrust(trust: number): void;
  /**
   * Keys of tickets for all server contexts, TICKET_KEY_BYTES each: the first is issued with, all are accepted. None:
   * no tickets.
   */
  setTicketKeys(keys: readonly Uint8Array[]): void;

  // ---- connections; the socket stays the caller's
  /** A connection of a client. -ENOMEM when there is no memory. */
  accept(context: number, socket: Handle): Tls;
  /** A connection to a server, whose certificate must be trusted and for `peer`. */
  connect(context: number, socket: Handle, peer: TlsPeer): Tls;
  /** Shows `certificate`; one of each kind of key. 0, or TLS_FAILED when the two do not belong together. */
  use(tls: Tls, certificate: number): number;
  /** The OCSP response to show, DER, when the client asks for one. */
  staple(tls: Tls, response: Uint8Array): void;
  /** What a session is bound to: SESSION_CONTEXT_BYTES; a ticket of another binding is not taken. */
  bind(tls: Tls, context: Uint8Array): void;
  /**
   * The name of the ticket's key that the client offers, TICKET_NAME_BYTES; whatever key is first, this one is accepted
   * for it. Whether it is known: then `handshakeWith` may give TLS_ASKS, and only then the connection needs its
   * certificates (`use`, `staple`), for a session that is taken up shows none (RFC 8446 section 2.2).
   */
  offered(tls: Tls, ticketName: Uint8Array): boolean;
  /** 1 when the connection stands, -EAGAIN, -EINPROGRESS to be asked in the next turn, -errno or TLS_FAILED. */
  handshake(tls: Tls): number;
  /**
   * The first `handshake` of a connection of a client, of whose socket mem[offset..+length) was read already: the
   * ClientHello, and what came behind it (early data, say, which is skipped: RFC 8446 section 4.2.10).
   */
  handshakeWith(tls: Tls, offset: number, length: number): number;
  /** At once behind TLS_ASKS and `use`, or `close`: goes on with it. */
  handshakeOn(tls: Tls): number;
  /** Bytes read into mem[offset..], 0 at the end in order, -EAGAIN, -errno or TLS_FAILED. */
  recv(tls: Tls, offset: number, length: number): number;
  /**
   * Behind a `recv` that gave bytes, and behind the `handshake` that made the connection stand: whether that is known
   * to have been all there was, in TLS and in the socket, so that what comes later is told of by an event.
   */
  emptied(tls: Tls): boolean;
  /** Bytes of mem[offset..] taken, as `recv`. After -EAGAIN the same bytes come first in the next call. */
  send(tls: Tls, offset: number, length: number): number;
  /** Says close_notify, behind which nothing is sent: 0, -EAGAIN to be called again, -errno or TLS_FAILED. */
  shutdown(tls: Tls): number;
  /** Frees the connection. */
  close(tls: Tls): void;

  // ---- sessions of connections to servers, to be taken up by the next one
  /**
   * The session of a connection that stands, 0 when it cannot be taken up again. After the first answer: a ticket of
   * TLS 1.3 comes late.
   */
  session(tls: Tls): number;
  /** Before the handshake: offers the session of an earlier connection. */
  resume(tls: Tls, session: number): void;
  dropSession(session: number): void;
  /** How many are kept. */
  readonly sessions: number;

  // ---- what is known of a connection that stands
  version(tls: Tls): TlsVersion;
  /** As IANA writes it. */
  cipher(tls: Tls): string;
  resumed(tls: Tls): boolean;
  /** '' when none was agreed on. */
  alpn(tls: Tls): string;
  /** X509_V_OK 0, or what is wrong with the other side's certificate. */
  verifyResult(tls: Tls): number;
  /** SHA-256 of the other side's certificate in hexadecimal digits, '' when it showed none. */
  peerFingerprint(tls: Tls): string;
  /** The other side's certificate, DER; empty when it showed none, or one that is too large. */
  peerCertificate(tls: Tls): Uint8Array;
  /** Of the last TLS_FAILED. */
  readonly failure: TlsFailure;

  /** What is alive: for metrics, and for tests that nothing leaks. */
  readonly counts: TlsCounts;
}

export interface TlsCounts {
  readonly connections: number;
  readonly contexts: number;
  readonly sessions: number;
  readonly certificates: number;
  /** Of these, how many are parsed. */
  readonly parsed: number;
}
