// What an authorization server is asked about a request: a request of its own, in the arena. What it is told are the
// fields that a backend would get, before the rule's edits: what is not believed of a client is not told.

import { bytesOf, put, textOf } from '../../base/bytes.ts';
import { LIMITS } from '../../base/limits.ts';
import type { AuthSubrequest, ExternalAuth } from '../../ir/ir.ts';
import type { Core } from '../core.ts';
import { BlockRequest } from '../exchange/block-request.ts';
import type { About } from '../exchange/decision.ts';
import { FORWARDED_BYTES, putForwarded } from '../exchange/forwarded.ts';
import { FIELD, FieldTable, SCANNED } from '../field-table.ts';
import { isEditable } from '../filter/field-edits.ts';
import { putTarget, targetBound } from '../filter/path-edit.ts';
import { BODY, type Head } from '../head.ts';
import { scanFields } from '../http1/scanner.ts';
import { copyFields } from '../lines.ts';
import { encodeCheckRequest } from './ext-authz.ts';
import { isLeftOut, type Original, originalLines, textOfParts } from './original.ts';

const CRLF = bytesOf('\r\n');
const NOTHING = new Uint8Array(0);
const VERSION = ' HTTP/1.1\r\n';
/** Always told over HTTP, besides Host, method, path and Content-Length (HTTPAuthConfig.allowedHeaders). */
const AUTHORIZATION = 'authorization';
/** Servers of auth-url look for whom it is about there. */
const REAL_IP = 'x-real-ip';
/** Names the call of gRPC, and bounds it. */
const CALL = 'POST /envoy.service.auth.v3.Authorization/Check HTTP/1.1\r\n';
const CALL_FIELDS =
  'content-type: application/grpc\r\nte: trailers\r\nuser-agent: rauta\r\n' +
  `grpc-timeout: ${LIMITS.EXTERNAL_AUTH_MS}m\r\n`;
/** In front of a message of gRPC: whether it is compressed, and its length. */
const PREFIX_BYTES = 5;
const VERSIONS: Readonly<Record<number, string>> = { 10: 'HTTP/1.0', 20: 'HTTP/2' };

/** Fields by lower-case name, in order. */
type Told = readonly (readonly [name: string, value: Uint8Array])[];

/** A request in one block of the arena, with a length. */
export class Question extends BlockRequest {
  /** `line` and `fields` (with their CRLF), then Content-Length and `body`; false when there is no memory. */
  write({ io, mem }: Core, line: Uint8Array, fields: Uint8Array, body: Uint8Array): boolean {
    const length = bytesOf(`Content-Length: ${body.length}\r\n`);
    const at = io.alloc(line.length + fields.length + length.length + CRLF.length + body.length);
    if (at < 0) return false;
    this.start = at;
    this.methodEnd = at + line.indexOf(0x20);
    this.fieldsStart = put(mem, at, line);
    this.linesEnd = put(mem, put(mem, this.fieldsStart, fields), length);
    this.bodyStart = put(mem, this.linesEnd, CRLF);
    this.end = put(mem, this.bodyStart, body);
    this.trailersEnd = this.end;
    this.length = body.length;
    return true;
  }
}

/** Writes questions; one for a worker. */
export class Questions {
  readonly #core: Core;
  readonly #table = new FieldTable();

  constructor(core: Core) {
    this.#core = core;
  }

  /** Where who is not known is sent; '' for nowhere. */
  signin({ subrequest }: ExternalAuth, head: Head, about: About): string {
    if (subrequest === undefined || subrequest.signin.length === 0) return '';
    const told = this.#told(head, about);
    return told === null ? '' : textOfParts(subrequest.signin, this.#original(head, about, told));
  }

  /** The question about the request in `head`; null when there is no memory. `authority`: of a call of gRPC. */
  about(entry: ExternalAuth, authority: string, head: Head, about: About): Question | null {
    const told = this.#told(head, about);
    if (told === null) return null;
    const { mem } = this.#core;
    const body = mem.slice(about.contentStart, about.contentEnd);
    const question = new Question();
    const { protocol, subrequest } = entry;
    const made =
      subrequest !== undefined
        ? this.#fixed(question, subrequest, this.#original(head, about, told), told, about.client)
        : protocol === 'http'
          ? this.#http(question, entry, head, told, body)
          : this.#grpc(question, entry, authority, head, about, told, body);
    return made ? question : null;
  }

  /** What a backend would be told, with the client as RAUTA tells of it; null when there is no memory. */
  #told(head: Head, { down, client, trusted, uuidAt }: About): Told | null {
    const { io, mem } = this.#core;
    const { certificate } = down;
    const bytes = head.end - head.start + FORWARDED_BYTES + 2 * client.length + 2 * down.client.length;
    const authority = 2 * (head.authorityEnd - head.authorityStart) + 2 * head.count + 64;
    const at = io.alloc(bytes + authority + (certificate === null ? 0 : certificate.length));
    if (at < 0) return null;
    let out = copyFields(mem, at, head);
    out = putForwarded(mem, out, head, down.client, trusted, down.secure, uuidAt, null);
    if (certificate !== null) out = put(mem, out, certificate);
    out = put(mem, out, CRLF);
    // What cannot be told whole is not asked: the server would decide about another request.
    const told = scanFields(mem, at, out, this.#table) === out ? this.#read() : null;
    io.free(at);
    return told;
  }

  #read(): Told {
    const { words } = this.#table;
    const { mem } = this.#core;
    const told: (readonly [string, Uint8Array])[] = [];
    for (let k = 0; k < (words[SCANNED.COUNT] as number); k++) {
      const word = (what: number): number => words[k * FIELD.WORDS + what] as number;
      const name = textOf(mem, word(FIELD.NAME_START), word(FIELD.NAME_END)).toLowerCase();
      // What frames the request, or asks for a tunnel, is not the question's; Host is told by itself.
      if (!isEditable('request', name)) continue;
      told.push([name, mem.slice(word(FIELD.VALUE_START), word(FIELD.VALUE_END))]);
    }
    return told;
  }

