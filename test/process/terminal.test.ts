// `rauta serve` on a terminal: what a person reads.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { backend, backendYaml, freePort, gateway, get, Rauta, READY_MS, routeYaml, until } from './support.ts';

const BIN = fileURLToPath(new URL('../../bin/rauta', import.meta.url));
/** util-linux: runs a command on a terminal of its own. */
const skip = spawnSync('script', ['--version']).error === undefined ? false : 'no script(1) here';

const running: ChildProcess[] = [];
after(() => {
  for (const child of running) child.kill('SIGKILL');
});

/** What stands on the terminal, and when something does. */
class Terminal {
  text = '';
  readonly #exited: Promise<number | null>;
  readonly #child: ChildProcess;
  #waiting: { pattern: RegExp; resolve: (found: RegExpExecArray) => void }[] = [];

  constructor(command: string) {
    // script(1) runs it by $SHELL or sh. A shell that stayed in between would die of the ^C itself (dash does, bash
    // does not).
    this.#child = spawn('script', ['-qec', `exec ${command}`, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] });
    running.push(this.#child);
    this.#exited = new Promise((resolve) => this.#child.on('exit', resolve));
    this.#child.stdout?.setEncoding('utf8').on('data', (part: string) => {
      this.text += part.replaceAll('\r', '');
      for (const { pattern, resolve } of [...this.#waiting]) {
        const found = pattern.exec(this.text);
        if (found !== null) resolve(found);
      }
    });
  }

  shows(pattern: RegExp): Promise<RegExpExecArray> {
    const now = pattern.exec(this.text);
    if (now !== null) return Promise.resolve(now);
    const { promise, resolve, reject } = Promise.withResolvers<RegExpExecArray>();
    this.#waiting.push({ pattern, resolve });
    this.#exited.then((code) => reject(new Error(`ended with ${code}:\n${this.text}`)));
    return this.#inTime(promise, String(pattern));
  }

  /** Its exit code. */
  ended(): Promise<number | null> {
    return this.#inTime(this.#exited, 'an end');
  }

  /** A terminal that stands still shows what it stands at. */
  async #inTime<T>(promise: Promise<T>, wanted: string): Promise<T> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => late.reject(new Error(`no ${wanted} in ${READY_MS} ms:\n${this.text}`)), READY_MS);
    try {
      return await Promise.race([promise, late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  type(keys: string): void {
    this.#child.stdin?.write(keys);
  }
}

test('a start sums up what is served, requests are shown when asked for, a line each', { skip }, async () => {
  const port = await freePort();
  const app = await backend('app');
  const files = Rauta.spawn({
    'a.yaml': gateway(port) + routeYaml('app', '/app', 'app') + backendYaml('app', app.port),
  });
  await files.said('serving');
  files.process.kill('SIGTERM');
  await files.exited;
  const command = `${BIN} serve --config ${files.folder} --listen 127.0.0.1 --workers 1 --admin 127.0.0.1:0`;

  const quiet = new Terminal(command);
  await quiet.shows(/Ctrl-C ends in order\n\n/);
  assert.match(quiet.text, new RegExp(`\n {2}listening {3}127\\.0\\.0\\.1:${port} \\(tcp\\): HTTP default/web/http\n`));
  assert.match(quiet.text, /\n {2}routes {6}HTTPRoute default\/app: \/app\n/);
  const [, admin = ''] = /rauta status --admin (\S+)/.exec(quiet.text) ?? [];
  assert.match(quiet.text, /--access-log - {3}shows requests here/);
  assert.equal((await get(port, '/app/quiet')).status, 200);
  // The worker tells of a request once it is over.
  await until(
    () => get(Number(admin.split(':')[1]), '/requests'),
    ({ body }) => body.includes('GET /app/quiet 200'),
  );
  quiet.type('\x03');
  assert.equal(await quiet.ended(), 0, quiet.text);
  assert.ok(!quiet.text.includes('/app/quiet'), 'nobody asked for requests');
  assert.ok(!quiet.text.includes('{"'), 'no JSON on a terminal');

  const loud = new Terminal(`${command} --access-log -`);
  await loud.shows(/Ctrl-C ends in order/);
  await get(port, '/app/loud');
  await loud.shows(/\nGET \/app\/loud 200 \d+ms → 127\.0\.0\.1:\d+ \[\S+ \S+ default\/app\]\n/);
  loud.type('\x03');
  assert.equal(await loud.ended(), 0, loud.text);
  await files.stop();
});
