// TLS of the connections to one endpoint: begins each, takes up the session of the one before, and knows what the last
// one failed for.

import { LIMITS } from '../../base/limits.ts';
import { ERRNO, type Handle } from '../../io/io.ts';
import { TLS_SILENCE, TLS_VERSION, type TlsFailure } from '../../io/tls.ts';
import type { ClientTls } from '../../ir/ir.ts';
import { BACKEND_TLS, type BackendTlsError, backendTlsCell, handshakeCell, limitCell } from '../../telemetry/layout.ts';
import type { Core } from '../core.ts';
import type { Wire } from '../transport/wire.ts';
import type { TlsClient, TlsTable } from './table.ts';
import { TlsWire, type TlsWireOwner } from './wire.ts';

/** X509_V_ERR_* of openssl/x509_vfy.h that say which: a number stands for itself within OpenSSL 3. */
const VERIFY: Readonly<Record<number, BackendTlsError>> = {
  2: 'TLS_UNKNOWN_CA',
  9: 'TLS_CERT_NOT_YET_VALID',
  10: 'TLS_CERT_EXPIRED',
  18: 'TLS_UNKNOWN_CA',
  19: 'TLS_UNKNOWN_CA',
  20: 'TLS_UNKNOWN_CA',
  21: 'TLS_UNKNOWN_CA',
  23: 'TLS_CERT_REVOKED',
  62: 'TLS_HOSTNAME',
  64: 'TLS_HOSTNAME',
};
/** Alerts that a server sends (RFC 8446 section 6.2): those about certificates are about ours. */
const ALERT_VERSION = 70;
const ALERT_NO_PROTOCOL = 120;
const CERTIFICATE_ALERTS: readonly number[] = [41, 42, 43, 44, 45, 46, 48, 49, 116];

const TURN_LIMIT = limitCell('TLS_HANDSHAKES_PER_TURN');
const SILENCE_LIMIT = limitCell('TLS_SILENT_BYTES');

/** What connections are secured by, as asked for and as made of it, and where it is given back. */
export interface Secured {
  readonly table: TlsTable;
  readonly tls: ClientTls;
  readonly client: TlsClient;
}

export class TlsDialer implements TlsWireOwner {
  readonly #core: Core;
  readonly #secured: Secured;
  #client: TlsClient;
  /** It has a use of `#client`. */
  #holds = false;
  /** To be taken up by the next connection; 0 for none. */
  #session = 0;
  #sessionMs = 0;
  /** What the connection that stood last agreed on by ALPN; '' for nothing. */
  alpn = '';
  /** What the last connection failed for; null since one stands. */
  error: BackendTlsError | null = null;
  #errorTurn = -1;

  constructor(core: Core, secured: Secured) {
    this.#core = core;
    this.#secured = secured;
    this.#client = secured.client;
  }

