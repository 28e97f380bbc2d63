// What went wrong with a question to the API server, as a value: HTTP status, reason (metav1.StatusReason) and when to
// come again.

import { fields } from '../../base/fields.ts';

export interface Failure {
  /** HTTP status, or that of a Status object in a watch; 0 when there was no whole answer. */
  readonly code: number;
  /**
   * The server's (`NotFound`, `Conflict`, `Expired` ...); ours where there was none: `Unreachable`, `Timeout`, `Silent`
   * (no byte for too long), `Broken` (no or half an answer), `Credentials`, `Stopped`, `NotSent`.
   */
  readonly reason: string;
  /** One line for people. */
  readonly message: string;
  /** Milliseconds after which the server wants to be asked again. */
  readonly retryAfterMs: number | null;
}

export type Reply = { readonly ok: true; readonly body: unknown } | { readonly ok: false; readonly failure: Failure };

export function failure(reason: string, message: string, code = 0): Failure {
  return { code, reason, message: oneLine(message), retryAfterMs: null };
}

/** Reasons for codes whose body does not say (apimachinery's NewGenericServerResponse). */
const REASONS: Readonly<Record<number, string>> = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  405: 'MethodNotAllowed',
  409: 'Conflict',
  410: 'Gone',
  415: 'UnsupportedMediaType',
  422: 'Invalid',
  429: 'TooManyRequests',
  500: 'InternalError',
  503: 'ServiceUnavailable',
  504: 'Timeout',
};

/** Of an answer with an error status. `body` is a metav1.Status, or whatever stands between us and the server wrote. */
export function failureOf(code: number, body: unknown, retryAfter: string | null): Failure {
  const status = fields(fields(body)['kind'] === 'Status' ? body : null);
  const seconds = retryAfter ?? fields(status['details'])['retryAfterSeconds'];
  const said = typeof status['message'] === 'string' && status['message'] !== '' ? status['message'] : `status ${code}`;
  return {
    code,
    reason: reasonOf(code, status['reason']),
    message: oneLine(said),
    // A date (RFC 9110 section 10.2.3) is not what API servers send.
    retryAfterMs: seconds === undefined || !/^\d{1,6}$/.test(String(seconds)) ? null : Number(seconds) * 1000,
  };
}

function reasonOf(code: number, said: unknown): string {
  return typeof said === 'string' && said !== '' ? said : (REASONS[code] ?? `Status${code}`);
}

/** The version that we would go on from, or the page, is no longer there. */
export function isExpired({ code, reason }: Failure): boolean {
  return code === 410 || reason === 'Expired' || reason === 'Gone';
}

/** What the server says goes to logs and pages: short, without line breaks. */
function oneLine(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length > 300 ? `${line.slice(0, 297)}...` : line;
}
