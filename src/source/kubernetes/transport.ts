// HTTP/1.1 to the API server by undici: one pool for short questions, one for watches, each with the TLS settings of
// the credential in force. HTTP/2 is left out: one connection that hangs would hang everything.

import { Agent, type Dispatcher, ProxyAgent } from 'undici';
import { LIMITS } from '../../base/limits.ts';
import type { Credential } from './credentials.ts';
import type { Access } from './kubeconfig.ts';

export interface Outgoing {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** With the query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
  readonly signal: AbortSignal;
  /** Asked when the first byte is about to be written; false: it is not sent, and fails with NotSent. */
  readonly mayStart?: () => boolean;
}

/** What was waiting to be sent was no longer to be. */
export class NotSent extends Error {}

export interface Incoming {
  readonly status: number;
  readonly retryAfter: string | null;
  readonly body: AsyncIterable<Uint8Array>;
}

export class Transport {
  readonly #access: Access;
  readonly #origin: string;
  /** A server may stand under a path (a proxy of several clusters). */
  readonly #prefix: string;
  #credential: Credential | null = null;
  #dispatcher: Dispatcher | null = null;

  constructor(access: Access) {
    this.#access = access;
    const url = new URL(access.server);
    this.#origin = url.origin;
    this.#prefix = url.pathname.replace(/\/+$/, '');
  }

  /** Rejects with whatever undici says when there is no answer. */
  async send(request: Outgoing, credential: Credential): Promise<Incoming> {
    const answer = await this.#to(credential).request({
      origin: this.#origin,
      path: this.#prefix + request.path,
      method: request.method,
      headers:
        credential.authorization === null
          ? request.headers
          : { ...request.headers, authorization: credential.authorization },
      body: request.body,
      signal: request.signal,
      ...(request.mayStart === undefined ? {} : { mayStart: request.mayStart }),
    } as Dispatcher.RequestOptions);
    const retryAfter = answer.headers['retry-after'];
    return {
      status: answer.statusCode,
      retryAfter: typeof retryAfter === 'string' ? retryAfter : null,
      body: answer.body as AsyncIterable<Uint8Array>,
    };
  }

  async stop(): Promise<void> {
    const dispatcher = this.#dispatcher;
    this.#dispatcher = null;
    await dispatcher?.destroy();
  }

  /** Connections made with other certificates end when what they carry has ended. */
  #to(credential: Credential): Dispatcher {
    const before = this.#credential;
    if (this.#dispatcher !== null && before?.ca === credential.ca && before.certificate === credential.certificate)
      return this.#dispatcher;
    void this.#dispatcher?.close();
    this.#credential = credential;
    this.#dispatcher = this.#connect(credential);
    return this.#dispatcher;
  }

  #connect({ ca, certificate }: Credential): Dispatcher {
    const { insecure, serverName, proxyUrl } = this.#access;
    const tls = {
      ...(ca === null ? {} : { ca }),
      ...(certificate ?? {}),
      ...(serverName === null ? {} : { servername: serverName }),
      rejectUnauthorized: !insecure,
      timeout: LIMITS.KUBERNETES_CONNECT_MS,
    };
    // Waits are ended by the client, which knows what it waits for.
    const options = {
      allowH2: false,
      pipelining: 1,
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: LIMITS.KUBERNETES_KEEPALIVE_MS,
    };
    const agent =
      proxyUrl === null
        ? new Agent({ ...options, connect: tls })
        : new ProxyAgent({ ...options, uri: proxyUrl, requestTls: tls });
    return agent.compose((dispatch) => (request, handler) => {
      const { mayStart } = request as Pick<Outgoing, 'mayStart'>;
      return dispatch(request, mayStart === undefined ? handler : guarded(handler, mayStart));
    });
  }
}

/** Between a decision to write and the write a process may stand still for minutes: it is asked at the very last. */
function guarded(handler: Dispatcher.DispatchHandler, mayStart: () => boolean): Dispatcher.DispatchHandler {
  return {
    onRequestStart: (controller, context) => {
      if (mayStart()) handler.onRequestStart?.(controller, context);
      else controller.abort(new NotSent('it is no longer to be sent'));
    },
    onRequestUpgrade: (...said) => handler.onRequestUpgrade?.(...said),
    onResponseStart: (...said) => handler.onResponseStart?.(...said),
    onResponseData: (...said) => handler.onResponseData?.(...said),
    onResponseEnd: (...said) => handler.onResponseEnd?.(...said),
    onResponseError: (...said) => handler.onResponseError?.(...said),
  };
}
