// What must not be told, in each of its forms, and the places where it could be found.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { secretsOf } from '../../src/base/key-lines.ts';
import { TICKET_KEY_BYTES, TICKET_NAME_BYTES } from '../../src/io/tls.ts';
import { ticketKeysOf } from '../../src/keeper/keys-file.ts';
import { type Leaf, pem } from '../../tools/certificates.ts';
import { childrenOf, type Rauta } from './support.ts';

/** Letters of a Base64 text that are looked for. */
export const LINE = 40;
export const SECRET_BYTES = 32;

/** Pieces of 32 secret bytes in the forms that they may have: as they are, hexadecimal, Base64 at each alignment. */
function formsOf(secret: Buffer): readonly Buffer[] {
  assert.equal(secret.length, SECRET_BYTES);
  const bytes = [...secret].join(',');
  const text = [secret.toString('hex'), secret.toString('hex').toUpperCase(), bytes, bytes.replaceAll(',', ', ')];
  text.push(secret.toString('base64url').slice(0, LINE), secret.toString('latin1'));
  for (const skip of [0, 1, 2]) {
    // Three bytes are four letters: from each of three places, what lies wholly within the secret.
    text.push(
      secret
        .subarray(skip, skip + 30)
        .toString('base64')
        .slice(0, LINE),
    );
  }
  return [secret, Buffer.from(secret.toReversed()), ...text.map((one) => Buffer.from(one))];
}

/** The same of a private key: of its scalar, and lines of its PEM. */
export function formsOfKey(own: Leaf): readonly Buffer[] {
  const scalar = Buffer.from(own.key.export({ format: 'jwk' }).d as string, 'base64url');
  assert.ok(own.keyDer.indexOf(scalar) > 0);
  const lines = pem('X', own.keyDer).split('\n').slice(1, 3);
  return [...formsOf(scalar), ...lines.map((line) => Buffer.from(line))];
}

/** Of each secret of a keys file: its own forms, and those of what tickets are made with, but for the key's name. */
export function formsOfSecrets(text: string): readonly Buffer[] {
  const derived = ticketKeysOf(text);
  const forms: Buffer[] = [];
  for (const [i, secret] of secretsOf(text).entries()) {
    const key = derived.subarray(i * TICKET_KEY_BYTES + TICKET_NAME_BYTES, (i + 1) * TICKET_KEY_BYTES);
    for (const part of [secret.subarray(0, SECRET_BYTES), key.subarray(0, SECRET_BYTES), key.subarray(SECRET_BYTES)])
      forms.push(...formsOf(part));
  }
  return forms;
}

export function filesBelow(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

function tryRead(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch {
    return Buffer.alloc(0);
  }
}

/** Every page of the admin, and of each process what others may see of it, its shared memory too, by what it is. */
export async function seenOf(rauta: Rauta): Promise<Map<string, Buffer>> {
  const seen = new Map<string, Buffer>();
  const pages = (await rauta.ask('/')).body
    .trim()
    .split('\n')
    .map((line) => line.split(' ')[0] as string);
  for (const page of ['/', ...pages]) seen.set(page, Buffer.from((await rauta.ask(page)).body));
  seen.set('/ as HTML', Buffer.from((await rauta.ask('/', { accept: 'text/html' })).body));
  const children = childrenOf(rauta.process.pid as number);
  assert.ok(children.length >= 2, 'controller, workers');
  for (const pid of [rauta.process.pid as number, ...children.map((child) => child.pid)]) {
    for (const name of ['cmdline', 'environ', 'comm', 'status', 'maps'])
      seen.set(`${pid} ${name}`, tryRead(`/proc/${pid}/${name}`));
    for (const fd of readdirSync(`/proc/${pid}/fd`)) {
      const path = `/proc/${pid}/fd/${fd}`;
      const link = linkOf(path);
      // What several have is one.
      if (link.startsWith('/memfd:') || link.includes('(deleted)')) seen.set(`${link} ${inodeOf(path)}`, tryRead(path));
    }
    // What has the key in its memory must not leave that on a disk.
    assert.match(readFileSync(`/proc/${pid}/limits`, 'utf8'), /Max core file size +0 +0/, `core of ${pid}`);
  }
  return seen;
}

/** Nothing of a descriptor that was closed meanwhile. */
function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

function inodeOf(path: string): number {
  try {
    return statSync(path).ino;
  } catch {
    return 0;
  }
}

/** `source`: a text in which it stands, so that the search is known to find it. */
export function assertUntold(
  seen: ReadonlyMap<string, Buffer>,
  name: string,
  source: string,
  forms: readonly Buffer[],
): void {
  const whole = Buffer.from(source);
  assert.ok(
    forms.some((form) => whole.includes(form)),
    `${name} would be found`,
  );
  for (const [what, bytes] of seen) {
    for (const [i, form] of forms.entries()) assert.ok(!bytes.includes(form), `form ${i} of ${name} in ${what}`);
  }
}
