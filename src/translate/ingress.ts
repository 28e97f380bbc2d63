// Ingresses by themselves, and what all of them ask of sockets together (networking.k8s.io/v1 IngressSpec): port 80 for
// any host, port 443 for each host of spec.tls. To the plan of sockets that is one Gateway more, the last of all, which
// shares a hostname with whoever has it already.

import { type KubeObject, keyOf, type ObjectKey } from '../api/object.ts';
import { Problems } from '../api/problem.ts';
import { type Fields, fields } from '../base/fields.ts';
import type { Key } from '../ir/ir.ts';
import { gatewayKey } from '../ir/keys.ts';
import { NO_CERTIFICATE } from './client-certificate.ts';
import type { TranslatorOptions } from './context.ts';
import { createdOf, olderFirst } from './context.ts';
import type { Reader } from './dependencies.ts';
import { UNASKED } from './frontend-tls.ts';
import type { GatewayDraft, GatewayPlan } from './gateway.ts';
import { isHostname } from './hostname.ts';
import { isCanary } from './ingress-canary.ts';
import { claimIngress } from './ingress-class.ts';
import { Annotations } from './ingress-read.ts';
import { aliasesOf, otherOfWww, wwwOf } from './ingress-redirect.ts';
import type { ListenerDraft } from './listener.ts';
import { defaultCertificate, type ListenerTls, listenerTls } from './listener-tls.ts';
import { list, shown, text } from './read.ts';

const HTTP_PORT = 80;
const HTTPS_PORT = 443;
const ANY = '*';

/** What one Ingress says of TLS. */
export interface IngressDraft {
  /** `namespace/name`. */
  readonly name: string;
  readonly created: number;
  /** Hosts of spec.tls, '*' for an item that names none, in order. */
  readonly hosts: readonly IngressHost[];
}

export interface IngressHost {
  readonly hostname: string;
  /** Field path of the first item that names it. */
  readonly field: string;
  /** Null when there is no certificate that can be shown. */
  readonly tls: ListenerTls | null;
}

export interface IngressResult {
  /** Null when the Ingress is not ours. */
  readonly draft: IngressDraft | null;
  readonly problems: Problems;
}

export function draftIngress(reader: Reader, object: KubeObject, options: TranslatorOptions): IngressResult {
  const problems = new Problems(keyOf(object));
  const { ours, warning } = claimIngress(reader, object, options);
  if (warning !== null) problems.warning(warning.field, warning.message, warning.absent);
  if (!ours) return { draft: null, problems };
  const namespace = object.metadata.namespace ?? '';
  const name = `${namespace}/${object.metadata.name}`;
  const spec = fields(object.spec);
  // What comes to a canary comes by the Ingress that it has a share of.
  if (isCanary(object)) return { draft: { name, created: createdOf(object), hosts: [] }, problems };
  const hosts = [...hostsOf(spec, problems)].map(([hostname, { field, secrets }]) => ({
    hostname,
    field,
    tls: hostTls(reader, namespace, field, secrets, options, problems),
  }));
  unruled(object, problems);
  return { draft: { name, created: createdOf(object), hosts }, problems };
}

interface HostSecrets {
  readonly field: string;
  /** Names, each once; null for an item without: the default certificate. */
  readonly secrets: Set<string | null>;
}

/** A host with a certificate that no rule is for: the one that was meant is served in the clear. */
function unruled(object: KubeObject, problems: Problems): void {
  const spec = fields(object.spec);
  const rules = list(spec['rules']).map((rule) => text(fields(rule)['host'])?.toLowerCase());
  if (rules.length === 0 || rules.includes(undefined) || spec['defaultBackend'] !== undefined) return;
  const read = new Annotations(object, new Problems(null));
  const www = wwwOf(read) ? rules.map((rule = '') => otherOfWww(rule)) : [];
  const more = new Set<string | null>([...aliasesOf(read), ...www]);
  const under = (host: string, wildcard: string): boolean =>
    wildcard.startsWith('*.') && host.endsWith(wildcard.slice(1));
  for (const [i, item] of list(spec['tls']).entries())
    for (const [j, value] of list(fields(item)['hosts']).entries()) {
      const host = text(value)?.toLowerCase() ?? '';
      if (
        host === ANY ||
        more.has(host) ||
        rules.some((rule = '') => rule === host || under(host, rule) || under(rule, host))
      )
        continue;
      const message = `No rule is for ${shown(value)}: they are for ${[...new Set(rules)].join(', ')}.`;
      problems.warning(`spec.tls[${i}].hosts[${j}]`, message);
    }
}

