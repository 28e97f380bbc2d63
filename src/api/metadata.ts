// What the API server demands of metadata: names, labels, annotations
// (k8s.io/apimachinery pkg/api/validation, pkg/util/validation).

import { type Fields, isFields } from '../base/fields.ts';
import { nearest } from '../base/nearest.ts';
import { labelValueForm, nameForm, templateForm, typeForm } from './forms.ts';
import type { Metadata } from './object.ts';
import type { Problems } from './problem.ts';
import type { KindInfo, Shape } from './shape.ts';
import { at, setField } from './value.ts';

/** RFC 1123 label: at most 63 characters. */
const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
/** RFC 1123 subdomain: labels joined by dots, at most 253 characters. */
const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const QUALIFIED_NAME = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;
const LABEL_VALUE = /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/;
const DATE_TIME = /^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$/;
/** Sum of keys and values. */
const ANNOTATIONS_BYTES = 256 * 1024;
/** A second copy of the whole object, of a Secret's contents too. */
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

const TEXT: Shape = { type: 'string' };
const MAP: Shape = { type: 'map' };
export const DATE_TIME_FORM = { must: 'must be a date and time (RFC 3339) like 2026-11-27T10:00:00Z', write: '' };

const KNOWN: ReadonlySet<string> = new Set([
  ...['name', 'generateName', 'namespace', 'selfLink', 'uid', 'resourceVersion', 'generation', 'creationTimestamp'],
  ...['deletionTimestamp', 'deletionGracePeriodSeconds', 'labels', 'annotations', 'ownerReferences', 'finalizers'],
  'managedFields',
]);

export function isDnsLabel(text: string): boolean {
  return text.length <= 63 && LABEL.test(text);
}
export function isDnsSubdomain(text: string): boolean {
  return text.length <= 253 && SUBDOMAIN.test(text);
}
/** RFC 3339 date-time. */
export function isDateTime(text: string): boolean {
  return DATE_TIME.test(text) && !Number.isNaN(Date.parse(text));
}

/** Checks metadata and keeps what the rest of the program reads. `defaultNamespace` is for objects that name none. */
export function checkMetadata(
  value: unknown,
  info: KindInfo,
  defaultNamespace: string,
  problems: Problems,
): Metadata | null {
  if (!isFields(value)) {
    const write = `{ name: ${typeof value === 'string' && value !== '' ? value : 'app'} }`;
    if (value === undefined || value === null) problems.missing('metadata', `metadata: ${write}`);
    else problems.wrong('metadata', { must: 'must be a mapping (NAME: VALUE)', write }, value);
    return null;
  }
  for (const name of Object.keys(value)) {
    if (KNOWN.has(name)) continue;
    problems.unknown(at('metadata', name), `unknown field; ${meant(name)}`);
  }
  const name = checkName(value, info, problems);
  const namespace = checkNamespace(value, info, defaultNamespace, problems);
  const generation = value['generation'];
  const metadata: Record<string, unknown> = { name };
  if (info.namespaced) metadata['namespace'] = namespace;
  if (typeof generation === 'number' && Number.isSafeInteger(generation)) metadata['generation'] = generation;
  for (const key of ['uid', 'resourceVersion']) {
    const text = optionalText(value, key, problems);
    if (text !== undefined) metadata[key] = text;
  }
  for (const key of ['creationTimestamp', 'deletionTimestamp']) {
    const text = optionalText(value, key, problems);
    if (text === undefined) continue;
    if (isDateTime(text)) metadata[key] = text;
    else problems.wrong(`metadata.${key}`, DATE_TIME_FORM, text);
  }
  const labels = checkTexts(value, 'labels', problems);
  if (labels !== undefined) {
    for (const [key, text] of Object.entries(labels)) {
      checkKey('metadata.labels', key, problems);
      if (text.length > 63 || !LABEL_VALUE.test(text)) {
        problems.wrong(at('metadata.labels', key), labelValueForm(text), text);
      }
    }
    metadata['labels'] = labels;
  }
  const annotations = checkTexts(value, 'annotations', problems);
  if (annotations !== undefined) {
    let bytes = 0;
    for (const [key, text] of Object.entries(annotations)) {
      checkKey('metadata.annotations', key.toLowerCase(), problems);
      bytes += Buffer.byteLength(key) + Buffer.byteLength(text);
    }
    if (bytes > ANNOTATIONS_BYTES) problems.error('metadata.annotations', `must not exceed ${ANNOTATIONS_BYTES} bytes`);
    delete annotations[LAST_APPLIED];
    metadata['annotations'] = annotations;
  }
  return metadata as unknown as Metadata;
}

