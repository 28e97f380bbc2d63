// What holds for everything that comes by one Gateway, made ready once: how it answers itself, whom it believes about
// clients, what of it is logged.

import type { GatewayEntry } from '../ir/ir.ts';
import { LOGGED, type Logged } from '../telemetry/record.ts';
import { Clients } from './client-source.ts';
import { ErrorAnswers } from './exchange/error-answers.ts';

const TEXT = new ErrorAnswers(null);
const LOGS = { errors: LOGGED.ERRORS, warnings: LOGGED.WARNINGS } as const;

export class GatewayPolicy {
  readonly errors: ErrorAnswers;
  /** Null: as the worker was told for all (Core.trusted). */
  readonly clients: Clients | null;
  readonly logged: Logged;

  /** Throws when the entry cannot be used. */
  constructor({ errors, clients, logs }: Pick<GatewayEntry, 'errors' | 'clients' | 'logs'>) {
    this.errors = errors === undefined ? TEXT : new ErrorAnswers(errors);
    this.clients = clients === undefined ? null : new Clients(clients);
    this.logged = logs === undefined ? LOGGED.ALL : LOGS[logs];
  }
}

/** Of a Gateway that says nothing, and in front of any. */
export const NO_POLICY = new GatewayPolicy({});

/** The policy of an entry; most share one. */
export function policyOf(entry: GatewayEntry): GatewayPolicy {
  const { errors, clients, logs } = entry;
  return errors === undefined && clients === undefined && logs === undefined ? NO_POLICY : new GatewayPolicy(entry);
}
