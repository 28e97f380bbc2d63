// What writing needs of a client of the API server (source/kubernetes/client.ts is one).

export interface Failed {
  /** HTTP status; 0 without an answer. */
  readonly code: number;
  readonly reason: string;
  readonly message: string;
  /** When the server wants to be asked again, milliseconds from now. */
  readonly retryAfterMs: number | null;
}

export type Answer = { readonly ok: true; readonly body: unknown } | { readonly ok: false; readonly failure: Failed };

export interface Api {
  /** One question, one answer; never rejects. */
  ask(question: {
    readonly verb: 'get' | 'create' | 'update' | 'patch' | 'delete';
    /** For counting. */
    readonly kind: string;
    readonly path: string;
    readonly query?: Readonly<Record<string, string>>;
    readonly body?: unknown;
    readonly contentType?: string;
    /** Does not wait behind others. */
    readonly urgent?: boolean;
    readonly timeoutMs?: number;
    /** Asked when the first byte is about to be written; false: it is not sent. */
    readonly mayStart?: () => boolean;
  }): Promise<Answer>;
}
