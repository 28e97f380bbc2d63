// Every example does what its README shows: its commands are run as they stand, but for ports, which are free ones. The
// block `sh serve` starts backends and the program; what stands before it needs nobody, what stands behind it asks.
// Lines `# ...` behind a command are what it answers (support/pages.ts).

import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { offline } from '../../tools/offline.ts';
import { type Block, blocksOf, commandsOf, missingAnswer, type Shown } from '../support/pages.ts';
import { heldPort } from '../support/port.ts';
import { Rauta } from './support.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
/** What the examples write for ports, but for those that no program of theirs has. */
const PORTS = /\b(?:80\d\d|84\d\d|90\d\d|94\d\d|53[5-9]\d)\b/g;
const COMMAND_MS = 60_000;
const EXAMPLES = fs
  .readdirSync(join(ROOT, 'examples'), { withFileTypes: true })
  .flatMap((e) => (e.isDirectory() ? [e.name] : []));

const helpers = new Set<ChildProcess>();
const folders: string[] = [];
after(() => {
  for (const child of helpers) child.kill('SIGKILL');
  for (const folder of folders) fs.rmSync(folder, { recursive: true, force: true });
});

/** A copy of an example with ports of its own, where its commands find what they name. */
class Copy {
  readonly name: string;
  readonly root = fs.mkdtempSync(join(tmpdir(), 'rauta-example-'));
  readonly blocks: readonly Block[];
  readonly #ports = new Map<string, string>();

  constructor(name: string) {
    this.name = name;
    folders.push(this.root);
    // What is to read it has left root.
    fs.chmodSync(this.root, 0o755);
    for (const link of ['bin', 'tools']) fs.symlinkSync(join(ROOT, link), join(this.root, link));
    const from = join(ROOT, 'examples', name);
    const files = fs.globSync(['*.yaml', 'README.md'], { cwd: from }).filter((file) => file !== 'certificate.yaml');
    const texts = new Map(files.map((file) => [file, fs.readFileSync(join(from, file), 'utf8')]));
    const written = [...new Set([...texts.values()].flatMap((text) => text.match(PORTS) ?? []))].sort();
    // In the order of those that are written, so that what is sorted by them stays sorted.
    const held = written.map(heldPort).sort((x, y) => x - y);
    for (const [i, port] of written.entries()) this.#ports.set(port, String(held[i]));
    const own = join(this.root, 'examples', name);
    fs.mkdirSync(own, { recursive: true });
    for (const [file, text] of texts) if (file !== 'README.md') fs.writeFileSync(join(own, file), this.moved(text));
    this.blocks = blocksOf(texts.get('README.md') ?? '').filter(
      ({ language, rest }) => language === 'sh' && !rest.startsWith('skip: '),
    );
  }

  /** With ports of its own, and nothing in a folder of all. */
  moved(text: string): string {
    return text.replaceAll('/tmp/', `${this.root}/`).replaceAll(PORTS, (port) => this.#ports.get(port) ?? port);
  }

  admin(port: number): void {
    this.#ports.set('9090', String(port));
  }

  /** Runs a command; its answers are in what it prints. */
  async run({ command, answers }: Shown): Promise<void> {
    const line = this.moved(command);
    const [, name, words = ''] = /^bin\/rauta (check|explain) (.*)$/.exec(line) ?? [];
    const inFiles = name !== undefined && !words.includes('--admin');
    const expected = answers.map((answer) => this.moved(answer));
    const ask = (): Promise<{ text: string; code: number }> =>
      inFiles ? this.#offline(name as 'check' | 'explain', words) : shell(line, this.root);
    let { text, code } = await ask();
    let missing = missingAnswer(text, expected);
    // What the admin server counts and logs comes a moment behind what it tells of.
    for (const end = Date.now() + COMMAND_MS; missing !== null && this.#asksAdmin(line) && Date.now() < end; ) {
      ({ text, code } = await ask());
      missing = missingAnswer(text, expected);
    }
    assert.equal(missing, null, `${line}\nexit ${code}\n${text}`);
    if (answers.length === 0) assert.equal(code, 0, `${line}\n${text}`);
  }

  #asksAdmin(line: string): boolean {
    return line.includes(`127.0.0.1:${this.#ports.get('9090')}`);
  }

  async #offline(name: 'check' | 'explain', words: string): Promise<{ text: string; code: number }> {
    const { text, exitCode } = await offline(name, words.replaceAll('examples/', `${this.root}/examples/`));
    if (name === 'check') assert.match(text, /: 0 errors, 0 warnings$/, text);
    return { text, code: exitCode };
  }
}

function shell(line: string, cwd: string): Promise<{ text: string; code: number }> {
  return new Promise((resolve) => {
    execFile('sh', ['-c', line], { cwd, timeout: COMMAND_MS, encoding: 'utf8' }, (error, text) =>
      resolve({ text, code: error === null ? 0 : Number(error.code ?? -1) }),
    );
  });
}

/** `sh serve`: what ends with `&` runs beside the program, which is the last of its lines. */
async function serve(copy: Copy, text: string): Promise<Rauta> {
  const lines = text
    .trim()
    .split('\n')
    .map((line) => copy.moved(line));
  const own = /^bin\/rauta serve --config (examples\/[a-z0-9-]+)(.*)$/.exec(lines.pop() ?? '');
  assert.equal(own?.[1], `examples/${copy.name}`, 'the last line serves the example');
  const beside = lines.map(async (line) => {
    assert.match(line, / &$/);
    const child = spawn('sh', ['-c', `exec ${line.slice(0, -2)}`], {
      ...{ cwd: copy.root, stdio: ['ignore', 'pipe', 'inherit'] },
    });
    helpers.add(child);
    if (child.stdout !== null) await once(child.stdout, 'data');
  });
  const args = (own?.[2] ?? '').split(' ').filter((word) => word !== '');
  const [rauta] = await Promise.all([
    Rauta.start({}, ['--config', join(copy.root, own?.[1] ?? ''), ...args]),
    ...beside,
  ]);
  copy.admin(rauta.admin);
  return rauta;
}

for (const name of EXAMPLES) {
  test(`examples/${name} does what it shows`, async () => {
    const copy = new Copy(name);
    const at = copy.blocks.findIndex(({ rest }) => rest === 'serve');
    assert.notEqual(at, -1, 'it says how to serve it');
    const shown = (blocks: readonly Block[]): Shown[] => blocks.flatMap(({ text }) => commandsOf(text));
    const all = shown(copy.blocks).map(({ command }) => command);
    assert.ok(all.includes(`bin/rauta check examples/${name}`), 'it is checked');
    const before = shown(copy.blocks.slice(0, at));
    for (const one of before) await copy.run(one);
    const rauta = await serve(copy, copy.blocks[at]?.text ?? '');
    const asked = shown(copy.blocks.slice(at + 1));
    assert.ok(
      asked.some(({ answers }) => answers.length > 0),
      'it says what is answered',
    );
    for (const one of asked) await copy.run(one);
    assert.equal(await rauta.stop(), 0);
    for (const child of helpers) child.kill('SIGKILL');
    helpers.clear();
  });
}
