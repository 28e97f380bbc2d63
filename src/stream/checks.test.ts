import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LIMITS } from '../base/limits.ts';
import { fromController, fromPredecessor, fromSuccessor, fromWorker } from './checks.ts';
import type { FromController, FromPredecessor, FromWorker } from './messages.ts';
import { ProtocolError } from './protocol-error.ts';

const body = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

test('what the protocol knows is taken as it is', () => {
  const worker: FromWorker[] = [
    { type: 'hello', protocol: 1 },
    { type: 'failed', reason: 'no such user' },
    { type: 'ack', revision: 3 },
    { type: 'nack', revision: 3, reason: 'rule/a: no' },
    { type: 'unsocketed', key: 'socket/::/80/tcp' },
    { type: 'drained' },
  ];
  for (const message of worker) assert.deepEqual(fromWorker(body(message)), message);
  const controller: FromController[] = [
    { type: 'hello', protocol: 1 },
    { type: 'beat' },
    { type: 'sockets', sockets: [{ key: 'k', address: '::', port: 80, transport: 'udp' }] },
    { type: 'logLevel', level: 'warn' },
    { type: 'fatal', code: 3, message: 'no' },
    { type: 'flushed' },
  ];
  for (const message of controller) assert.deepEqual(fromController(body(message)), message);
  const inherit: FromPredecessor = { type: 'inherit', address: '::', port: 80 };
  assert.deepEqual(fromPredecessor(body(inherit)), inherit);
  assert.deepEqual(fromSuccessor(body({ type: 'take', protocol: 1 })), { type: 'take', protocol: 1 });
});

test('an ack of 1e300, a reason of a megabyte, a socket on port 0 and the like are refused', () => {
  const long = 'x'.repeat(LIMITS.STREAM_TEXT_CHARACTERS + 1);
  for (const message of [
    ...[1e300, -1, 1.5, '1', null].map((revision) => ({ type: 'ack', revision })),
    { type: 'nack', revision: 1 },
    { type: 'nack', revision: 1, reason: long },
    { type: 'failed', reason: 7 },
    { type: 'unsocketed', key: long },
    { type: 'hello' },
    { type: 'assign', slot: 0 },
    { type: '__proto__' },
    { type: 'toString' },
    {},
    [],
    7,
    null,
  ])
    assert.throws(() => fromWorker(body(message)), ProtocolError, JSON.stringify(message).slice(0, 80));
  for (const port of [0, -1, 65536, '80'])
    assert.throws(() =>
      fromController(body({ type: 'sockets', sockets: [{ key: 'k', address: '::', port, transport: 'tcp' }] })),
    );
  for (const sockets of [null, {}, [null], [{}]])
    assert.throws(() => fromController(body({ type: 'sockets', sockets })), ProtocolError);
  assert.throws(() => fromController(body({ type: 'logLevel', level: 'loud' })), ProtocolError);
  assert.throws(() => fromWorker(Buffer.from('{"type":"ack"')), ProtocolError);
});

test('whatever bytes come, they are a message or a ProtocolError', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ maxLength: 64 }),
        fc.json().map((text) => Buffer.from(text)),
      ),
      (bytes) => {
        for (const read of [fromWorker, fromController, fromSuccessor, fromPredecessor])
          try {
            read(Buffer.from(bytes));
          } catch (error) {
            assert.ok(error instanceof ProtocolError, String(error));
          }
      },
    ),
    { numRuns: 500 },
  );
});
