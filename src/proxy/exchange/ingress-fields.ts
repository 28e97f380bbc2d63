// What backends of an Ingress are told of the client besides the fields of forwarded.ts: those that ingress-nginx tells
// them, since their programs were set up for it (docs/reference/forwarded.md).

import { bytesOf, equalLowerAt, put, putDecimal, textOf, viewOf } from '../../base/bytes.ts';
import { Fragment } from '../../telemetry/fragment.ts';
import { type Head, NAME, SCHEME } from '../head.ts';
import { goesOn } from './forwarded.ts';

const REAL_IP = new Fragment('X-Real-IP: ');
const PORT = new Fragment('X-Forwarded-Port: ');
const FORWARDED_SCHEME = new Fragment('X-Forwarded-Scheme: ');
const SCHEME_FIELD = new Fragment('X-Scheme: ');
const CRLF = bytesOf('\r\n');
const HTTP = bytesOf('http');
const HTTPS = bytesOf('https');
const [FORWARDED_SCHEME_NAME, SCHEME_NAME] = ['x-forwarded-scheme', 'x-scheme'].map(bytesOf) as [
  Uint8Array,
  Uint8Array,
];
const PORT_DIGITS = 5;

/** Most bytes that `putIngressFields` writes, besides the client's address. */
export const INGRESS_BYTES =
  REAL_IP.length +
  PORT.length +
  PORT_DIGITS +
  FORWARDED_SCHEME.length +
  SCHEME_FIELD.length +
  2 * HTTPS.length +
  4 * 2 +
  8;

/**
 * Writes them at mem[at..], each unless a trusted proxy has said it; returns the offset behind. `client`: as the log
 * has it. `port`: of the listener, as its Gateway writes it.
 */
export function putIngressFields(
  mem: Uint8Array,
  at: number,
  head: Head,
  client: Uint8Array,
  trusted: boolean,
  secure: boolean,
  port: number,
): number {
  const view = viewOf(mem);
  const https = isHttps(mem, head, trusted, secure);
  let out = at;
  if (!trusted || !goesOn(head, NAME.X_REAL_IP)) out = put(mem, put(mem, REAL_IP.put(view, out), client), CRLF);
  if (!trusted || !goesOn(head, NAME.X_FORWARDED_PORT)) {
    // Where TLS ended in front, the port of our socket is nobody's.
    const asked = https === secure ? port : https ? 443 : 80;
    out = put(mem, putDecimal(mem, PORT.put(view, out), asked), CRLF);
  }
  const scheme = https ? HTTPS : HTTP;
  if (!trusted || !says(mem, head, FORWARDED_SCHEME_NAME)) {
    out = put(mem, put(mem, FORWARDED_SCHEME.put(view, out), scheme), CRLF);
  }
  if (trusted && says(mem, head, SCHEME_NAME)) return out;
  return put(mem, put(mem, SCHEME_FIELD.put(view, out), scheme), CRLF);
}

/** The scheme that X-Forwarded-Proto goes on with. */
function isHttps(mem: Uint8Array, head: Head, trusted: boolean, secure: boolean): boolean {
  const field = trusted ? head.find(NAME.X_FORWARDED_PROTO) : -1;
  if (field < 0) return secure || head.scheme === SCHEME.HTTPS;
  return textOf(mem, head.valueStart(field), head.valueEnd(field)).toLowerCase() === 'https';
}

function says(mem: Uint8Array, head: Head, name: Uint8Array): boolean {
  for (let i = 0; i < head.count; i++) {
    if (head.dropped(i) || head.nameEnd(i) - head.nameStart(i) !== name.length) continue;
    if (equalLowerAt(mem, head.nameStart(i), name)) return true;
  }
  return false;
}
