// `make run`: the quickstart with its two demo backends, or a folder of yours. Ctrl-C ends all.

import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as after } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ensureExampleCertificate } from './certificates.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const DEMO_PORTS = ['9001', '9002'];
const GATEWAY = 'http://127.0.0.1:8080';
const ADMIN = '127.0.0.1:9090';

const at = process.argv.indexOf('--config');
const own = at === -1 ? undefined : process.argv[at + 1];
const config = own ?? `${root}examples/quickstart`;
if (ensureExampleCertificate(config)) process.stdout.write(`made ${config}/certificate.yaml, for this example only\n`);
const children: ChildProcess[] = [];

if (own === undefined)
  children.push(
    spawn(process.execPath, [`${root}tools/demo-backends.ts`, ...DEMO_PORTS], { stdio: 'inherit', detached: true }),
  );
const rauta = spawn(`${root}bin/rauta`, ['serve', '--config', config], { stdio: 'inherit', detached: true });
children.push(rauta);

let code = 0;
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => rauta.kill('SIGTERM'));
rauta.on('exit', (status) => {
  code = status ?? 1;
  for (const child of children) child.kill('SIGKILL');
  process.exit(code);
});

if (await ready()) say();

async function ready(): Promise<boolean> {
  let why = `nothing answers at ${ADMIN}; the log above says more`;
  for (let i = 0; i < 150; i++) {
    try {
      const answer = await fetch(`http://${ADMIN}/readyz`);
      if (answer.ok) return true;
      why = (await answer.text()).trim();
    } catch {
      // Not listening yet.
    }
    await after(100);
  }
  process.stderr.write(`rauta is not ready after 15 s: ${why}\n`);
  return false;
}

function say(): void {
  const lines =
    own === undefined
      ? [
          `RAUTA serves examples/quickstart. Try, in another terminal:`,
          ``,
          `  curl -i ${GATEWAY}/hello            # split over two demo backends, with headers added`,
          `  curl -i ${GATEWAY}/old/page         # a redirect`,
          `  curl -s ${ADMIN}/requests                    # what just happened`,
          ``,
          `Admin: http://${ADMIN}/   Edit examples/quickstart/*.yaml and try again. Ctrl-C ends all.`,
        ]
      : [`RAUTA serves ${config}. Admin: http://${ADMIN}/   Ctrl-C ends all.`];
  process.stdout.write(`\n${lines.join('\n')}\n\n`);
}
