// Questions to the API server: not too fast, not too many at once, each within a time, counted; answers and failures
// are values. It never repeats a question but for one that was refused with an old credential.

import { LIMITS } from '../../base/limits.ts';
import type { Timers } from '../../base/timers.ts';
import type { Credential, Credentials } from './credentials.ts';
import { type Failure, failure, failureOf, type Reply } from './failure.ts';
import { AccessError } from './kubeconfig.ts';
import { Lines } from './lines.ts';
import { type Clock, Gate, TokenBucket } from './token-bucket.ts';
import { type Incoming, NotSent, type Outgoing, type Transport } from './transport.ts';

export type Verb = 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete';

export interface Question {
  readonly verb: Verb;
  /** For the count: the kind that is asked about, or `discovery`. */
  readonly kind: string;
  /** Without the query. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** Of the body; application/json unless said. */
  readonly contentType?: string;
  readonly accept?: string;
  /** Does not wait behind others: what keeps a lease. */
  readonly urgent?: boolean;
  readonly timeoutMs?: number;
  /** Asked when the first byte is about to be written; false: it is not sent (`NotSent`). */
  readonly mayStart?: () => boolean;
  readonly signal?: AbortSignal;
}

export interface ClientOptions {
  readonly userAgent: string;
  /** Questions a second, and at once. */
  readonly qps: number;
  readonly burst: number;
  readonly now: Clock;
  readonly timers: Timers;
}

const METHODS: Readonly<Record<Verb, Outgoing['method']>> = {
  get: 'GET',
  list: 'GET',
  watch: 'GET',
  create: 'POST',
  update: 'PUT',
  patch: 'PATCH',
  delete: 'DELETE',
};

/** Why a question that has its answer is ended: one for all, for without any each would get an error with a stack. */
const OVER = new Error('over');

/** Of one question under way. */
interface Guard {
  readonly signal: AbortSignal;
  /** A status has come, and was counted. */
  answered: boolean;
  /** Something came: its time begins anew. */
  progress(): void;
}

export class Client {
  readonly #transport: Transport;
  readonly #credentials: Credentials;
  readonly #options: ClientOptions;
  readonly #bucket: TokenBucket;
  readonly #gate = new Gate(LIMITS.KUBERNETES_IN_FLIGHT);
  readonly #running = new Set<AbortController>();
  /** `verb kind code` to how often; code 0 is no answer. */
  readonly #counts = new Map<string, number>();
  #stopped = false;

  constructor(transport: Transport, credentials: Credentials, options: ClientOptions) {
    this.#transport = transport;
    this.#credentials = credentials;
    this.#options = options;
    this.#bucket = new TokenBucket(options.qps, options.burst, options.now, options.timers);
  }

  /** How many questions were answered, by verb, kind and HTTP status (0: no answer). */
  *counts(): Iterable<{ readonly verb: string; readonly kind: string; readonly code: string; readonly count: number }> {
    for (const [key, count] of this.#counts) {
      const [verb, kind, code] = key.split(' ') as [string, string, string];
      yield { verb, kind, code, count };
    }
  }

