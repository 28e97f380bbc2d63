import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../base/limits.ts';
import { frontPage } from './front.ts';
import type { StatusReport } from './status.ts';

const EVIL = `<script>alert("1")</script>&'`;
const HARMLESS = '&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;&#39;';

const REPORT: StatusReport = {
  version: '1.2.3',
  healthy: false,
  ready: true,
  reason: EVIL,
  revision: { published: 4, served: 3, held: EVIL },
  workers: { wanted: 2, serving: 1, dying: false },
  sockets: [
    { address: '0.0.0.0', port: 80, transport: 'tcp', listeners: [`HTTP default/${EVIL}/http`], problem: null },
    { address: '::', port: 80, transport: 'tcp', listeners: ['HTTP default/web/http'], problem: EVIL },
  ],
  objects: [
    { object: 'HTTPRoute/default/fine', kept: false, faults: [] },
    {
      object: 'HTTPRoute/default/<b>',
      kept: true,
      faults: [{ of: EVIL, type: 'Accepted', status: 'False', reason: EVIL, message: EVIL }],
    },
  ],
  problems: [{ severity: 'error', message: `${EVIL}\u001b[31m`, place: { file: EVIL, line: 1, column: 2 } }],
};

test('a page with the state, what is wrong and links, in which nothing from outside is markup', () => {
  const page = frontPage(REPORT, [`GET /${EVIL} 200`], [{ path: '/status', what: EVIL }]);
  assert.ok(!page.includes('<script'), page);
  assert.ok(!page.includes('\u001b') && page.includes('\\x1b'));
  assert.equal(page.split(HARMLESS).length - 1, 11, 'each shown, none left out');
  assert.match(page, /HTTPRoute default\/&lt;b&gt;: goes on as before/);
  assert.match(page, /<p class="bad">rauta 1\.2\.3: ready \(/);
  assert.match(page, /<h2>Not listening<\/h2>\n<pre class="bad">\[::\]:80 \(tcp\): /);
  assert.match(page, /<pre>HTTPRoute 2 \(1 not as they should be\)<\/pre>/);
  assert.match(page, /<dt><a href="\/status">\/status<\/a><dd>/);
  assert.ok(!page.includes('HTTPRoute default/fine'), 'of what is fine there is a number');
});

test('however much there is, the page stays short', () => {
  const problems = Array.from(
    { length: 1_000 },
    (_, i) => ({ severity: 'warning', message: `m${i}.`, place: {} }) as const,
  );
  const page = frontPage({ ...REPORT, problems }, [], []);
  assert.ok(page.includes(`warning: m${LIMITS.FRONT_LINES - 1}.`) && !page.includes(`m${LIMITS.FRONT_LINES}.`));
  assert.ok(page.includes(`and ${1_000 - LIMITS.FRONT_LINES} more`));
  assert.ok(!frontPage({ ...REPORT, problems: [] }, [], []).includes('Problems'), 'nothing where there is nothing');
});
