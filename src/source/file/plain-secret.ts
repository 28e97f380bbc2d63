// Reads Secrets of certificates as people and programs write them by the thousand: a few lines that hardly differ but
// for two long values, which are taken for what they are at once, Base64 of PEM. What is not of that form, everything
// that is wrong included, is null and for the readers of YAML and of the schema; of what is accepted here they would
// say the same (plain-secret.test.ts).

import { isDnsLabel, isDnsSubdomain } from '../../api/metadata.ts';
import type { KubeObject } from '../../api/object.ts';
import { keptPem } from '../../api/tls-secret.ts';
import { plainBase64 } from '../../base/base64.ts';
import { shared } from '../../base/tight.ts';

export interface PlainSecret {
  /** As it is to be kept. */
  readonly object: KubeObject;
  /** Where it begins, behind a marker. */
  readonly offset: number;
}

const TLS = 'kubernetes.io/tls';
/** Text without quotes, if it is none of the words below. */
const WORD = '[a-z][a-z0-9.-]*';
const WORDS = /^(?:y|n|yes|no|on|off|true|false|null)$/;
const FLOW = new RegExp(` \\{ ?name: (${WORD})(?:, namespace: (${WORD}))? ?\\}\\n`, 'y');
const NAME = new RegExp(`  (name|namespace): (${WORD})\\n`, 'y');
/** What kubectl writes of what it has not made. */
const NOT_CREATED = '  creationTimestamp: null\n';
/** Of what begins as PEM does (`-----BEGIN `), which is text whatever the schema. */
const VALUE = / {2}(tls\.crt|tls\.key): (?=LS0tLS1CRUdJTi)/y;

/** `text`: one document with its marker, at the most; `standard`: the namespace of what names none. */
export function readPlainSecret(text: string, standard: string): PlainSecret | null {
  return new Reader(text).secret(standard);
}

/** Each of the lines at the top stands once; of an object that has them all. */
class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  secret(standard: string): PlainSecret | null {
    this.#skip('---\n');
    const offset = this.#at;
    const said = new Map<string, unknown>();
    while (this.#at < this.#text.length) {
      const [name, value] = this.#field();
      if (value === null || said.has(name)) return null;
      said.set(name, value);
      while (this.#skip('\n'));
    }
    const metadata = said.get('metadata') as Names | undefined;
    if (said.size !== 5 || metadata === undefined) return null;
    const { name, namespace = standard } = metadata;
    const object: Record<string, unknown> = { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace } };
    // In the order in which they stand.
    for (const field of said.keys()) if (field === 'type' || field === 'data') object[field] = said.get(field);
    return { object: object as unknown as KubeObject, offset };
  }

  /** One of the five fields with its value; null for what is not plain. */
  #field(): [string, unknown] {
    if (this.#skip('data:\n')) return ['data', this.#data()];
    if (this.#skip('metadata:')) return ['metadata', this.#metadata()];
    if (this.#skip('apiVersion: v1\n')) return ['apiVersion', ''];
    if (this.#skip('kind: Secret\n')) return ['kind', ''];
    return this.#skip('type: kubernetes.io/tls\n') ? ['type', TLS] : ['', null];
  }

  #metadata(): Names | null {
    const [, name, namespace] = this.#match(FLOW) ?? [];
    if (name !== undefined) return namesOf(name, namespace);
    if (!this.#skip('\n')) return null;
    const names: { name?: string; namespace?: string } = {};
    for (;;) {
      const [, field, value] = this.#match(NAME) ?? [];
      if (field === 'name' || field === 'namespace') {
        if (names[field] !== undefined) return null;
        names[field] = value as string;
      } else if (!this.#skip(NOT_CREATED))
        return names.name === undefined ? null : namesOf(names.name, names.namespace);
    }
  }

  /** Both values, and no other. */
  #data(): object | null {
    const data: Record<string, object> = {};
    for (let i = 0; i < 2; i++) {
      const [, name] = this.#match(VALUE) ?? [];
      const end = this.#text.indexOf('\n', this.#at);
      if (name === undefined || end < 0 || Object.hasOwn(data, name)) return null;
      const text = plainBase64(this.#text.slice(this.#at, end));
      const kept = text === null ? null : keptPem(text);
      if (kept === null) return null;
      data[name] = kept;
      this.#at = end + 1;
    }
    return data;
  }

  #skip(word: string): boolean {
    if (!this.#text.startsWith(word, this.#at)) return false;
    this.#at += word.length;
    return true;
  }

  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text);
    if (found !== null) this.#at = pattern.lastIndex;
    return found;
  }
}

interface Names {
  readonly name: string;
  readonly namespace?: string;
}

/** Null for what is no text, or no name. */
function namesOf(name: string, namespace: string | undefined): Names | null {
  if (WORDS.test(name) || !isDnsSubdomain(name)) return null;
  if (namespace === undefined) return { name: whole(name) };
  return WORDS.test(namespace) || !isDnsLabel(namespace)
    ? null
    : { name: whole(name), namespace: shared(whole(namespace)) };
}

/** Not the slice of a text that is to go. */
function whole(text: string): string {
  return Buffer.from(text).toString();
}