  /** Connections will be begun, until `release`. */
  hold(): void {
    if (this.#holds) return;
    this.#holds = true;
    this.#client.uses++;
  }

  /** None is begun any more. */
  release(): void {
    if (!this.#holds) return;
    this.#holds = false;
    this.#dropSession();
    this.#secured.table.releaseClient(this.#client);
  }

  /**
   * Somebody comes back to an endpoint that had been left: by what is asked for, as it stands now, or as it stood while
   * that is kept for those who began before.
   */
  #holdAgain(): boolean {
    const { table, tls, client } = this.#secured;
    try {
      this.#client = table.acquireClient(tls);
    } catch {
      if (client.uses === 0) return false;
      client.uses++;
      this.#client = client;
    }
    this.#holds = true;
    return true;
  }

  /** TLS over `socket`, which connects (or stands); -errno when it cannot be had: the socket stays the caller's. */
  wire(socket: Handle, connecting = true): TlsWire | number {
    if (!this.#holds && !this.#holdAgain()) return -ERRNO.EINVAL;
    const { io, context, peer } = this.#client;
    const tls = io.connect(context, socket, peer);
    if (tls < 0) return tls;
    if (this.#session !== 0 && this.#core.io.nowMs - this.#sessionMs < LIMITS.TLS_SESSION_MS) {
      io.resume(tls, this.#session);
    }
    return new TlsWire(this.#core.io, io, tls, socket, this, true, connecting);
  }

  /** What a connection failed for in the turn that is under way; null when none did. */
  get errorNow(): BackendTlsError | null {
    return this.#errorTurn === this.#core.shared.turn ? this.error : null;
  }

  /** The time of a connection on its way is over, which is TLS's when its handshake was under way. */
  timedOut(wire: Wire): void {
    if (wire instanceof TlsWire && wire.connected) this.#note('TLS_TIMEOUT');
    else this.#errorTurn = -1;
  }

  // ---- for wires

  mayGoOn(): boolean {
    const { shared, cells } = this.#core;
    if (this.#secured.table.mayShake(shared.turn)) return true;
    cells.add(TURN_LIMIT, 1);
    return false;
  }

  left(): void {}

  established({ tls }: TlsWire): void {
    const { io } = this.#client;
    const tls13 = TLS_VERSION[io.version(tls)] === TLS_VERSION['TLSv1.3'];
    this.#core.cells.add(handshakeCell('upstream', tls13, io.resumed(tls)), 1);
    this.alpn = io.alpn(tls);
    this.error = null;
  }

  failed({ connected }: TlsWire, errno: number): void {
    if (errno === 0) this.#note(errorOf(this.#client.io.failure));
    else if (connected) this.#note(errno === ERRNO.ETIMEDOUT ? 'TLS_TIMEOUT' : 'TLS_CLOSED');
    else this.#errorTurn = -1;
  }

  /** By now the server has sent its tickets, which come behind the handshake (RFC 8446 section 4.6.1). */
  heard({ tls }: TlsWire): void {
    const { io } = this.#client;
    if (this.#session === 0 && io.sessions >= LIMITS.TLS_SESSIONS) return;
    const session = io.session(tls);
    if (session === 0) return;
    this.#dropSession();
    this.#session = session;
    // One that was taken up brings the next: the time counts from when a certificate was looked at.
    if (!io.resumed(tls)) this.#sessionMs = this.#core.io.nowMs;
  }

  /** With TLS 1.3 a server says only now that it does not take our certificate. */
  broke(): void {
    const { failure } = this.#client.io;
    if (failure.reason === TLS_SILENCE) this.#core.cells.add(SILENCE_LIMIT, 1);
    const error = errorOf(failure);
    if (error !== 'TLS_CLOSED') this.#note(error);
  }

  #note(error: BackendTlsError): void {
    this.error = error;
    this.#errorTurn = this.#core.shared.turn;
    this.#core.cells.add(backendTlsCell(error), 1);
  }

  #dropSession(): void {
    if (this.#session !== 0) this.#client.io.dropSession(this.#session);
    this.#session = 0;
  }
}

function errorOf({ verify, alert, reason }: TlsFailure): BackendTlsError {
  if (alert === ALERT_VERSION || reason.includes('unsupported protocol')) return 'TLS_VERSION';
  if (alert === ALERT_NO_PROTOCOL) return 'TLS_NO_PROTOCOL';
  if (CERTIFICATE_ALERTS.includes(alert)) return 'TLS_CLIENT_CERT';
  if (alert !== 0) return 'TLS_REFUSED';
  if (verify !== 0) return VERIFY[verify] ?? 'TLS_CERT_INVALID';
  if (reason.includes('unexpected eof')) return 'TLS_CLOSED';
  // What an HTTP server answers to a ClientHello is no record.
  if (reason.includes('wrong version number') || reason.includes('packet length')) return 'TLS_NOT_TLS';
  return BACKEND_TLS.at(-1) as BackendTlsError;
}
