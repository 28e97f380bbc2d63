// For tests of sources: a sink that remembers and can be waited for.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type KubeObject, keyOf, type ObjectKey } from '../../api/object.ts';
import type { Problem } from '../../api/problem.ts';
import type { Timers } from '../../base/timers.ts';
import type { Source, SourceSink } from '../source.ts';

export class MemorySink implements SourceSink {
  readonly objects = new Map<ObjectKey, KubeObject>();
  readonly told = new Map<string, readonly Problem[]>();
  /** Keys of each step, upserts as they are, removals with a minus. */
  readonly steps: string[][] = [];
  isSynced = false;
  #waiting: (() => void)[] = [];

  apply(upserts: readonly KubeObject[], removals: readonly ObjectKey[]): void {
    for (const object of upserts) this.objects.set(keyOf(object), object);
    for (const key of removals) this.objects.delete(key);
    this.steps.push([...upserts.map(keyOf), ...removals.map((key) => `-${key}`)]);
    this.#news();
  }
  problems(origin: string, problems: readonly Problem[]): void {
    if (problems.length === 0) this.told.delete(origin);
    else this.told.set(origin, problems);
    this.#news();
  }
  synced(): void {
    this.isSynced = true;
    this.#news();
  }

  /** Waits until `condition` holds, looking whenever something was delivered. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }
  #news(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }

  keys(): string[] {
    return [...this.objects.keys()].sort();
  }
  /** `file:line:column severity message`, without the folder `dir`. */
  lines(dir: string): string[] {
    return [...this.told.values()]
      .flat()
      .map(({ place: p, severity, message }) => {
        const file = p.file?.replaceAll(`${dir}/`, '');
        return `${file}${p.line ? `:${p.line}:${p.column}` : ''} ${severity} ${message.replaceAll(`${dir}/`, '')}`;
      })
      .sort();
  }
}

/** A source that a test speaks for. */
export class HandSource implements Source {
  sink: SourceSink | null = null;
  start(sink: SourceSink): void {
    this.sink = sink;
  }
  async stop(): Promise<void> {}
  rescan(): void {}
}

/** Timers that a test fires. */
export class HandTimers implements Timers {
  readonly armed: { ms: number; fire: () => void }[] = [];
  #waiting: (() => void)[] = [];

  after(ms: number, fire: () => void): () => void {
    const timer = { ms, fire };
    this.armed.push(timer);
    for (const resolve of this.#waiting.splice(0)) resolve();
    return () => {
      const i = this.armed.indexOf(timer);
      if (i >= 0) this.armed.splice(i, 1);
    };
  }
  /** Waits until something has been armed. */
  async some(): Promise<void> {
    while (this.armed.length === 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }
  /** Fires all timers of this length. */
  async fireAll(ms: number): Promise<void> {
    const due = this.armed.filter((t) => t.ms === ms);
    for (const timer of due) this.armed.splice(this.armed.indexOf(timer), 1);
    for (const timer of due) timer.fire();
    await answered();
  }
  /** Fires the only timer of this length. */
  async fire(ms: number): Promise<void> {
    const due = this.armed.filter((t) => t.ms === ms);
    assert.equal(due.length, 1, `timers: ${this.armed.map((t) => t.ms)}`);
    this.armed.splice(this.armed.indexOf(due[0] as (typeof due)[0]), 1);
    due[0]?.fire();
    await answered();
  }
}

/** Lets pending promises run. */
export async function answered(): Promise<void> {
  for (let i = 0; i < 10; i++) await Promise.resolve();
}

/** A folder that is removed when the test ends. */
export function testFolder(t: { after(done: () => void): void }): string {
  const dir = mkdtempSync(join(tmpdir(), 'rauta-source-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** An HTTPRoute that ends with a newline. */
export function routeYaml(name: string, host = `${name}.example.com`): string {
  return `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: ${name}
spec:
  hostnames:
    - ${host}
`;
}
