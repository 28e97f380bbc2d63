// The messages beside those that Envoy's own definitions for Go write (go-control-plane, deterministic), in
// hexadecimal.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeCheckResponse, encodeCheckRequest } from './ext-authz.ts';
import { MessageError } from './protobuf.ts';
import { verdictOfCheck } from './verdict.ts';

const SOURCE = '0a0f0a0d0a0b12093139322e302e322e31';
const TIME = '0a0b0880e2cfaa061080e59a77';
const HTTP =
  '0a0469642d311204504f53541a120a06636f6f6b69651208613d313b20623d3222042f703f712a09682e6578616d706c65' +
  '3205687474707348ffffffffffffffffff015206485454502f32';
const ALLOWS =
  '0a001a5b12110a0f0a06782d757365721205616c69636512150a0f0a05782d74776f1206736572766572120208011211' +
  '0a0d0a08782d616273656e7412016118012a0d617574686f72697a6174696f6e320d0a0b0a06782d7365656e120131';
const DENIES =
  '0a070810120377686f12300a03089103121b0a190a107777772d61757468656e7469636174651205426173696' +
  '31a0c77686f2061726520796f753f';

const bytes = (hex: string): Uint8Array => Buffer.from(hex, 'hex');

function request(body: Uint8Array): string {
  const encoded = encodeCheckRequest({
    client: '192.0.2.1',
    timeMs: 1_700_000_000_250,
    id: 'id-1',
    method: 'POST',
    headers: new Map([['cookie', 'a=1; b=2']]),
    path: '/p?q',
    host: 'h.example',
    scheme: 'https',
    size: -1,
    protocol: 'HTTP/2',
    body,
  });
  return Buffer.from(encoded).toString('hex');
}

test('a CheckRequest is what others write, with a text and with bytes', () => {
  assert.equal(request(Buffer.from('hello')), `0a74${SOURCE}2261${TIME}1252${HTTP}5a0568656c6c6f`);
  assert.equal(request(Uint8Array.of(255, 0)), `0a71${SOURCE}225e${TIME}124f${HTTP}6202ff00`);
});

test('a CheckResponse that others write is read', () => {
  const option = { append: false, action: 0 };
  assert.deepEqual(decodeCheckResponse(bytes(ALLOWS)), {
    type: 'ok',
    headers: [
      { name: 'x-user', value: 'alice', ...option },
      { name: 'x-two', value: 'server', ...option, append: true },
      { name: 'x-absent', value: 'a', ...option, action: 1 },
    ],
    remove: ['authorization'],
    responseHeaders: [{ name: 'x-seen', value: '1', ...option }],
    query: [],
  });
  const denied = decodeCheckResponse(bytes(DENIES));
  assert.equal(denied.type, 'denied');
  assert.deepEqual(denied.type === 'denied' ? [denied.status, denied.headers, String(Buffer.from(denied.body))] : [], [
    401,
    [{ name: 'www-authenticate', value: 'Basic', ...option }],
    'who are you?',
  ]);
  assert.equal(decodeCheckResponse(new Uint8Array(0)).type, 'ok', 'as with Envoy: a status that is not there is 0');
});

test('cut and changed at every byte it is read, or refused as no message', () => {
  for (const whole of [ALLOWS, DENIES]) {
    const good = bytes(whole);
    for (let at = 0; at < good.length; at++) {
      const changed = [good.subarray(0, at)];
      for (const to of [0, 1, 0x7f, 0x80, 0xff]) {
        const copy = Uint8Array.from(good);
        copy[at] = to;
        changed.push(copy);
      }
      for (const one of changed) {
        try {
          verdictOfCheck(decodeCheckResponse(one));
        } catch (error) {
          assert.ok(error instanceof MessageError, String(error));
        }
      }
    }
  }
});
