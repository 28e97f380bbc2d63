// What the admin server shows: read-only questions that the controller answers. Secrets' contents are in none of them.

import type { Problem } from '../api/problem.ts';
import type { Level } from '../base/log.ts';
import type { Words } from '../explain/question.ts';
import type { Following, RequestFilter, RequestLine } from '../telemetry/recent.ts';
import type { StatusReport } from './status.ts';

export interface View {
  ready(): { readonly ready: boolean; readonly reason: string };
  status(): StatusReport;
  metrics(): string;
  requests(filter: RequestFilter): RequestLine[];
  follow(filter: RequestFilter): Following;
  /** Objects with the status computed for them. */
  config(): unknown;
  problems(): readonly Problem[];
  ir(): unknown;
  workers(): unknown;
  clusters(): unknown;
  /** Certificates that listeners show. */
  certificates(): unknown;
  /** How the API server is followed; null without --kubernetes. */
  kubernetes(): unknown;
  /** What becomes of a request: lines for a person and the same as data, or what is wrong with the question. */
  explain(words: Words): { readonly lines: readonly string[]; readonly told: unknown } | string;
  version(): unknown;
  setLogLevel(level: Level): void;
}