function meant(name: string): string {
  const near = nearest(name, KNOWN);
  if (near !== undefined) return `did you mean ${near}?`;
  const indented = 'it stands beside metadata: begin it in the same column';
  return name === 'spec' || name === 'data' ? indented : 'labels and annotations take names of any kind';
}

function checkName(value: Fields, info: KindInfo, problems: Problems): string {
  const name = optionalText(value, 'name', problems);
  if (name === undefined || name === '') {
    // What is no text has been told of.
    if (name === '' || value['name'] === undefined || value['name'] === null)
      problems.missing('metadata.name', 'name: app');
    return '';
  }
  const most = info.name === 'label' ? 63 : 253;
  if (name.length > most) {
    problems.error('metadata.name', `must have at most ${most} characters, not ${name.length}`);
  } else if (info.name === 'label' ? !isDnsLabel(name) : !isDnsSubdomain(name)) {
    problems.wrong('metadata.name', templateForm(name) ?? nameForm(name, info.name !== 'label'), name);
  }
  return name;
}

function checkNamespace(value: Fields, info: KindInfo, defaultNamespace: string, problems: Problems): string {
  const namespace = optionalText(value, 'namespace', problems);
  if (!info.namespaced) {
    if (namespace) problems.warning('metadata.namespace', `kind ${info.kind} has no namespace, ignored`);
    return '';
  }
  if (namespace === undefined || namespace === '') return defaultNamespace;
  if (!isDnsLabel(namespace)) {
    problems.wrong('metadata.namespace', templateForm(namespace) ?? nameForm(namespace, false), namespace);
  }
  return namespace;
}

/** Qualified name: an optional DNS subdomain and '/', then at most 63 characters. */
function checkKey(path: string, key: string, problems: Problems): void {
  const slash = key.indexOf('/');
  const name = key.slice(slash + 1);
  const prefix = slash < 0 ? null : key.slice(0, slash);
  if ((prefix !== null && !isDnsSubdomain(prefix)) || name.length > 63 || !QUALIFIED_NAME.test(name)) {
    const { write } = labelValueForm(name);
    const form = `at most 63 letters, digits, '-', '_' and '.', perhaps behind a domain and '/' (example.com/tier)`;
    problems.error(at(path, key), `the key must be ${form}${write === '' ? '' : `: write ${write}`}`);
  }
}

function optionalText(value: Fields, key: string, problems: Problems): string | undefined {
  const text = value[key];
  if (text === undefined || text === null) return undefined;
  if (typeof text === 'string') return text;
  problems.wrong(`metadata.${key}`, typeForm(text, TEXT), text);
  return undefined;
}

function checkTexts(value: Fields, key: string, problems: Problems): Record<string, string> | undefined {
  const map = value[key];
  if (map === undefined || map === null) return undefined;
  if (!isFields(map)) {
    problems.wrong(`metadata.${key}`, typeForm(map, MAP), map);
    return undefined;
  }
  const out: Record<string, string> = {};
  for (const [name, text] of Object.entries(map)) {
    if (typeof text === 'string') setField(out, name, text);
    else problems.wrong(at(`metadata.${key}`, name), typeForm(text, TEXT), text);
  }
  return out;
}
