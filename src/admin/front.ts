// The front page of the admin server, for a browser: the state in a few lines, what is wrong, where to look further.
// Plain HTML without a script; everything that comes from outside is escaped.

import { objectText, problemText } from '../api/problem.ts';
import { LIMITS } from '../base/limits.ts';
import { visible } from '../base/steering.ts';
import { type ObjectReport, objectLines, type StatusReport, socketText, summary } from './status.ts';

export interface Link {
  readonly path: string;
  readonly what: string;
}

/** `requests`: the newest, as lines. */
export function frontPage(report: StatusReport, requests: readonly string[], links: readonly Link[]): string {
  const wrong = report.objects.filter((object) => objectLines(object).some(({ fine }) => !fine));
  const shut = report.sockets.filter(({ problem }) => problem !== null);
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${report.healthy ? '' : '! '}RAUTA</title>
<style>${STYLE}</style>
<h1>RAUTA</h1>
<p class="${report.healthy ? 'good' : 'bad'}">${escaped(summary(report))}</p>
${section('Not listening', shut.map(socketText), 'bad')}
${section('Problems', report.problems.map(problemText), 'bad')}
${section(
  'Objects that are not as they should be',
  wrong.flatMap(objectLines).map(({ text }) => text),
  'bad',
)}
${section('Listening', report.sockets.filter(({ problem }) => problem === null).map(socketText), '')}
${section('Objects', counts(report.objects), '')}
${section('Newest requests', requests, '')}
<h2>Pages</h2>
<dl>
${links.map(({ path, what }) => `<dt><a href="${escaped(path)}">${escaped(path)}</a><dd>${escaped(what)}`).join('\n')}
</dl>
<p>On a terminal: <code>rauta status</code>, <code>rauta explain GET http://HOST/PATH</code>.</p>
</html>
`;
}

const STYLE =
  'body{font:15px/1.4 system-ui,sans-serif;max-width:70em;margin:2em auto;padding:0 1em}' +
  'h1{font-size:1.4em}h2{font-size:1.1em;margin-top:1.5em}pre,code{font:13px/1.5 ui-monospace,monospace}' +
  'pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:0}.good{border-left:4px solid #2a2;padding-left:.6em}' +
  '.bad{border-left:4px solid #c22;padding-left:.6em}dt{float:left;clear:left;width:14em}dd{margin-left:14em}';

/** Nothing where there is nothing; of many lines the first, and how many more. */
function section(title: string, lines: readonly string[], mark: string): string {
  if (lines.length === 0) return '';
  const more = lines.length - LIMITS.FRONT_LINES;
  const shown = more > 0 ? [...lines.slice(0, LIMITS.FRONT_LINES), `and ${more} more`] : lines;
  return `<h2>${title}</h2>\n<pre${mark === '' ? '' : ` class="${mark}"`}>${shown.map(escaped).join('\n')}</pre>`;
}

/** `HTTPRoute 12 (2 not as they should be)` */
function counts(objects: readonly ObjectReport[]): string[] {
  const kinds = new Map<string, { all: number; wrong: number }>();
  for (const object of objects) {
    const [kind = ''] = objectText(object.object).split(' ');
    const count = kinds.get(kind) ?? { all: 0, wrong: 0 };
    kinds.set(kind, count);
    count.all++;
    if (object.kept || object.faults.length > 0) count.wrong++;
  }
  return [...kinds].map(
    ([kind, { all, wrong }]) => `${kind} ${all}${wrong === 0 ? '' : ` (${wrong} not as they should be)`}`,
  );
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** For text and for attributes in quotes; what would steer a reader's screen is shown. */
function escaped(text: string): string {
  return visible(text).replaceAll(/[&<>"']/g, (c) => ENTITIES[c] as string);
}