  #target(head: Head): string {
    const { io, mem } = this.#core;
    const at = io.alloc(targetBound(head, null));
    if (at < 0) return '';
    const target = textOf(mem, at, putTarget(mem, at, head, 0, null));
    io.free(at);
    return target;
  }

  /** As who is told hears of it: the scheme is that of a proxy that is believed, where it says one. */
  #original(head: Head, { down }: About, told: Told): Original {
    const { mem } = this.#core;
    const said = told.find(([name]) => name === 'x-forwarded-proto')?.[1];
    const scheme = said === undefined ? '' : utf8(said);
    return {
      method: textOf(mem, head.methodStart, head.methodEnd),
      scheme: scheme === 'https' || (down.secure && scheme !== 'http') ? 'https' : 'http',
      host: textOf(mem, head.authorityStart, head.authorityEnd),
      uri: this.#target(head),
    };
  }

  #fixed(
    question: Question,
    { method, host, target, ...rest }: AuthSubrequest,
    original: Original,
    told: Told,
    client: Uint8Array,
  ): boolean {
    const line = bytesOf(`${method} ${target}${VERSION}`);
    const parts: Uint8Array[] = [bytesOf(`Host: ${host}\r\n`)];
    for (const [name, value] of told) if (!isLeftOut(name)) parts.push(bytesOf(`${name}: `), value, CRLF);
    if (!told.some(([name]) => name === REAL_IP)) parts.push(bytesOf(`${REAL_IP}: `), client, CRLF);
    parts.push(Buffer.from(originalLines(rest.redirect, original), 'latin1'));
    return original.uri !== '' && question.write(this.#core, line, Buffer.concat(parts), NOTHING);
  }

  #http(question: Question, entry: ExternalAuth, head: Head, told: Told, body: Uint8Array): boolean {
    const { mem } = this.#core;
    const target = this.#target(head);
    const path = target.startsWith('/') || entry.path === '' ? `${entry.path}${target}` : `${entry.path}/${target}`;
    const line = Buffer.from(`${textOf(mem, head.methodStart, head.methodEnd)} ${path}${VERSION}`, 'latin1');
    const host = textOf(mem, head.authorityStart, head.authorityEnd);
    const allowed = new Set([AUTHORIZATION, ...entry.requestHeaders]);
    const parts: Uint8Array[] = [Buffer.from(`Host: ${host}\r\n`, 'latin1')];
    for (const [name, value] of told) {
      if (allowed.has(name)) parts.push(bytesOf(`${name}: `), value, CRLF);
    }
    return target !== '' && question.write(this.#core, line, Buffer.concat(parts), body);
  }

  #grpc(
    question: Question,
    entry: ExternalAuth,
    authority: string,
    head: Head,
    about: About,
    told: Told,
    body: Uint8Array,
  ): boolean {
    const { io, mem } = this.#core;
    const target = this.#target(head);
    const host = utf8(mem.subarray(head.authorityStart, head.authorityEnd));
    const method = textOf(mem, head.methodStart, head.methodEnd);
    const scheme = about.down.secure ? 'https' : 'http';
    const pseudo = { ':authority': host, ':method': method, ':path': target, ':scheme': scheme };
    const id = told.find(([name]) => name === 'x-request-id')?.[1];
    const size = head.body === BODY.NONE ? 0 : head.body === BODY.LENGTH ? head.contentLength : -1;
    const message = encodeCheckRequest({
      client: textOf(about.client),
      timeMs: io.wallMs - (io.nowUs - about.down.requestUs) / 1000,
      id: id === undefined ? '' : utf8(id),
      method,
      headers: merged(entry.requestHeaders, pseudo, told),
      path: target,
      host,
      scheme,
      size: body.length > 0 ? body.length : size,
      protocol: VERSIONS[head.version] ?? 'HTTP/1.1',
      body,
    });
    const framed = new Uint8Array(PREFIX_BYTES + message.length);
    new DataView(framed.buffer).setUint32(1, message.length);
    framed.set(message, PREFIX_BYTES);
    const fields = bytesOf(`Host: ${authority}\r\n${CALL_FIELDS}`);
    return target !== '' && question.write(this.#core, bytesOf(CALL), fields, framed);
  }
}

/**
 * All of them when none are named (GRPCAuthConfig.allowedHeaders); those of one name are one (RFC 9110 section 5.2).
 */
function merged(names: readonly string[], pseudo: Readonly<Record<string, string>>, told: Told): Map<string, string> {
  const headers = new Map<string, string>();
  if (names.length === 0) for (const [name, value] of Object.entries(pseudo)) headers.set(name, value);
  for (const [name, value] of told) {
    if (names.length > 0 && !names.includes(name)) continue;
    const before = headers.get(name);
    const text = utf8(value);
    headers.set(name, before === undefined ? text : `${before}${name === 'cookie' ? '; ' : ','}${text}`);
  }
  return headers;
}

/** What is not UTF-8 cannot stand in a message as it is. */
function utf8(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8');
}
