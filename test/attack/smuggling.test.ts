// Request smuggling: whatever a client sends, the backend sees exactly the requests that RAUTA answered for, in order,
// framed anew; what two readers could read in two ways is refused and ends the connection (RFC 9112 sections 2 to 7 and
// 11.2).
//
// nginx 1.22 given the same vectors is laxer in some forty of them: it passes bare LF and CR CR LF line ends, fields
// without colon, names that are no tokens, any trailer section, LF and spaces in chunk sizes, sizes of any length,
// repeated spaces in a request line, fragments, userinfo and any port in Host, unknown expectations; its "LF at the
// end" of chunks ends in two requests. RAUTA is laxer in five, each as the RFCs have it: white space around `chunked`
// and a length (RFC 9110 section 5.5), methods in lower case (section 9.1), `OPTIONS *` (RFC 9112 section 3.2.4), and
// targets over 8 KB.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { answering, get, responsesOf, statusesOf, Target } from './support.ts';
import { VECTORS } from './vectors.ts';

let target: Target;
before(async () => {
  target = await Target.start();
});
after(() => target.end());

/** What the backend saw of the one client that is at work. */
async function seenBy(pieces: readonly string[]): Promise<{ statuses: number[]; seen: string[]; text: string }> {
  const { backend } = target;
  backend.reset(answering());
  const client = await target.connect();
  for (const piece of pieces) {
    if (pieces.length > 1) await client.send(piece).catch(() => {});
    else client.trySend(piece);
  }
  client.end();
  const { text } = await client.over();
  const answers = await responsesOf(text);
  assert.deepEqual(backend.violations, []);
  for (const { head } of backend.requests)
    assert.doesNotMatch(head, /content-length:(?! *(0|[1-9]\d*) *\r)/i, 'a length to misread');
  const final = answers.filter((m) => m.status >= 200);
  // Each answered 200 names the request it answers: in order, and one for one.
  const named = final.filter((m) => m.status === 200).map((m) => Buffer.from(m.body).toString('latin1'));
  assert.deepEqual(named, backend.labels());
  return { statuses: statusesOf(final), seen: backend.labels(), text };
}

function check(name: string, expected: number | readonly string[], got: { statuses: number[]; seen: string[] }): void {
  if (typeof expected === 'number') {
    // CONNECT is refused without ambiguity, so its connection goes on.
    const seen = expected === 404 ? ['GET /next'] : [];
    assert.deepEqual(got.seen, seen, `${name}: reached the backend`);
    assert.equal(got.statuses[0], expected, name);
    assert.equal(got.statuses.length, 1 + seen.length, `${name}: answers behind a refusal`);
  } else {
    assert.deepEqual(got.seen, [...expected], name);
  }
}

test('in one segment', async () => {
  for (const [name, bytes, expected] of VECTORS) check(name, expected, await seenBy([bytes + get('/next')]));
});

test('cut in two at every byte that matters', async () => {
  const short = VECTORS.filter(([, bytes]) => bytes.length < 400);
  let turn = 0;
  for (const [name, bytes, expected] of short) {
    // A different place for each, so that all kinds of places come.
    const at = 1 + ((turn++ * 37) % (bytes.length - 1 || 1));
    check(name, expected, await seenBy([bytes.slice(0, at), bytes.slice(at) + get('/next')]));
  }
});
