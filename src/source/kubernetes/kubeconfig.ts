// Where the API server is and how it is asked, after a kubeconfig (client-go's tools/clientcmd: the fields of its v1
// API) or as a pod is told. Pure but for the reading of files, which is passed in.

import { dirname, isAbsolute, join } from 'node:path';
import { parse } from 'yaml';
import { fields, isFields } from '../../base/fields.ts';

/** PEM, as it stands or in a file that may be written anew while the program runs. */
export type Material = { readonly text: string } | { readonly file: string };

export interface ExecPlugin {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** client.authentication.k8s.io/v1 or /v1beta1. */
  readonly apiVersion: string;
  readonly provideClusterInfo: boolean;
  readonly installHint: string | null;
}

export type Auth =
  | { readonly kind: 'none' }
  | { readonly kind: 'token'; readonly token: string }
  | { readonly kind: 'tokenFile'; readonly file: string }
  | { readonly kind: 'basic'; readonly username: string; readonly password: string }
  | { readonly kind: 'exec'; readonly plugin: ExecPlugin };

/** One API server and one user of it. */
export interface Access {
  /** URL without a slash at its end. */
  readonly server: string;
  readonly ca: Material | null;
  /** The server's certificate is not looked at. */
  readonly insecure: boolean;
  /** Name asked for and looked for in the certificate, where it is not the host's. */
  readonly serverName: string | null;
  readonly proxyUrl: string | null;
  readonly certificate: { readonly cert: Material; readonly key: Material } | null;
  readonly auth: Auth;
  /** Of the context, or of the pod. */
  readonly namespace: string | null;
}

/** The configuration cannot be used; the message names the file and the entry. */
export class AccessError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'AccessError';
  }
}

/** Throws when there is no such file. */
export type ReadText = (path: string) => string;

const EXEC_VERSIONS = ['client.authentication.k8s.io/v1', 'client.authentication.k8s.io/v1beta1'];

interface Named {
  readonly value: Readonly<Record<string, unknown>>;
  /** Folder against which relative paths in it are meant. */
  readonly folder: string;
}

/**
 * Access after the kubeconfig files `paths`: of several the first that says a thing is believed, as kubectl does with
 * KUBECONFIG; one that does not exist is passed over where there are several. `context` null: the current one.
 */
export function readKubeconfig(paths: readonly string[], context: string | null, read: ReadText): Access {
  const merged = mergeFiles(paths, read);
  const where = paths.join(', ');
  const name = context ?? merged.current;
  if (name === null) throw new AccessError(`${where}: no current-context; name one`);
  const chosen = merged.contexts.get(name);
  if (chosen === undefined) throw new AccessError(`${where}: there is no context '${name}'${among(merged.contexts)}`);
  const clusterName = text(chosen.value['cluster']);
  const userName = text(chosen.value['user']);
  const cluster = merged.clusters.get(clusterName ?? '');
  if (cluster === undefined)
    throw new AccessError(`${where}: context '${name}' names cluster '${clusterName}', which is not there`);
  const user = userName === null ? { value: {}, folder: '' } : merged.users.get(userName);
  if (user === undefined)
    throw new AccessError(`${where}: context '${name}' names user '${userName}', which is not there`);
  const says = (message: string): AccessError => new AccessError(`${where}: ${message}`);
  const insecure = cluster.value['insecure-skip-tls-verify'] === true;
  return {
    server: serverOf(cluster, clusterName as string, says),
    ca: insecure ? null : material(cluster, 'certificate-authority'),
    insecure,
    serverName: text(cluster.value['tls-server-name']),
    proxyUrl: proxyOf(cluster, clusterName as string, says),
    certificate: certificateOf(user, userName ?? '', says),
    auth: authOf(user, userName ?? '', says),
    namespace: text(chosen.value['namespace']),
  };
}

function mergeFiles(paths: readonly string[], read: ReadText) {
  const merged = {
    current: null as string | null,
    clusters: new Map<string, Named>(),
    contexts: new Map<string, Named>(),
    users: new Map<string, Named>(),
  };
  let found = 0;
  for (const path of paths) {
    let content: string;
    try {
      content = read(path);
    } catch (error) {
      if (paths.length > 1 && fields(error)['code'] === 'ENOENT') continue;
      throw new AccessError(`${path}: ${error instanceof Error ? error.message : String(error)}`);
    }
    found++;
    const config = parsed(path, content);
    merged.current ??= text(config['current-context']);
    const folder = dirname(path);
    take(merged.clusters, config['clusters'], 'cluster', folder);
    take(merged.contexts, config['contexts'], 'context', folder);
    take(merged.users, config['users'], 'user', folder);
  }
  if (found === 0) throw new AccessError(`none of ${paths.join(', ')} exists`);
  return merged;
}

function parsed(path: string, content: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = parse(content, { maxAliasCount: 0 });
  } catch (error) {
    // The parser's message may quote a line, which may hold a key: only its first line, which says what and where.
    const [what = ''] = (error instanceof Error ? error.message : String(error)).split('\n');
    throw new AccessError(`${path}: ${what.replace(/:$/, '')}`);
  }
  if (isFields(value)) return value;
  throw new AccessError(`${path}: is no kubeconfig`);
}

function take(into: Map<string, Named>, list: unknown, field: string, folder: string): void {
  if (!Array.isArray(list)) return;
  for (const item of list) {
    const name = text(fields(item)['name']);
    if (name !== null && !into.has(name)) into.set(name, { value: fields(fields(item)[field]), folder });
  }
}

