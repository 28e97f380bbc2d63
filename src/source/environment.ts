// Environment mode: RAUTA_BIND_ADDR and RAUTA_BACKEND_ADDR alone make a working proxy. They stand for the objects that
// a person would have written: a GatewayClass, a Gateway, a Backend and an HTTPRoute that sends it everything; with
// RAUTA_TLS_CERT and RAUTA_TLS_KEY a Secret besides.

import { isIP } from 'node:net';
import type { KubeObject } from '../api/object.ts';
import { checkObject } from '../api/schema.ts';
import { EXIT, ExitError } from '../base/errors.ts';
import { addressText, hostPortForm, splitHostPort } from '../base/ip.ts';
import type { Source, SourceSink } from './source.ts';

export interface EnvironmentOptions {
  /** `HOST:PORT`, `[IPv6]:PORT` or `:PORT`. */
  readonly bind: string;
  /** Each `HOST:PORT`, `[IPv6]:PORT` or `unix:/path`. */
  readonly backends: readonly string[];
  /** The listener speaks HTTPS, with what a PairSource has. */
  readonly tls: boolean;
  readonly gatewayClass: string;
  readonly controllerName: string;
}

/** A certificate, those that lead to its root, and its key, PEM. */
export interface PemPair {
  readonly crt: string;
  readonly key: string;
}

/** Whoever has the certificate and its key: a good pair, or null while there is none. */
export interface PairSource {
  readonly current: PemPair | null;
  /** `changed` is called whenever `current` is another one. */
  follow(changed: () => void): void;
}

const NAME = 'environment';
const BACKEND = 'RAUTA_BACKEND_ADDR';

/** The objects; throws ExitError (usage) naming the variable when a value is wrong. */
export function environmentObjects(options: EnvironmentOptions): KubeObject[] {
  const bind = addressOf('RAUTA_BIND_ADDR', options.bind);
  const host = bind.host === 'localhost' ? '127.0.0.1' : bind.host;
  if (host !== '' && isIP(host) === 0)
    throw wrong('RAUTA_BIND_ADDR', options.bind, 'the host must be an IP address', addressText('0.0.0.0', bind.port));
  if (options.backends.length === 0) throw new ExitError(EXIT.usage, `RAUTA_BIND_ADDR needs ${BACKEND}`);
  const gatewayApi = 'gateway.networking.k8s.io/v1';
  return [
    {
      apiVersion: gatewayApi,
      kind: 'GatewayClass',
      metadata: { name: options.gatewayClass },
      spec: { controllerName: options.controllerName },
    },
    {
      apiVersion: gatewayApi,
      kind: 'Gateway',
      metadata: { name: NAME },
      spec: {
        gatewayClassName: options.gatewayClass,
        ...(host === '' ? {} : { addresses: [{ type: 'IPAddress', value: host }] }),
        listeners: [listener(bind.port, options.tls)],
      },
    },
    {
      apiVersion: 'rauta.io/v1alpha1',
      kind: 'Backend',
      metadata: { name: NAME },
      spec: backendOf(options.backends),
    },
    {
      apiVersion: gatewayApi,
      kind: 'HTTPRoute',
      metadata: { name: NAME },
      spec: {
        parentRefs: [{ name: NAME }],
        rules: [{ backendRefs: [{ group: 'rauta.io', kind: 'Backend', name: NAME }] }],
      },
    },
  ].map(checked);
}

/** Delivers the objects once, and the Secret whenever it is another one. */
export class EnvironmentSource implements Source {
  readonly #objects: readonly KubeObject[];
  readonly #pair: PairSource | null;
  #synced = false;

  constructor(options: EnvironmentOptions, pair: PairSource | null) {
    this.#objects = environmentObjects(options);
    this.#pair = pair;
  }
  /** Is whole when there is a good pair: whatever is served until then goes on. */
  start(sink: SourceSink): void {
    sink.apply(this.#objects, []);
    this.#pair?.follow(() => this.#deliver(sink));
    this.#deliver(sink);
  }

  #deliver(sink: SourceSink): void {
    const pair = this.#pair?.current;
    if (pair === null) return;
    if (pair !== undefined) sink.apply([secret(pair)], []);
    if (this.#synced) return;
    this.#synced = true;
    sink.synced();
  }

  async stop(): Promise<void> {}
  /** The environment of a process does not change; files are looked at by who opens them. */
  rescan(): void {}
}

function listener(port: number, tls: boolean): Record<string, unknown> {
  if (!tls) return { name: 'http', port, protocol: 'HTTP' };
  return { name: 'https', port, protocol: 'HTTPS', tls: { certificateRefs: [{ name: NAME }] } };
}

function secret({ crt, key }: PemPair): KubeObject {
  return checked({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: NAME },
    type: 'kubernetes.io/tls',
    stringData: { 'tls.crt': crt, 'tls.key': key },
  });
}

