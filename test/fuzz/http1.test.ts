// Fuzzing of the HTTP/1 codec: mutated messages must mean the same in any pieces, and whatever we accept Node's own
// parser accepts with the same framing. FUZZ_SECONDS runs each for that long with a seed of its own (printed),
// FUZZ_SEED with a given one; otherwise a fixed number of steps from a fixed seed.

import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { textOf } from '../../src/base/bytes.ts';
import { type Head, METHOD } from '../../src/proxy/head.ts';
import { BODY_STATE } from '../../src/proxy/http1/body.ts';
import { BAD, DONE, MORE } from '../../src/proxy/http1/scan.ts';
import { BODY, describe, feed, feedBodyOf, fieldsOf, latin1, mem, type Role, refused } from '../support/http1.ts';
import { Chance, mutate } from './http1-mutate.ts';
import { knownToNode, NodeServer, nodeClient, type Seen } from './http1-node.ts';

const seeds = JSON.parse(readFileSync(new URL('../../testdata/http1/seeds.json', import.meta.url), 'utf8')) as {
  readonly requests: readonly string[];
  readonly responses: readonly string[];
};
const chunked = refused.chunked.map((r) => r.message);
// Valid ones more often: what is nearly valid finds more.
const requests = [
  ...Array.from({ length: 40 }, () => seeds.requests).flat(),
  ...refused.requests.map((r) => r.message),
  ...chunked.map((body) => `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${body}`),
];
const responses = [
  ...Array.from({ length: 10 }, () => seeds.responses).flat(),
  ...refused.responses.map((r) => r.message),
  ...chunked.map((body) => `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${body}`),
];

const SECONDS = Number(process.env['FUZZ_SECONDS'] ?? 0);

async function fuzz(t: TestContext, steps: number, step: (chance: Chance) => void | Promise<void>): Promise<void> {
  const seed = Number(process.env['FUZZ_SEED'] ?? (SECONDS > 0 ? randomInt(2 ** 31) : 1));
  const chance = new Chance(seed);
  const end = performance.now() + SECONDS * 1000;
  let done = 0;
  while (SECONDS > 0 ? performance.now() < end : done < steps) {
    await step(chance);
    done++;
  }
  t.diagnostic(`seed ${seed}, ${done} steps`);
}

/** Every offset lies where it must, however wild the input was. */
function checkOffsets(head: Head, length: number): void {
  const AT = 64;
  assert.ok(head.start >= AT && head.fieldsStart > head.start && head.end >= head.fieldsStart + 2);
  assert.ok(head.end <= AT + length);
  let line = head.fieldsStart;
  for (let k = 0; k < head.count; k++) {
    assert.equal(head.nameStart(k), line);
    assert.ok(head.nameEnd(k) > line);
    assert.ok(head.valueStart(k) > head.nameEnd(k));
    assert.ok(head.valueEnd(k) >= head.valueStart(k));
    line = head.lineEnd(k);
    assert.ok(line >= head.valueEnd(k) + 2);
  }
  assert.equal(line, head.end - 2);
}

test('mutated messages mean the same in any pieces', async (t) => {
  await fuzz(t, 15_000, (chance) => {
    const role: Role = chance.pick(['request', 'response', 'response to HEAD'] as const);
    const text = mutate(chance, role === 'request' ? requests : responses);
    const bytes = latin1(text);
    const say = (): string => `${role} ${JSON.stringify(text)}`;
    const whole = feed(role, bytes);
    const cuts = [chance.next(bytes.length + 1), chance.next(bytes.length + 1)].sort((a, b) => a - b);
    const split = feed(role, bytes, ...cuts);
    if (whole.result === BAD) {
      // In pieces a fault may show only when the head is whole.
      assert.notEqual(split.result, DONE, say());
      if (split.result === BAD) assert.equal(split.head.fault?.source, whole.head.fault?.source, say());
      return;
    }
    assert.equal(split.result, whole.result, say());
    if (whole.result === MORE) return;
    checkOffsets(whole.head, bytes.length);
    const again = feed(role, bytes);
    const expected = describe(again.head);
    assert.deepEqual(describe(feed(role, bytes, ...cuts).head), expected, say());
    const body = bytes.subarray(again.head.end - 64);
    const one = feedBodyOf(again.head, body);
    const bodyCuts = cuts.map((cut) => Math.min(cut, body.length));
    const two = feedBodyOf(again.head, body, ...bodyCuts);
    assert.deepEqual([two.state, two.trailers], [one.state, one.trailers], say());
    if (one.state !== BODY_STATE.BAD) assert.equal(two.content, one.content, say());
  });
});

/**
 * A tab beside the coding is white space like any other (RFC 9112 section 5.1); llhttp takes it for a part of the
 * value.
 */
const TAB_BY_CODING = /^transfer-encoding:.*\t/im;
/** White space in extensions is in the grammar (RFC 9112 section 7.1.1), but llhttp has none of it. */
const SPACE_IN_EXTENSION = /^[0-9A-Fa-f]+[^\r\n]*[ \t]/m;

