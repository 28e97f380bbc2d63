// External authorization (HTTPExternalAuthFilter, GEP-1494): a rule's requests are asked about at a server, and go on
// when it says so. A server that fails keeps everybody out, unless the route's author says otherwise.

import { FAULTS } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import type { ClusterEntry, ExternalAuth } from '../../ir/ir.ts';
import { type AuthVerdict, authCell } from '../../telemetry/layout.ts';
import type { Core } from '../core.ts';
import { type FieldChange, removalsOf } from '../exchange/amend.ts';
import type { About, Asked, Decision } from '../exchange/decision.ts';
import type { ClusterRef } from '../exchange/rule.ts';
import { type Head, METHOD } from '../head.ts';
import { Check, type CheckOwner } from './check.ts';
import { type Question, Questions } from './question.ts';
import { GrpcReply, HttpReply, type Reply } from './reply.ts';
import { SubrequestReply } from './subrequest.ts';
import { FAILED, type Verdict } from './verdict.ts';

const NOTHING: readonly FieldChange[] = [];

/** The questions of one worker. */
export class ExternalAuths implements CheckOwner {
  readonly core: Core;
  readonly questions: Questions;
  readonly #under = new Map<Check, Asking>();

  constructor(core: Core) {
    this.core = core;
    this.questions = new Questions(core);
  }

  /** `cluster`: of the server; null when there is none to be asked. */
  decision(entry: ExternalAuth, cluster: ClusterRef | null): Decision {
    return new AuthDecision(this, entry, cluster);
  }

  ask(asking: Asking, question: Question, cluster: NonNullable<ClusterRef['current']>, hash: number): void {
    const { asked, toHead } = asking;
    const reply = this.#replyTo(asking);
    const check = new Check(this.core, this, question, reply, toHead);
    this.#under.set(check, asking);
    asked.onGone = () => check.cut();
    check.start(cluster, hash);
  }

  #replyTo({ entry: { protocol, responseHeaders, subrequest }, signin }: Asking): Reply {
    if (subrequest !== undefined) return new SubrequestReply(this.core, responseHeaders, signin);
    return protocol === 'grpc' ? new GrpcReply(this.core) : new HttpReply(this.core, responseHeaders);
  }

  over(check: Check, verdict: Verdict | null): void {
    const asking = this.#under.get(check);
    this.#under.delete(check);
    if (asking !== undefined && verdict !== null) this.tell(asking, verdict);
  }

  /** Whoever waits hears of the verdict. */
  tell({ asked, decision }: Asking, verdict: Verdict): void {
    if (verdict.type === 'allowed') {
      this.#count('allowed');
      asked.said = 'allowed';
      asked.goOn(verdict.amendments);
    } else if (verdict.type === 'denied') {
      this.#count('denied');
      asked.said = 'denied';
      asked.answer(verdict.answer, 0, 0);
    } else {
      asked.said = 'failed';
      this.#count(decision.entry.failOpen ? 'open' : 'failed');
      // Nobody says in its place what only the server may say.
      if (decision.entry.failOpen) asked.goOn({ request: decision.removals, query: [], response: NOTHING });
      else asked.refuse(FAULTS.authFailed);
    }
  }

  #count(verdict: AuthVerdict): void {
    this.core.cells.add(authCell(verdict), 1);
  }

  /** Ends all that are under way. */
  stop(): void {
    for (const check of [...this.#under.keys()]) check.cut();
  }
}

/** One question, and who asked it. */
interface Asking {
  readonly entry: ExternalAuth;
  readonly decision: AuthDecision;
  readonly asked: Asked;
  readonly toHead: boolean;
  /** Where who is not known is sent; '' for nowhere. */
  readonly signin: string;
}

class AuthDecision implements Decision {
  readonly waits = true;
  readonly contentBytes: number;
  readonly entry: ExternalAuth;
  /** Fields that only the server may say. */
  readonly removals: readonly FieldChange[];
  readonly #auths: ExternalAuths;
  readonly #cluster: ClusterRef | null;

  constructor(auths: ExternalAuths, entry: ExternalAuth, cluster: ClusterRef | null) {
    if (entry.bodyBytes > LIMITS.DECISION_BODY_BYTES) throw new Error(`content of ${entry.bodyBytes} bytes`);
    this.#auths = auths;
    this.entry = entry;
    this.#cluster = cluster;
    this.contentBytes = entry.bodyBytes;
    this.removals = removalsOf(entry.responseHeaders);
  }

  ask(asked: Asked, head: Head, about: About): void {
    const { core, questions } = this.#auths;
    const { entry } = this;
    const cluster = this.#cluster === null ? null : this.#cluster.current;
    // A rule that names nobody who can be asked is broken, and lets nobody through.
    if (cluster === null) {
      asked.refuse(FAULTS.noCluster);
      return;
    }
    const { subrequest } = entry;
    const toHead =
      subrequest === undefined
        ? entry.protocol === 'http' && head.method === METHOD.HEAD
        : subrequest.method === 'HEAD';
    const signin = subrequest === undefined ? '' : questions.signin(entry, head, about);
    const asking: Asking = { entry, decision: this, asked, toHead, signin };
    const question = questions.about(entry, authorityOf(cluster.entry), head, about);
    if (question === null) {
      this.#auths.tell(asking, FAILED);
      return;
    }
    const hash = cluster.hashes ? cluster.hash(core.mem, head, about.client) : 0;
    this.#auths.ask(asking, question, cluster, hash);
  }
}

/** The name that a server of gRPC is called by: that of its certificate, else that of its Service. */
function authorityOf({ backend, tls }: ClusterEntry): string {
  if (tls !== null) return tls.hostname;
  const [namespace = '', name = ''] = backend.split('/');
  return `${name}.${namespace}`;
}
