// Certificates for tests, made on the spot: an authority and what it signs (RFC 5280, ECDSA P-256), as PEM.

import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { isIP } from 'node:net';

export interface Certificate {
  readonly cert: string;
  readonly key: string;
}
export interface Authority extends Certificate {
  /** For a server that is called so (host names or IPv4 addresses), or for a client. */
  issue(name: string, more?: { names?: readonly string[]; client?: boolean }): Certificate;
}

const DAY_MS = 86_400_000;

function tlv(tag: number, ...parts: readonly (Uint8Array | readonly number[])[]): Buffer {
  const body = Buffer.concat(parts.map((p) => Uint8Array.from(p)));
  const n = body.length;
  const length = n < 128 ? [n] : n < 256 ? [0x81, n] : [0x82, n >> 8, n & 255];
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
}
const seq = (...parts: readonly (Uint8Array | readonly number[])[]): Buffer => tlv(0x30, ...parts);

function oid(text: string): Buffer {
  const [a = 0, b = 0, ...rest] = text.split('.').map(Number);
  const bytes = [a * 40 + b];
  for (const value of rest) {
    const digits = [value & 127];
    for (let x = value >> 7; x > 0; x >>= 7) digits.unshift((x & 127) | 128);
    bytes.push(...digits);
  }
  return tlv(6, bytes);
}

const ECDSA_SHA256 = seq(oid('1.2.840.10045.4.3.2'));
const nameOf = (cn: string): Buffer => seq(tlv(0x31, seq(oid('2.5.4.3'), tlv(12, Buffer.from(cn)))));
const time = (ms: number): Buffer =>
  tlv(0x17, Buffer.from(`${new Date(ms).toISOString().replace(/[-:T]/g, '').slice(2, 14)}Z`));
const extension = (id: string, value: Uint8Array): Buffer => seq(oid(id), tlv(4, value));

interface Issuer {
  readonly name: Buffer;
  readonly key: KeyObject;
}

function certificate(cn: string, publicKey: KeyObject, issuer: Issuer, extensions: readonly Buffer[]): string {
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const serial = randomBytes(8);
  serial[0] = 1;
  const now = Date.now();
  const body = seq(
    tlv(0xa0, tlv(2, [2])),
    tlv(2, serial),
    ECDSA_SHA256,
    issuer.name,
    seq(time(now - DAY_MS), time(now + DAY_MS)),
    nameOf(cn),
    spki,
    tlv(0xa3, seq(...extensions, extension('2.5.29.14', tlv(4, createHash('sha1').update(spki).digest())))),
  );
  const der = seq(body, ECDSA_SHA256, tlv(3, [0], sign('sha256', body, issuer.key)));
  const lines = (der.toString('base64').match(/.{1,64}/g) ?? []).join('\n');
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
}

const pair = (): { publicKey: KeyObject; privateKey: KeyObject } =>
  generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
const pem = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }) as string;

export function authority(cn: string): Authority {
  const { publicKey, privateKey } = pair();
  const issuer = { name: nameOf(cn), key: privateKey };
  return {
    cert: certificate(cn, publicKey, issuer, [extension('2.5.29.19', seq(tlv(1, [255])))]),
    key: pem(privateKey),
    issue: (name, { names = [name], client = false } = {}) => {
      const keys = pair();
      const alternative = names.map((n) =>
        isIP(n) === 4 ? tlv(0x87, n.split('.').map(Number)) : tlv(0x82, Buffer.from(n)),
      );
      const extensions = [
        extension('2.5.29.37', seq(oid(`1.3.6.1.5.5.7.3.${client ? 2 : 1}`))),
        ...(client ? [] : [extension('2.5.29.17', seq(...alternative))]),
      ];
      return { cert: certificate(name, keys.publicKey, issuer, extensions), key: pem(keys.privateKey) };
    },
  };
}
