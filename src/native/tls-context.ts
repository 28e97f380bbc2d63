// Contexts: what connections of equal settings share (SSL_CTX). There is one for each distinct set of settings, however
// many listeners and backends have them; certificates are put on each connection, so that a name costs nothing here.

import { LIMITS } from '../base/limits.ts';
import { TICKET_KEY_BYTES, TICKET_NAME_BYTES, TLS_VERSION, type TlsSettings } from '../io/tls.ts';
import { callbackAddress, view } from './ffi.ts';
import * as ssl from './openssl.ts';
import { errorText, TlsError, type TlsMemory, takeError } from './tls-memory.ts';
import type { TlsStore } from './tls-store.ts';

interface Context {
  readonly pointer: number;
  readonly server: boolean;
}

export class TlsContexts {
  readonly #memory: TlsMemory;
  readonly #store: TlsStore;
  readonly #contexts = new Map<number, Context>();
  /** Lists of protocols (RFC 7301 section 3.1) in the arena, their length in front. */
  readonly #lists = new Map<string, number>();
  /** All that are in them. */
  readonly #protocols = new Set<string>();
  #ticketKeys: readonly Uint8Array[] = [];
  #next = 1;

  constructor(memory: TlsMemory, store: TlsStore) {
    this.#memory = memory;
    this.#store = store;
  }

  get size(): number {
    return this.#contexts.size;
  }

  /** SSL_CTX, 0 when it is not known. */
  pointer(context: number): number {
    return this.#contexts.get(context)?.pointer ?? 0;
  }

  /** `certificate`: what a client shows; 0 for none. */
  add(settings: TlsSettings, server: boolean, certificate = 0): number {
    const pointer = ssl.ctxNew(server ? ssl.tlsServerMethod() : ssl.tlsClientMethod());
    if (pointer === 0) throw new TlsError('SSL_CTX_new', errorText(takeError()));
    try {
      this.#configure(pointer, settings);
      if (settings.verify !== null) this.#verify(pointer, settings.verify.trust, server, settings.verify.mode);
      if (settings.alpn.length > 0) this.#speak(pointer, server, settings.alpn);
      if (certificate !== 0) this.#show(pointer, certificate);
    } catch (error) {
      ssl.ctxFree(pointer);
      throw error;
    }
    const id = this.#next++;
    this.#contexts.set(id, { pointer, server });
    if (server) {
      // A client that is gone without close_notify need not be told (RFC 8446 section 6.1): an alert to where nobody
      // listens is a segment, and the other side's reset, for nothing. Which end it was, tls.ts asks the socket.
      ssl.ctxSetOptions(pointer, ssl.OP.IGNORE_UNEXPECTED_EOF);
      this.#giveTickets(pointer);
      // A response that was put on a connection is only sent where a callback answers "go on" (SSL_TLSEXT_ERR_OK).
      ssl.ctxCallbackCtrl(pointer, ssl.CTRL.SET_STATUS_CB, ssl.alwaysZero());
    }
    return id;
  }

  drop(id: number): void {
    const context = this.#contexts.get(id);
    if (context === undefined) return;
    this.#contexts.delete(id);
    ssl.ctxFree(context.pointer);
  }

