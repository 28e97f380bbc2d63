// Who we are to the API server: a token, a password, a client certificate, or what a plugin says
// (client.authentication.k8s.io/v1 ExecCredential). Kept for a while, asked for anew when it ends or was refused.

import { spawn } from 'node:child_process';
import { fields } from '../../base/fields.ts';
import { LIMITS } from '../../base/limits.ts';
import { type Access, AccessError, type ExecPlugin, type Material, type ReadText } from './kubeconfig.ts';
import type { Clock } from './token-bucket.ts';

/** What one request shows. The same object as long as nothing has changed. */
export interface Credential {
  /** Value of the Authorization field, or null. */
  readonly authorization: string | null;
  readonly ca: string | null;
  readonly certificate: { readonly cert: string; readonly key: string } | null;
}

/** Runs a plugin with variables added to ours; resolves to what it printed. */
export type RunPlugin = (plugin: ExecPlugin, info: string) => Promise<string>;

export interface CredentialTools {
  readonly read: ReadText;
  readonly run: RunPlugin;
  readonly now: Clock;
  /** Milliseconds since 1970, against which expirationTimestamp is meant. */
  readonly wall: Clock;
}

interface PluginAnswer {
  readonly token: string | null;
  readonly certificate: Credential['certificate'];
  /** On the wall clock; Infinity when it does not say. */
  readonly expiresMs: number;
}

export class Credentials {
  readonly #access: Access;
  readonly #tools: CredentialTools;
  #kept: Credential | null = null;
  /** When files are looked at again. */
  #freshUntil = 0;
  #plugin: PluginAnswer | null = null;
  #asking: Promise<PluginAnswer> | null = null;

  constructor(access: Access, tools: CredentialTools) {
    this.#access = access;
    this.#tools = tools;
  }

  /** Throws AccessError when a file cannot be read or the plugin fails. */
  async get(): Promise<Credential> {
    const { auth } = this.#access;
    const plugin = auth.kind === 'exec' ? await this.#ask(auth.plugin) : null;
    if (this.#kept !== null && this.#tools.now() < this.#freshUntil) return this.#kept;
    const next: Credential = {
      authorization: this.#authorization(plugin),
      ca: this.#read(this.#access.ca),
      certificate: plugin?.certificate ?? this.#certificate(),
    };
    if (this.#kept === null || !same(this.#kept, next)) this.#kept = next;
    this.#freshUntil = this.#tools.now() + LIMITS.KUBERNETES_CREDENTIAL_MS;
    return this.#kept;
  }

  /** The server did not know us (401): files are read and the plugin is run again by the next `get`. */
  refused(): void {
    this.#freshUntil = 0;
    this.#plugin = null;
  }

  #authorization(plugin: PluginAnswer | null): string | null {
    const { auth } = this.#access;
    switch (auth.kind) {
      case 'token':
        return `Bearer ${auth.token}`;
      case 'tokenFile':
        return `Bearer ${this.#read({ file: auth.file })?.trim()}`;
      case 'basic':
        return `Basic ${Buffer.from(`${auth.username}:${auth.password}`).toString('base64')}`;
      case 'exec':
        return plugin?.token == null ? null : `Bearer ${plugin.token}`;
      case 'none':
        return null;
    }
  }

  #certificate(): Credential['certificate'] {
    const { certificate } = this.#access;
    if (certificate === null) return null;
    return { cert: this.#read(certificate.cert) as string, key: this.#read(certificate.key) as string };
  }

  #read(material: Material | null): string | null {
    if (material === null || 'text' in material) return material?.text ?? null;
    try {
      return this.#tools.read(material.file);
    } catch (error) {
      throw new AccessError(error instanceof Error ? error.message : String(error));
    }
  }