/** What we read of a message, in the form in which Node tells it; null when it is not accepted whole. */
function ours(role: Role, bytes: Uint8Array): { seen: Seen; head: Head; used: number; raw: string } | null {
  const { result, head } = feed(role, bytes);
  if (result !== DONE) return null;
  const fields = fieldsOf(head).flat();
  const start =
    role === 'request'
      ? `${textOf(mem, head.methodStart, head.methodEnd)} ${textOf(mem, head.targetStart, head.targetEnd)} ${head.version === 10 ? '1.0' : '1.1'}`
      : `${head.status} ${textOf(mem, head.reasonStart, head.reasonEnd)}`;
  const raw = textOf(bytes, 0, head.end - 64);
  const headBytes = head.end - 64;
  const body = feedBodyOf(head, bytes.subarray(headBytes));
  if (body.state !== BODY_STATE.END && !(body.state === BODY_STATE.MORE && head.body === BODY.UNTIL_CLOSE)) return null;
  const trailers = body.trailers
    .split('\r\n')
    .filter((line) => line !== '')
    .flatMap((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon), line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, '')];
    });
  return { seen: { start, fields, content: body.content, trailers }, head, used: headBytes + body.used, raw };
}

const SENTINEL = 'GET /sentinel HTTP/1.1\r\nHost: sentinel\r\n\r\n';

test('the oracle finds faults', async () => {
  const bad = latin1(`POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n${SENTINEL}`);
  assert.match((await new NodeServer().read(bad, 2)).error, /^HPE_INVALID_CHUNK_SIZE/);
  assert.match((await nodeClient(latin1('HTTP/1.1 2x0 OK\r\n\r\n'), 'GET')).error, /^HPE_INVALID_STATUS/);
});

test('every request we accept, Node accepts with the same framing', async (t) => {
  const node = new NodeServer();
  let accepted = 0;
  await fuzz(t, 12_000, async (chance) => {
    const text = mutate(chance, requests);
    const mine = ours('request', latin1(text));
    if (mine === null) return;
    // Node knows a fixed set of methods, no minor version above 1, and takes CONNECT and upgrades for other protocols.
    const method = mine.seen.start.split(' ')[0] as string;
    if (!knownToNode(method) || mine.head.method === METHOD.CONNECT) return;
    if (/^upgrade:/im.test(mine.raw)) return;
    if (!/ HTTP\/1\.[01]\r\n/.test(mine.raw)) return;
    const body = text.slice(mine.raw.length, mine.used);
    if (mine.head.body === BODY.CHUNKED && SPACE_IN_EXTENSION.test(body)) return;
    if (TAB_BY_CODING.test(mine.raw)) return;
    accepted++;
    const follows = mine.head.keepAlive;
    const verdict = await node.read(latin1(text.slice(0, mine.used) + (follows ? SENTINEL : '')), follows ? 2 : 1);
    const say = JSON.stringify({ text: text.slice(0, mine.used), mine: mine.seen, verdict });
    assert.equal(verdict.error, '', say);
    assert.deepEqual(verdict.seen[0], mine.seen, say);
    if (follows) assert.equal(verdict.seen[1]?.start, 'GET /sentinel 1.1', say);
  });
  t.diagnostic(`${accepted} accepted`);
  assert.ok(accepted > 100);
});

test('every response we accept, Node accepts with the same framing', async (t) => {
  let accepted = 0;
  await fuzz(t, 6_000, async (chance) => {
    const text = mutate(chance, responses);
    const role: Role = chance.next(5) === 0 ? 'response to HEAD' : 'response';
    let at = 0;
    let mine = ours(role, latin1(text));
    while (mine !== null && mine.head.status < 200 && mine.head.status !== 101) {
      // Node takes `close` in an interim response for the end of the connection.
      if (!mine.head.keepAlive) return;
      at += mine.used;
      mine = ours(role, latin1(text.slice(at)));
    }
    // Node refuses what we mend (white space before a colon, RFC 9112 section 5.1), takes 101 for another protocol,
    // and knows no minor version above 1.
    if (mine === null || mine.head.status === 101) return;
    if (/^HTTP\/1\.[2-9]/m.test(text)) return;
    const heads = text.slice(0, at + mine.raw.length);
    if (/^[^:\r\n]*[ \t]+:/m.test(heads.replace(/^HTTP\/1.*\r\n/gm, ''))) return;
    const body = text.slice(at + mine.raw.length, at + mine.used);
    if (mine.head.body === BODY.CHUNKED && SPACE_IN_EXTENSION.test(body)) return;
    if (TAB_BY_CODING.test(mine.raw)) return;
    accepted++;
    const verdict = await nodeClient(latin1(text.slice(0, at + mine.used)), role === 'response' ? 'GET' : 'HEAD');
    const say = JSON.stringify({ text: text.slice(0, at + mine.used), mine: mine.seen, verdict });
    assert.equal(verdict.error, '', say);
    assert.deepEqual(verdict.seen[0], mine.seen, say);
  });
  t.diagnostic(`${accepted} accepted`);
  assert.ok(accepted > 100);
});