/** What the scheme in front of an address asks for. */
const SCHEMES: Readonly<Record<string, string>> = { http: 'http', h2c: 'kubernetes.io/h2c', https: 'https' };

/** All of one scheme; `http` where none is written. Of `https` one name, for that is what certificates are for. */
function backendOf(texts: readonly string[]): Record<string, unknown> {
  let scheme: string | null = null;
  const endpoints = texts.map((text) => {
    const [, written, rest = text] = /^([a-z][a-z0-9+.-]*):\/\/([^/]*)\/?$/i.exec(text) ?? [];
    const own = (written ?? 'http').toLowerCase();
    if (!Object.hasOwn(SCHEMES, own)) {
      throw wrong(BACKEND, text, `a scheme is one of ${Object.keys(SCHEMES).join(', ')}`, `http://${rest}`);
    }
    if (scheme !== null && own !== scheme)
      throw wrong(BACKEND, text, 'all must be of one scheme', ofOne(scheme, texts));
    scheme = own;
    return endpoint(rest);
  });
  const names = new Set(endpoints.map(({ hostname, address, unix }) => hostname ?? address ?? unix));
  if (scheme === 'https' && (names.size > 1 || endpoints.some(({ unix }) => unix !== undefined))) {
    throw wrong(
      BACKEND,
      texts.join(','),
      'backends of https must be of one name, or one address',
      texts.find((text) => !text.includes('unix:')) ?? 'https://app.example.com:443',
    );
  }
  return { endpoints, appProtocol: SCHEMES[scheme ?? 'http'] };
}

function endpoint(text: string): Record<string, unknown> {
  if (text.startsWith('unix:')) {
    const path = text.slice('unix:'.length);
    if (!path.startsWith('/')) throw wrong(BACKEND, text, 'the path must be absolute', `unix:/${path}`);
    return { unix: path };
  }
  const { host, port } = addressOf(BACKEND, text);
  if (host === '') throw wrong(BACKEND, text, 'it needs a host', addressText('127.0.0.1', port));
  return isIP(host) === 0 ? { hostname: host.toLowerCase(), port } : { address: host, port };
}

function addressOf(variable: string, text: string): { readonly host: string; readonly port: number } {
  const parts = splitHostPort(text);
  const [host, port] = variable === BACKEND ? ['127.0.0.1', 80] : ['0.0.0.0', 8080];
  const meant = hostPortForm(text, host, port) ?? addressText(host, port);
  if (parts === null) throw wrong(variable, text, 'it must be HOST:PORT or [IPV6]:PORT', meant);
  if (parts.port < 1 || parts.port > 65_535) throw wrong(variable, text, 'the port must be from 1 to 65535', meant);
  if (parts.bracketed && isIP(parts.host) !== 6)
    throw wrong(variable, text, 'only an IPv6 address stands in brackets', meant);
  return parts;
}

/** All that have a scheme with one; what may have none is left alone. */
function ofOne(scheme: string, texts: readonly string[]): string {
  return texts.map((text) => text.replace(/^[a-z][a-z0-9+.-]*:\/\//i, `${scheme}://`)).join(',');
}

function checked(object: unknown): KubeObject {
  const { object: whole, problems } = checkObject(object);
  if (whole !== null) return { ...whole, metadata: { ...whole.metadata, generation: 1 } };
  const [first] = problems;
  throw new ExitError(
    EXIT.usage,
    `the environment makes no working configuration: ${first?.place.field} ${first?.message}`,
  );
}

/** `meant`: a value that works. */
function wrong(variable: string, text: string, why: string, meant: string): ExitError {
  return new ExitError(EXIT.usage, `${variable}: '${text}': ${why}; write ${variable}=${meant}`);
}
