import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { LIMITS } from '../base/limits.ts';
import { Logger } from '../base/log.ts';
import { TICKET_KEY_BYTES } from '../io/tls.ts';
import { KeysFile, ticketKeysOf } from './keys-file.ts';

const secret = (bytes = 48): string => randomBytes(bytes).toString('base64');

test('each line is a key of its own, whoever reads it, and says nothing of the secret', () => {
  const [a, b] = [secret(), secret()];
  const keys = ticketKeysOf(`# replicas\n${a}\r\n\n${b}\n`);
  assert.equal(keys.length, 2 * TICKET_KEY_BYTES);
  assert.deepEqual(keys.subarray(0, TICKET_KEY_BYTES), ticketKeysOf(a));
  assert.deepEqual(keys.subarray(TICKET_KEY_BYTES), ticketKeysOf(b));
  assert.notDeepEqual(ticketKeysOf(a), ticketKeysOf(b));
  const bytes = Buffer.from(a, 'base64');
  for (let i = 0; i + 16 <= bytes.length; i++) assert.equal(keys.includes(bytes.subarray(i, i + 16)), false);
});

test('what is no key is said by its line, and not by its text', () => {
  for (const [text, expected] of [
    ['', /has no key/],
    ['# nothing\n', /has no key/],
    [`${secret()}\nsesame`, /line 2 is not the base64 of 32 bytes or more/],
    [secret(31), /line 1 is not/],
    ['-----BEGIN PRIVATE KEY-----', /line 1 is not/],
    [Array.from({ length: LIMITS.TLS_TICKET_KEYS + 1 }, () => secret()).join('\n'), /more than 8 keys/],
  ] as const) {
    assert.throws(() => ticketKeysOf(text), expected);
    assert.throws(
      () => ticketKeysOf(text),
      (error) => !(error as Error).message.includes('sesame'),
    );
  }
});

test('a file is read again once it stays as it is; one that cannot be used is said once and changes nothing', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'rauta-keys-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const said: string[] = [];
  const log = Logger.to(
    { write: (line) => void said.push(line), now: () => new Date(0) },
    { level: 'info', json: true },
  );
  const path = join(folder, 'keys');
  const file = new KeysFile(path, log);
  assert.equal(file.read(), null);
  assert.equal(file.problem, `--keys-file ${path}: ENOENT`);

  // A volume of Kubernetes: what the path leads to is another file.
  const put = (name: string, text: string): void => {
    writeFileSync(join(folder, name), text);
    symlinkSync(name, join(folder, 'new'));
    renameSync(join(folder, 'new'), path);
  };
  let now = 0;
  const look = (): Buffer | null => {
    now += LIMITS.TLS_FILES_MS;
    return file.look(now);
  };
  const one = secret();
  put('1', one);
  assert.equal(look(), null, 'it may still be written');
  assert.deepEqual(look(), ticketKeysOf(one));
  assert.equal(file.problem, '');
  assert.equal(look(), null, 'nothing is new');

  put('2', 'sesame');
  for (let i = 0; i < 5; i++) assert.equal(look(), null);
  assert.equal(said.filter((line) => line.includes('the keys before are used')).length, 1);
  const two = secret();
  put('3', `${two}\n${one}\n`);
  look();
  assert.deepEqual(look(), ticketKeysOf(`${two}\n${one}`));
  put('4', 'x'.repeat(LIMITS.KEYS_FILE_BYTES + 1));
  look();
  assert.equal(look(), null);
  assert.match(file.problem, /is larger than 16384 bytes/);
  assert.equal(said.join('').includes('sesame'), false);
});