function serverOf(cluster: Named, name: string, says: (message: string) => AccessError): string {
  const server = text(cluster.value['server']);
  if (server === null || !URL.canParse(server)) throw says(`cluster '${name}' has no server that is a URL`);
  const url = new URL(server);
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    throw says(`cluster '${name}': ${url.protocol}// is neither https nor http`);
  return server.replace(/\/+$/, '');
}

function proxyOf(cluster: Named, name: string, says: (message: string) => AccessError): string | null {
  const proxy = text(cluster.value['proxy-url']);
  if (proxy === null) return null;
  if (!URL.canParse(proxy) || !['http:', 'https:'].includes(new URL(proxy).protocol))
    throw says(`cluster '${name}': proxy-url must be an http or https URL`);
  return proxy;
}

function certificateOf(user: Named, name: string, says: (message: string) => AccessError): Access['certificate'] {
  const cert = material(user, 'client-certificate');
  const key = material(user, 'client-key');
  if (cert === null && key === null) return null;
  if (cert === null || key === null)
    throw says(`user '${name}' has a client certificate without a key, or the reverse`);
  return { cert, key };
}

function authOf(user: Named, name: string, says: (message: string) => AccessError): Auth {
  const { value } = user;
  const file = path(user, text(value['tokenFile']));
  if (file !== null) return { kind: 'tokenFile', file };
  const token = text(value['token']);
  if (token !== null) return { kind: 'token', token };
  const username = text(value['username']);
  if (username !== null) return { kind: 'basic', username, password: text(value['password']) ?? '' };
  if (isFields(value['exec'])) return { kind: 'exec', plugin: execOf(user, value['exec'], name, says) };
  if (value['auth-provider'] !== undefined)
    throw says(`user '${name}': auth-provider is gone since Kubernetes 1.26; use an exec plugin`);
  return { kind: 'none' };
}

function execOf(
  user: Named,
  exec: Readonly<Record<string, unknown>>,
  name: string,
  says: (message: string) => AccessError,
): ExecPlugin {
  const command = text(exec['command']);
  if (command === null) throw says(`user '${name}': exec has no command`);
  const apiVersion = text(exec['apiVersion']) ?? '';
  if (!EXEC_VERSIONS.includes(apiVersion))
    throw says(`user '${name}': exec.apiVersion '${apiVersion}' is not one of ${EXEC_VERSIONS.join(', ')}`);
  if (exec['interactiveMode'] === 'Always')
    throw says(`user '${name}': exec plugin ${command} wants a terminal (interactiveMode: Always), there is none`);
  const env: Record<string, string> = {};
  for (const item of Array.isArray(exec['env']) ? exec['env'] : []) {
    const key = text(fields(item)['name']);
    if (key !== null) env[key] = text(fields(item)['value']) ?? '';
  }
  return {
    // With a slash in it, it is meant from where the kubeconfig lies; without, from PATH.
    command: command.includes('/') ? (path(user, command) as string) : command,
    args: Array.isArray(exec['args']) ? exec['args'].map(String) : [],
    env,
    apiVersion,
    provideClusterInfo: exec['provideClusterInfo'] === true,
    installHint: text(exec['installHint']),
  };
}

/** `NAME-data` (base64) beats the file `NAME`, as in client-go. */
function material(entry: Named, name: string): Material | null {
  const data = text(entry.value[`${name}-data`]);
  if (data !== null) return { text: Buffer.from(data, 'base64').toString('utf8') };
  const file = path(entry, text(entry.value[name]));
  return file === null ? null : { file };
}

function path(entry: Named, written: string | null): string | null {
  return written === null || isAbsolute(written) ? written : join(entry.folder, written);
}

/** An empty text says nothing. */
function text(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}

function among(contexts: ReadonlyMap<string, unknown>): string {
  return contexts.size === 0 ? '' : ` (there are: ${[...contexts.keys()].slice(0, 10).join(', ')})`;
}

/** Where a pod finds what it needs. */
const POD_FOLDER = '/var/run/secrets/kubernetes.io/serviceaccount';

/** Access as a pod has it; null when this is no pod. The token is read anew as the kubelet rotates it. */
export function inCluster(
  env: Readonly<Record<string, string | undefined>>,
  read: ReadText,
  folder = POD_FOLDER,
): Access | null {
  const host = env['KUBERNETES_SERVICE_HOST'];
  const port = env['KUBERNETES_SERVICE_PORT'];
  if (!host || !port) return null;
  let namespace: string | null = null;
  try {
    namespace = text(read(join(folder, 'namespace')).trim());
  } catch {
    // Not always mounted; then --lease has to say where the lease lies.
  }
  return {
    server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
    ca: { file: join(folder, 'ca.crt') },
    insecure: false,
    serverName: null,
    proxyUrl: null,
    certificate: null,
    auth: { kind: 'tokenFile', file: join(folder, 'token') },
    namespace,
  };
}

/** As kubectl looks for it: the file named, else KUBECONFIG, else in a pod its own, else ~/.kube/config. */
export function findAccess(
  options: { readonly kubeconfig: string | null; readonly context: string | null },
  env: Readonly<Record<string, string | undefined>>,
  read: ReadText,
): Access {
  if (options.kubeconfig !== null) return readKubeconfig([options.kubeconfig], options.context, read);
  const listed = (env['KUBECONFIG'] ?? '').split(':').filter((p) => p !== '');
  if (listed.length > 0) return readKubeconfig(listed, options.context, read);
  const pod = options.context === null ? inCluster(env, read) : null;
  if (pod !== null) return pod;
  const home = env['HOME'];
  if (!home) throw new AccessError('no --kubeconfig, no KUBECONFIG, not in a pod, and no HOME to look in');
  return readKubeconfig([join(home, '.kube/config')], options.context, read);
}