  #configure(pointer: number, settings: TlsSettings): void {
    const { CTRL, OP } = ssl;
    ssl.ctxCtrl(pointer, CTRL.MODE, ssl.MODE, 0);
    ssl.ctxCtrl(pointer, CTRL.SET_READ_AHEAD, 1, 0);
    ssl.ctxCtrl(pointer, CTRL.SET_SESS_CACHE_MODE, 0, 0);
    ssl.ctxSetOptions(pointer, OP.NO_RENEGOTIATION + OP.CIPHER_SERVER_PREFERENCE + OP.NO_COMPRESSION);
    const min = TLS_VERSION[settings.minVersion];
    this.#must('minimum version', ssl.ctxCtrl(pointer, CTRL.SET_MIN_PROTO_VERSION, min, 0));
    const max = TLS_VERSION[settings.maxVersion];
    this.#must('maximum version', ssl.ctxCtrl(pointer, CTRL.SET_MAX_PROTO_VERSION, max, 0));
    const { ciphers, suites } = settings;
    if (ciphers !== '') this.#must('ciphers', ssl.ctxSetCipherList(pointer, this.#memory.putText(ciphers)));
    if (suites !== '') this.#must('suites', ssl.ctxSetCiphersuites(pointer, this.#memory.putText(suites)));
  }

  #show(pointer: number, certificate: number): void {
    const made = this.#store.get(certificate);
    if (made === null) throw new TlsError('certificate', errorText(takeError()));
    this.#must('certificate', ssl.ctxUseCertAndKey(pointer, made.x509, made.pkey, made.stack, 1));
  }

  #verify(pointer: number, trust: number, server: boolean, mode: 'require' | 'request'): void {
    const { NONE, PEER, FAIL_IF_NO_PEER_CERT } = ssl.VERIFY;
    ssl.ctxSet1CertStore(pointer, this.#store.trust(trust));
    // Whoever is named is an anchor, root or not (apis/v1 FrontendTLSValidation, BackendTLSPolicyValidation).
    ssl.paramSetFlags(ssl.ctxGet0Param(pointer), ssl.PARTIAL_CHAIN);
    const required = server ? PEER | FAIL_IF_NO_PEER_CERT : PEER;
    // getpagesize() answers something that is not zero whatever it is asked: the connection goes on, and what is wrong
    // with the certificate stays to be read.
    if (mode === 'require') {
      ssl.ctxSetVerify(pointer, required, 0);
      if (server) this.#name(pointer, trust);
    } else ssl.ctxSetVerify(pointer, server ? PEER : NONE, ssl.alwaysTrue());
  }

  /**
   * Clients are told of which authorities their certificate may be (RFC 8446 section 4.2.4): who has several then shows
   * the right one, or asks its user about no other. Of more than fit it is left open.
   */
  #name(pointer: number, trust: number): void {
    const authorities = ssl.storeGet1AllCerts(this.#store.trust(trust));
    if (authorities === 0) return;
    const all = Array.from({ length: ssl.stackSize(authorities) }, (_, i) => ssl.stackValue(authorities, i));
    ssl.stackFree(authorities);
    const bytes = all.reduce((sum, x509) => sum + ssl.i2dX509Name(ssl.x509SubjectName(x509), 0), 0);
    for (const x509 of all) {
      if (bytes <= LIMITS.TLS_AUTHORITY_NAMES_BYTES) ssl.ctxAddClientCa(pointer, x509);
      ssl.x509Free(x509);
    }
  }

  /**
   * Offers `alpn`. The list stays as long as the process: a connection whose context was dropped may still ask for it,
   * and there are as few lists as protocols.
   */
  #speak(pointer: number, server: boolean, alpn: readonly string[]): void {
    const list = listOf(alpn);
    const text = alpn.join(' ');
    for (const name of alpn) this.#protocols.add(name);
    let at = this.#lists.get(text);
    if (at === undefined) {
      const { io } = this.#memory;
      at = io.alloc(LENGTH_BYTES + list.length);
      if (at < 0) throw new TlsError('ALPN', 'no memory');
      new DataView(io.mem.buffer, io.mem.byteOffset).setUint32(at, list.length, true);
      io.mem.set(list, at + LENGTH_BYTES);
      this.#lists.set(text, at);
    }
    const address = this.#memory.io.arena.base + at;
    if (server) ssl.ctxSetAlpnSelectCb(pointer, alpnCallback(), address);
    // The one function of OpenSSL that answers 0 for success.
    else this.#must('ALPN', ssl.ctxSetAlpnProtos(pointer, address + LENGTH_BYTES, list.length) === 0 ? 1 : 0);
  }

  /** The protocol that stands at an address OpenSSL gave; '' for none. */
  protocolAt(address: number, length: number): string {
    if (address === 0 || length === 0 || length > 255) return '';
    const { io, room } = this.#memory;
    this.#memory.copy(address, length);
    for (const name of this.#protocols) if (isAt(io.mem, room, length, name)) return name;
    return Buffer.from(this.#memory.bytes(length)).toString('latin1');
  }

  // ---- tickets

  setTicketKeys(keys: readonly Uint8Array[]): void {
    this.#ticketKeys = keys.map((key) => key.slice());
    for (const { pointer, server } of this.#contexts.values()) if (server) this.#giveTickets(pointer);
  }

  /** Which key has this name, -1 for none. */
  ticketKeyOf(name: Uint8Array): number {
    const keys = this.#ticketKeys;
    for (let i = 0; i < keys.length; i++) if (isCalled(keys[i] as Uint8Array, name)) return i;
    return -1;
  }

  #giveTickets(pointer: number): void {
    const tickets = this.#ticketKeys.length > 0;
    if (tickets) {
      ssl.ctxClearOptions(pointer, ssl.OP.NO_TICKET);
      this.putTicketKey(pointer, 0);
    } else ssl.ctxSetOptions(pointer, ssl.OP.NO_TICKET);
    ssl.ctxSetNumTickets(pointer, tickets ? 1 : 0);
  }

  /** Makes key `index` the one that the context issues and takes. */
  putTicketKey(pointer: number, index: number): void {
    const key = this.#ticketKeys[index];
    if (key === undefined) return;
    const address = this.#memory.put(key);
    ssl.ctxCtrl(pointer, ssl.CTRL.SET_TICKET_KEYS, TICKET_KEY_BYTES, address);
    this.#memory.wipe(TICKET_KEY_BYTES);
  }

  #must(what: string, result: number): void {
    if (result !== 1) throw new TlsError(what, errorText(takeError()));
  }

  dispose(): void {
    for (const id of [...this.#contexts.keys()]) this.drop(id);
    for (const at of this.#lists.values()) this.#memory.io.free(at);
  }
}

/** Whether mem[at..+length) is `text`, which is ASCII. */
function isAt(mem: Uint8Array, at: number, length: number, text: string): boolean {
  if (text.length !== length) return false;
  for (let i = 0; i < length; i++) if (mem[at + i] !== text.charCodeAt(i)) return false;
  return true;
}

/** Whether the ticket key begins with `name`, which is no secret (RFC 5077 section 4). */
function isCalled(key: Uint8Array, name: Uint8Array): boolean {
  for (let i = 0; i < TICKET_NAME_BYTES; i++) if (key[i] !== name[i]) return false;
  return true;
}

/** In front of a list of protocols stands its length: the callback is given one address. */
const LENGTH_BYTES = 4;

function listOf(alpn: readonly string[]): Uint8Array {
  return Buffer.concat(alpn.map((name) => Buffer.from([name.length, ...Buffer.from(name, 'latin1')])));
}

let alpnAddress = 0;

/**
 * The function that OpenSSL asks for a protocol (SSL_CTX_set_alpn_select_cb): (ssl, out, outLength, in, inLength,
 * list). The choice itself is OpenSSL's; without overlap the client is told so (RFC 7301 section 3.2).
 */
function alpnCallback(): number {
  if (alpnAddress === 0) {
    alpnAddress = callbackAddress('RautaAlpn', (_ssl, out, outLength, offered, offeredLength, list) => {
      const length = new DataView(view(list as number, LENGTH_BYTES)).getUint32(0, true);
      const chosen = ssl.selectNextProto(
        out as number,
        outLength as number,
        (list as number) + LENGTH_BYTES,
        length,
        offered as number,
        offeredLength as number,
      );
      return chosen === ssl.ALPN.NEGOTIATED ? ssl.ALPN.OK : ssl.ALPN.ALERT_FATAL;
    });
  }
  return alpnAddress;
}
