// Points of private keys, computed by a thread while the files that hold them are still being read. Whether a key is
// its certificate's costs a multiplication on the curve, for ten thousand a seventh of what a start takes, and the
// other core has nothing to do meanwhile. The translator asks for the point of a scalar as ever, computes what is not
// here, and cannot tell the difference.

import type { Worker } from 'node:worker_threads';
import type { KubeObject } from '../api/object.ts';
import { pemOf } from '../api/tls-secret.ts';
import { LIMITS } from '../base/limits.ts';
import { P256_POINT_BYTES, P256_SCALAR_BYTES, p256ScalarOf, usePoints } from '../translate/plain-ec.ts';

/** How many scalars there are (-1: no more will come), and how many points. */
const [GIVEN, DONE] = [0, 1];
const STATE_BYTES = 8;
const SCALARS_BYTES = LIMITS.POINTS_AHEAD * P256_SCALAR_BYTES;

/** Plain JavaScript, so that the thread erases no types; it has nothing but the memory that it is given. */
const THREAD = `
const { workerData } = require('node:worker_threads');
const { createECDH } = require('node:crypto');
const { memory, scalars, points, scalarBytes, pointBytes } = workerData;
const state = new Int32Array(memory, 0, 2);
const bytes = Buffer.from(memory);
const scalar = Buffer.alloc(scalarBytes);
const curve = createECDH('prime256v1');
for (let done = 0; ; ) {
  Atomics.wait(state, ${GIVEN}, done);
  const given = Atomics.load(state, ${GIVEN});
  if (given < 0) break;
  for (; done < given && Atomics.load(state, ${GIVEN}) >= 0; ) {
    bytes.copy(scalar, 0, scalars + done * scalarBytes, scalars + (done + 1) * scalarBytes);
    try {
      curve.setPrivateKey(scalar);
      curve.getPublicKey().copy(bytes, points + done * pointBytes);
    } catch {}
    Atomics.store(state, ${DONE}, ++done);
  }
}
scalar.fill(0);
`;

export class Points {
  /** Places of scalars, one character a byte. */
  readonly #places = new Map<string, number>();
  /** Until there are enough of them for a thread. */
  #waiting: string[] = [];
  #memory: SharedArrayBuffer | null = null;
  #thread: Worker | null = null;
  #ended = false;

  /** Scalars that the thread has, and points that it made of them. */
  get progress(): { readonly given: number; readonly done: number } {
    if (this.#memory === null) return { given: 0, done: 0 };
    return { given: this.#places.size, done: Atomics.load(new Int32Array(this.#memory, 0, 2), DONE) };
  }

  /** An object was read that will probably be translated: looks whether it holds such a key. */
  found(object: KubeObject): void {
    if (this.#ended || object.kind !== 'Secret' || object['type'] !== 'kubernetes.io/tls') return;
    const blocks = pemOf(object, 'tls.key');
    const [block] = typeof blocks === 'string' ? [] : blocks;
    const scalar = block === undefined ? null : p256ScalarOf(block.label, block.text);
    if (scalar === null) return;
    if (this.#memory === null) {
      this.#waiting.push(scalar);
      if (this.#waiting.length >= LIMITS.POINTS_LEAST) this.#begin();
    } else this.#give(scalar, this.#memory);
  }

  #begin(): void {
    const memory = new SharedArrayBuffer(STATE_BYTES + SCALARS_BYTES + LIMITS.POINTS_AHEAD * P256_POINT_BYTES);
    const layout = { memory, scalars: STATE_BYTES, points: STATE_BYTES + SCALARS_BYTES };
    const workerData = { ...layout, scalarBytes: P256_SCALAR_BYTES, pointBytes: P256_POINT_BYTES };
    const { Worker: Thread } = process.getBuiltinModule('node:worker_threads');
    this.#memory = memory;
    for (const scalar of this.#waiting) this.#give(scalar, memory);
    this.#waiting = [];
    usePoints((scalar) => this.#of(scalar));
    this.#thread = new Thread(THREAD, { eval: true, workerData, execArgv: [], env: {} });
    this.#thread.unref();
    // Who has no thread computes by himself.
    this.#thread.on('error', () => {});
  }

  #give(scalar: string, memory: SharedArrayBuffer): void {
    const place = this.#places.size;
    if (place >= LIMITS.POINTS_AHEAD || this.#places.has(scalar)) return;
    this.#places.set(scalar, place);
    const state = new Int32Array(memory, 0, 2);
    Buffer.from(memory, STATE_BYTES + place * P256_SCALAR_BYTES, P256_SCALAR_BYTES).write(scalar, 'latin1');
    Atomics.store(state, GIVEN, place + 1);
    Atomics.notify(state, GIVEN);
  }

  /** Uncompressed; null where it is not known (yet). */
  #of(scalar: string): Uint8Array | null {
    const place = this.#places.get(scalar);
    const memory = this.#memory;
    if (place === undefined || memory === null || place >= this.progress.done) return null;
    const at = STATE_BYTES + SCALARS_BYTES + place * P256_POINT_BYTES;
    const point = new Uint8Array(memory, at, P256_POINT_BYTES);
    // Of what is no key there is none.
    return point[0] === 0 ? null : point;
  }

  /** No more is asked for: nothing of the keys stays. */
  end(): void {
    this.#ended = true;
    this.#waiting = [];
    const memory = this.#memory;
    if (memory === null) return;
    usePoints(null);
    const state = new Int32Array(memory, 0, 2);
    Atomics.store(state, GIVEN, -1);
    Atomics.notify(state, GIVEN);
    new Uint8Array(memory, STATE_BYTES).fill(0);
    this.#places.clear();
    this.#memory = null;
    void this.#thread?.terminate();
    this.#thread = null;
  }
}