  #ask(plugin: ExecPlugin): Promise<PluginAnswer> {
    const kept = this.#plugin;
    if (kept !== null && this.#tools.wall() < kept.expiresMs - LIMITS.KUBERNETES_CREDENTIAL_EARLY_MS)
      return Promise.resolve(kept);
    // Whoever asks meanwhile waits for the same run.
    this.#asking ??= this.#run(plugin).finally(() => {
      this.#asking = null;
    });
    return this.#asking;
  }

  async #run(plugin: ExecPlugin): Promise<PluginAnswer> {
    const printed = await this.#tools.run(plugin, execInfo(plugin, this.#access));
    this.#plugin = answerOf(plugin, printed);
    this.#freshUntil = 0;
    return this.#plugin;
  }
}

function same(a: Credential, b: Credential): boolean {
  return (
    a.authorization === b.authorization &&
    a.ca === b.ca &&
    a.certificate?.cert === b.certificate?.cert &&
    a.certificate?.key === b.certificate?.key
  );
}

/** KUBERNETES_EXEC_INFO: what the plugin is told. */
function execInfo(plugin: ExecPlugin, access: Access): string {
  const cluster = {
    server: access.server,
    'insecure-skip-tls-verify': access.insecure,
    ...(access.serverName === null ? {} : { 'tls-server-name': access.serverName }),
    ...(access.proxyUrl === null ? {} : { 'proxy-url': access.proxyUrl }),
    ...(access.ca !== null && 'text' in access.ca
      ? { 'certificate-authority-data': Buffer.from(access.ca.text).toString('base64') }
      : {}),
  };
  return JSON.stringify({
    apiVersion: plugin.apiVersion,
    kind: 'ExecCredential',
    spec: { interactive: false, ...(plugin.provideClusterInfo ? { cluster } : {}) },
  });
}

function answerOf(plugin: ExecPlugin, printed: string): PluginAnswer {
  // Its output holds a credential: no message may quote it.
  const bad = (what: string): AccessError => new AccessError(`exec plugin ${plugin.command}: ${what}`);
  let value: unknown;
  try {
    value = JSON.parse(printed);
  } catch {
    throw bad('printed no JSON');
  }
  const { kind, apiVersion, status } = fields(value);
  if (kind !== 'ExecCredential' || apiVersion !== plugin.apiVersion)
    throw bad(`printed no ExecCredential of ${plugin.apiVersion}`);
  const { token, clientCertificateData, clientKeyData, expirationTimestamp } = fields(status);
  const certificate =
    typeof clientCertificateData === 'string' && typeof clientKeyData === 'string'
      ? { cert: clientCertificateData, key: clientKeyData }
      : null;
  if (typeof token !== 'string' && certificate === null) throw bad('gave neither a token nor a certificate with a key');
  const expires = typeof expirationTimestamp === 'string' ? Date.parse(expirationTimestamp) : Number.NaN;
  return {
    token: typeof token === 'string' ? token : null,
    certificate,
    expiresMs: Number.isNaN(expires) ? Number.POSITIVE_INFINITY : expires,
  };
}

/** Starts the plugin; its complaints are told, its output is not. */
export const runPlugin: RunPlugin = (plugin, info) =>
  new Promise((resolve, reject) => {
    const hint = plugin.installHint === null ? '' : `; ${plugin.installHint}`;
    const failed = (what: string): void => reject(new AccessError(`exec plugin ${plugin.command} ${what}`));
    const child = spawn(plugin.command, plugin.args, {
      env: { ...process.env, ...plugin.env, KUBERNETES_EXEC_INFO: info },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: LIMITS.KUBERNETES_PLUGIN_MS,
      killSignal: 'SIGKILL',
    });
    let out = '';
    let complaints = '';
    child.stdout.on('data', (chunk: Buffer) => {
      out += chunk.toString('utf8');
      if (out.length > LIMITS.KUBERNETES_PLUGIN_BYTES) child.kill('SIGKILL');
    });
    child.stderr.on('data', (chunk: Buffer) => {
      if (complaints.length < 1_000) complaints += chunk.toString('utf8');
    });
    child.on('error', (error) => failed(`cannot be started: ${error.message}${hint}`));
    child.on('close', (code, signal) => {
      if (code === 0) resolve(out);
      else failed(`ended with ${signal ?? `status ${code}`}: ${complaints.trim().slice(0, 1_000)}`);
    });
  });