/** By hostname: one that stands in several items has the certificates of them all (of RSA and of ECDSA, say). */
function hostsOf(spec: Fields, problems: Problems): Map<string, HostSecrets> {
  const found = new Map<string, HostSecrets>();
  for (const [i, value] of list(spec['tls']).entries()) {
    const item = fields(value);
    const names = list(item['hosts']);
    for (const [j, host] of (names.length === 0 ? [ANY] : names).entries()) {
      const hostname = (text(host) ?? '').toLowerCase();
      if (hostname !== ANY && !isHostname(hostname)) {
        problems.error(`spec.tls[${i}].hosts[${j}]`, `${shown(host)} is not a hostname.`);
        continue;
      }
      const known = found.get(hostname) ?? { field: `spec.tls[${i}]`, secrets: new Set() };
      known.secrets.add(text(item['secretName']) ?? null);
      found.set(hostname, known);
    }
  }
  return found;
}

function hostTls(
  reader: Reader,
  namespace: string,
  field: string,
  secrets: ReadonlySet<string | null>,
  options: TranslatorOptions,
  problems: Problems,
): ListenerTls | null {
  const named = [...secrets].filter((name) => name !== null);
  const refs = { certificateRefs: named.map((name) => ({ name })) };
  // What is wrong with a Secret is told where an Ingress names it.
  const wrong = new Problems(null);
  const own =
    named.length === 0
      ? null
      : listenerTls(reader, { kind: 'Gateway', namespace }, refs, { field, hostname: '' }, UNASKED, wrong).tls;
  for (const { severity, message, absent } of wrong.found) {
    const told = problems.found.some((one) => one.message === message && one.place.field === `${field}.secretName`);
    if (!told) problems[severity](`${field}.secretName`, message, absent);
  }
  if (own !== null) return own;
  const shared = defaultTls(reader, field, options, problems);
  if (shared === null && named.length === 0) {
    problems.error(field, 'It names no Secret, and there is no default certificate: its hosts are not served by TLS.');
  }
  return shared;
}

/** Of the default certificate (`--default-certificate`); null when there is none. */
function defaultTls(
  reader: Reader,
  field: string,
  { defaultCertificate: other }: TranslatorOptions,
  problems: Problems,
): ListenerTls | null {
  if (other === undefined || other === null) return null;
  const refs = { certificateRefs: [{ name: other.name }] };
  return listenerTls(
    reader,
    { kind: 'Gateway', namespace: other.namespace },
    refs,
    { field, hostname: '' },
    UNASKED,
    problems,
  ).tls;
}

/** The key by which the Gateway that Ingresses make together is known. No Gateway can have it. */
export const INGRESS_GATEWAY: ObjectKey = 'ingress/';
const NAME = 'ingress';
const HTTP_LISTENER = 'http';

export interface Outdone {
  /** `namespace/name` of an Ingress. */
  readonly name: string;
  readonly host: IngressHost;
  /** Whose certificate is shown instead. */
  readonly by: string;
}

export interface SharedDraft {
  readonly draft: GatewayDraft;
  /** Hosts for which an older Ingress shows its certificate. */
  readonly outdone: readonly Outdone[];
}

