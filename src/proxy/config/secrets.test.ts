// What is made ready before its revision is whole is the revision's when that comes, and nobody's when it does not.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TlsIo } from '../../io/tls.ts';
import type { CertificateEntry, ClientTls, TrustEntry } from '../../ir/ir.ts';
import { Pieces } from './pieces.ts';
import { ApplyError, type Undo } from './refused.ts';
import { Secrets } from './secrets.ts';

/** Hands out numbers, and knows which of them are still held. */
class FakeTls {
  readonly held = new Set<number>();
  made = 0;
  /** Certificates that begin with it are refused. */
  bad = 'none';
  certificate(chain: readonly Uint8Array[]): number {
    if (
      Buffer.from(chain[0] as Uint8Array)
        .toString('latin1')
        .startsWith(this.bad)
    )
      throw new Error('is bad');
    return this.#make();
  }
  trust(): number {
    return this.#make();
  }
  clientContext(): number {
    return this.#make();
  }
  dropCertificate(id: number): void {
    assert.ok(this.held.delete(id), `${id} is dropped twice`);
  }
  dropTrust(id: number): void {
    this.dropCertificate(id);
  }
  dropContext(id: number): void {
    this.dropCertificate(id);
  }
  setTicketKeys(): void {}

  #make(): number {
    this.held.add(++this.made);
    return this.made;
  }
}

const NOTHING = { certificate: [], trust: [] };

const certificate = (key: string, chain = key): CertificateEntry => ({
  ...{
    kind: 'certificate',
    key,
    chain: [chain],
    privateKey: 'key',
    fingerprint: '',
    staple: '',
    stapleFrom: 0,
    stapleUntil: 0,
  },
});
const trust: TrustEntry = { kind: 'trust', key: 'trust/a', authorities: ['YQ=='], revoked: [] };
const client = (key: string): ClientTls => ({
  ...{ trust: trust.key, certificate: key, minVersion: 'TLSv1.2', alpn: [], hostname: 'a.example' },
  subjectAltNames: [],
});

function world(): { readonly tls: FakeTls; readonly secrets: Secrets } {
  const tls = new FakeTls();
  return { tls, secrets: new Secrets(() => tls as unknown as TlsIo) };
}

/** The steps of a revision of `upserts`; `use` looks at what stands before it is committed. */
function apply(secrets: Secrets, upserts: readonly (CertificateEntry | TrustEntry)[], use = (): void => {}): void {
  const undo: Undo = [];
  try {
    const steps = secrets.install(upserts, NOTHING, undo, new Pieces());
    let step = steps.next();
    while (step.done !== true) step = steps.next();
    use();
    for (const one of step.value) one.commit();
  } catch (error) {
    for (const one of undo.reverse()) one();
    throw error;
  }
}

test('what was made ready ahead is made once', () => {
  const { tls, secrets } = world();
  const entries = [trust, ...Array.from({ length: 200 }, (_, i) => certificate(`certificate/a/${i}`))];
  for (const entry of entries) secrets.ahead(entry);
  assert.equal(tls.made, 201);
  assert.equal(secrets.kept, 0, 'and nobody sees it');
  apply(secrets, entries);
  assert.deepEqual([tls.made, tls.held.size, secrets.kept], [201, 201, 201]);
  secrets.dispose();
  assert.equal(tls.held.size, 0);
});

test('of two under one key the one of the revision stands, also for what is made of it in the same revision', () => {
  const { tls, secrets } = world();
  const key = 'certificate/a/b';
  const [before, after] = [certificate(key, 'before'), certificate(key, 'after')];
  for (const entry of [trust, before, after]) secrets.ahead(entry);
  apply(secrets, [trust, after], () => secrets.table.acquireClient(client(key)));
  assert.equal(secrets.table.acquire(key).id, 3);
  assert.deepEqual([...tls.held], [1, 3, 4]);
});

test('what the revision that comes does not have is given back, whoever began to send it', () => {
  const { tls, secrets } = world();
  const [a, b] = [certificate('certificate/a/a'), certificate('certificate/a/b')];
  secrets.ahead(a);
  secrets.ahead(b);
  // An equal one, of who began anew.
  apply(secrets, [certificate(a.key)]);
  assert.deepEqual([...tls.held], [3]);
  secrets.ahead(b);
  secrets.dispose();
  assert.equal(tls.held.size, 0);
});

test('what cannot be used is refused by its revision, with its key, and nothing of that stays', () => {
  const { tls, secrets } = world();
  tls.bad = 'bad';
  const entries = [
    certificate('certificate/a/a'),
    certificate('certificate/a/b', 'bad'),
    certificate('certificate/a/c'),
  ];
  for (const entry of entries) secrets.ahead(entry);
  assert.throws(
    () => apply(secrets, entries),
    (error) => error instanceof ApplyError && error.key === 'certificate/a/b',
  );
  apply(secrets, []);
  assert.deepEqual([tls.held.size, secrets.kept], [0, 0]);
});
