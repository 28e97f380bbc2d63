// What tests in a real cluster (real-cluster.sh) have as a person with kubectl has it: kubectl itself, and the program
// with the rights of a service account.

import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';
import { childrenOf } from '../process/support.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
export const environment = (name: string): string => process.env[name] as string;
export const KUBECTL = join(dirname(environment('RAUTA_CLUSTER_BIN')), 'kubectl');
/** Far more than anything takes. */
const WAIT_MS = 180_000;

export const kubectl = (args: readonly string[], input = ''): string =>
  execFileSync(KUBECTL, args, { input, stdio: ['pipe', 'pipe', 'inherit'] }).toString();
export const apply = (yaml: string): string => kubectl(['apply', '--server-side', '-f', '-'], yaml);

/** The program with the rights of a service account of rauta-system, and its admin at `port`. */
export class Program {
  readonly child: ChildProcess;
  readonly admin: string;
  constructor(account: string, port: number, args: readonly string[]) {
    this.admin = `http://127.0.0.1:${port}`;
    this.child = spawn(
      'sh',
      ['bin/node', 'test/conformance/serve.ts', '--admin', `127.0.0.1:${port}`, '--access-log', 'off', ...args],
      { cwd: root, stdio: ['ignore', 'ignore', 'ignore'], env: { ...process.env, RAUTA_ACCOUNT: account } },
    );
    running.add(this);
  }
  async ready(): Promise<void> {
    await until('ready', async () => {
      const answer = await fetch(`${this.admin}/readyz`);
      const text = await answer.text();
      return answer.status === 200 ? null : text;
    });
  }
  async leads(): Promise<boolean> {
    const page = (await (await fetch(`${this.admin}/kubernetes`)).json()) as { leader: { leads: boolean } };
    return page.leader.leads;
  }
  /** The process of the controller. */
  get controller(): number {
    const [keeper] = childrenOf(this.child.pid as number);
    const found = childrenOf(keeper?.pid ?? 0).find((c) => c.command.includes('controller'));
    return found?.pid as number;
  }
  async stop(): Promise<void> {
    running.delete(this);
    const ended = new Promise((resolve) => this.child.on('exit', resolve));
    this.child.kill('SIGTERM');
    await ended;
  }
}
const running = new Set<Program>();
after(async () => {
  for (const program of running) await program.stop();
});

/** Looks again and again, without haste, until `look` has nothing to say of what is not so yet. */
export async function until(what: string, look: () => Promise<string | null>): Promise<void> {
  const started = performance.now();
  for (;;) {
    const seen = await look().catch((error: unknown) => String(error));
    if (seen === null) return;
    assert.ok(performance.now() - started < WAIT_MS, `not in ${WAIT_MS} ms: ${what}: ${seen}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
/** Until `kubectl describe` says all of these, in whatever order. */
export async function described(object: readonly string[], ...said: readonly RegExp[]): Promise<void> {
  await until(`describe ${object.join(' ')}`, async () => {
    const text = kubectl(['describe', ...object]);
    const missing = said.filter((pattern) => !pattern.test(text));
    return missing.length === 0 ? null : `${missing.join(' ')} is missing in:\n${text}`;
  });
}

/** An object that is only there. */
export const named = (kind: string, name: string, apiVersion = 'v1'): string => `
apiVersion: ${apiVersion}
kind: ${kind}
metadata: { name: ${name} }
---
`;