/** What all Ingresses ask for; null when there is none. */
export function shareIngresses(
  reader: Reader,
  drafts: Iterable<IngressDraft>,
  options: TranslatorOptions,
): SharedDraft | null {
  const sorted = [...drafts].sort(olderFirst);
  const [oldest] = sorted;
  if (oldest === undefined) return null;
  const problems = new Problems(null);
  const fallback =
    options.defaultCertificate == null ? null : defaultCertificate(reader, options.defaultCertificate, '', problems);
  const hosts = new Map<string, { readonly tls: ListenerTls; readonly of: string }>();
  const outdone: Outdone[] = [];
  for (const { name, hosts: wanted } of sorted) {
    for (const host of wanted) {
      if (host.tls === null) continue;
      const before = hosts.get(host.hostname);
      if (before === undefined) hosts.set(host.hostname, { tls: host.tls, of: name });
      else if (!sameCertificates(before.tls, host.tls)) outdone.push({ name, host, by: before.of });
    }
  }
  // Who asks a host by TLS that no Ingress has a certificate for is shown the default one.
  const others = hosts.has(ANY) ? null : defaultTls(reader, '', options, problems);
  if (others !== null) hosts.set(ANY, { tls: others, of: '' });
  const listeners = [listenerOf(ANY, null, options)];
  for (const [hostname, { tls }] of hosts) listeners.push(listenerOf(hostname, { ...tls, fallback }, options));
  const draft: GatewayDraft = {
    key: INGRESS_GATEWAY,
    name: NAME,
    namespace: '',
    className: '',
    uid: '',
    infrastructure: { labels: {}, annotations: {} },
    created: oldest.created,
    generation: 1,
    service: null,
    entry: { kind: 'gateway', key: gatewayKey('', NAME), name: NAME },
    refused: null,
    addresses: { own: [], any: true, held: [], unsupported: null, unusable: null },
    clientCertificate: NO_CERTIFICATE,
    sets: { from: 'None' },
    listeners,
    conflicts: listeners.map(() => null),
  };
  return { draft, outdone };
}

function sameCertificates(a: ListenerTls, b: ListenerTls): boolean {
  return a.settings.certificates.join() === b.settings.certificates.join();
}

function listenerOf(hostname: string, tls: ListenerTls | null, options: TranslatorOptions): ListenerDraft {
  const port = tls === null ? HTTP_PORT : HTTPS_PORT;
  return {
    name: tls === null ? HTTP_LISTENER : `https ${hostname}`,
    field: '',
    port,
    boundPort: options.portMap.get(port) ?? port,
    protocol: tls === null ? 'HTTP' : 'HTTPS',
    hostname,
    kinds: [{ group: 'networking.k8s.io', kind: 'Ingress' }],
    namespaces: { from: 'All' },
    tls,
    passthrough: false,
    proxyProtocol: proxiesOf(options),
    fault: null,
    closed: null,
    refs: null,
  };
}

function proxiesOf({ proxyProtocol: trusted = [] }: TranslatorOptions): ListenerDraft['proxyProtocol'] {
  return trusted.length === 0 ? null : { trusted };
}

/** Where Ingress rules can be put. */
export interface IngressView {
  /** Of port 80, for any host. */
  readonly http: IngressPlace;
  /** Of port 443, by hostname of spec.tls. */
  readonly https: ReadonlyMap<string, IngressPlace>;
}

export interface IngressPlace {
  readonly sockets: readonly Key[];
  /** Why there are none. */
  readonly fault: string | null;
}

const NOWHERE: IngressPlace = { sockets: [], fault: null };

export function viewOfIngress(draft: GatewayDraft, plan: GatewayPlan): IngressView {
  let http = NOWHERE;
  const https = new Map<string, IngressPlace>();
  for (const [i, listener] of draft.listeners.entries()) {
    const placement = plan.placements[i];
    const place = { sockets: placement?.sockets ?? [], fault: placement?.conflict?.message ?? null };
    if (listener.protocol === 'HTTP') http = place;
    else https.set(listener.hostname, place);
  }
  return { http, https };
}