  /** One question, one whole answer as JSON. Never rejects. */
  async ask(question: Question): Promise<Reply> {
    const urgent = question.urgent === true;
    if (!urgent) {
      await this.#bucket.take();
      await this.#gate.enter();
    }
    const timeoutMs = question.timeoutMs ?? LIMITS.KUBERNETES_REQUEST_MS;
    try {
      return await this.#within(question, timeoutMs, 'Timeout', async (guard) => {
        const answer = await this.#send(question, guard);
        const text = await whole(answer.body);
        const body = parseJson(text);
        if (answer.status >= 300) throw failureOf(answer.status, body, answer.retryAfter);
        if (body === undefined) throw failure('Broken', `status ${answer.status}, but the answer is not whole JSON`);
        return body;
      });
    } finally {
      if (!urgent) this.#gate.leave();
    }
  }

  /**
   * A watch: `onEvent` for each line, until the server ends it (ok), it fails, or no byte came for `idleMs`. Half a
   * line at the end is no event and makes it fail.
   */
  async watch(question: Question, idleMs: number, onEvent: (event: unknown) => void): Promise<Reply> {
    await this.#bucket.take();
    return await this.#within(question, idleMs, 'Silent', async (guard) => {
      const answer = await this.#send(question, guard);
      if (answer.status >= 300) throw failureOf(answer.status, parseJson(await whole(answer.body)), answer.retryAfter);
      const lines = new Lines(LIMITS.KUBERNETES_EVENT_BYTES);
      for await (const chunk of answer.body) {
        guard.progress();
        lines.push(chunk, (line) => {
          const event = parseJson(line);
          if (event === undefined) throw failure('Broken', 'a line of the watch is not JSON');
          onEvent(event);
        });
      }
      if (lines.partial) throw failure('Broken', 'the watch ended within an event');
      return null;
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const running of this.#running) running.abort();
    await this.#transport.stop();
  }

  /** Runs `work` until it ends, fails, is stopped, or makes no progress for `ms`. */
  async #within(
    question: Question,
    ms: number,
    lateReason: 'Timeout' | 'Silent',
    work: (guard: Guard) => Promise<unknown>,
  ): Promise<Reply> {
    const controller = new AbortController();
    let late = false;
    const arm = (): (() => void) =>
      this.#options.timers.after(ms, () => {
        late = true;
        controller.abort();
      });
    let cancel = arm();
    const guard: Guard = {
      signal: controller.signal,
      answered: false,
      progress: () => {
        cancel();
        cancel = arm();
      },
    };
    const outer = (): void => controller.abort();
    question.signal?.addEventListener('abort', outer, { once: true });
    if (this.#stopped || question.signal?.aborted) controller.abort();
    this.#running.add(controller);
    try {
      return { ok: true, body: await work(guard) };
    } catch (error) {
      const said = late
        ? failure(lateReason, `nothing from the server for ${ms} ms`)
        : controller.signal.aborted
          ? failure('Stopped', 'stopped')
          : asFailure(error, guard.answered);
      if (said.reason !== 'Stopped' && said.reason !== 'NotSent' && !guard.answered) this.#count(question, 0);
      return { ok: false, failure: said };
    } finally {
      cancel();
      question.signal?.removeEventListener('abort', outer);
      this.#running.delete(controller);
      // What was not read to its end must not hold a connection.
      controller.abort(OVER);
    }
  }

  async #send(question: Question, guard: Guard): Promise<Incoming> {
    const outgoing = this.#outgoing(question, guard.signal);
    const send = async (credential: Credential): Promise<Incoming> => {
      const answer = await this.#transport.send(outgoing, credential);
      guard.answered = true;
      guard.progress();
      this.#count(question, answer.status);
      return answer;
    };
    const credential = await this.#credential();
    const answer = await send(credential);
    if (answer.status !== 401) return answer;
    // The token may have been rotated since it was read.
    this.#credentials.refused();
    const next = await this.#credential();
    if (next === credential) return answer;
    await whole(answer.body);
    return await send(next);
  }

  #outgoing(question: Question, signal: AbortSignal): Outgoing {
    const query = new URLSearchParams(question.query ?? {}).toString();
    const hasBody = question.body !== undefined;
    return {
      method: METHODS[question.verb],
      path: query === '' ? question.path : `${question.path}?${query}`,
      headers: {
        accept: question.accept ?? 'application/json',
        'user-agent': this.#options.userAgent,
        ...(hasBody ? { 'content-type': question.contentType ?? 'application/json' } : {}),
      },
      body: hasBody ? JSON.stringify(question.body) : null,
      signal,
      ...(question.mayStart === undefined ? {} : { mayStart: question.mayStart }),
    };
  }

  async #credential(): Promise<Credential> {
    try {
      return await this.#credentials.get();
    } catch (error) {
      throw failure('Credentials', error instanceof Error ? error.message : String(error));
    }
  }

  #count({ verb, kind }: Question, code: number): void {
    const key = `${verb} ${kind} ${code}`;
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
  }
}

async function whole(body: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of body) {
    bytes += part.length;
    if (bytes > LIMITS.KUBERNETES_ANSWER_BYTES)
      throw failure('Broken', `an answer of more than ${LIMITS.KUBERNETES_ANSWER_BYTES} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

/** undefined when it is none, which JSON cannot say. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** `answered`: it broke off; before that there is no server, or none that talks to us. */
function asFailure(error: unknown, answered: boolean): Failure {
  if (typeof error === 'object' && error !== null && 'retryAfterMs' in error) return error as Failure;
  if (error instanceof NotSent) return failure('NotSent', error.message);
  if (error instanceof AccessError) return failure('Credentials', error.message);
  const said = error instanceof Error ? error : new Error(String(error));
  const { code } = said as NodeJS.ErrnoException;
  const broken = answered || code === 'UND_ERR_SOCKET' || /HPE_/.test(code ?? '');
  return failure(broken ? 'Broken' : 'Unreachable', said.message === '' ? (code ?? said.name) : said.message);
}
