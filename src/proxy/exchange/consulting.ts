// A request that somebody else has a say in: its content is held where who decides wants to see it, he is asked, and
// the chain goes on, or the request is answered, when the verdict is here.

import { present } from '../../base/assert.ts';
import { FAULTS, type Fault } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import { withoutCors } from '../filter/cors.ts';
import { BODY, type Head } from '../head.ts';
import type { Answer } from './answer.ts';
import { NEVER } from './deadlines.ts';
import { ASKED } from './deciding.ts';
import type { Asked, Decision } from './decision.ts';
import { grpcTimeoutMs } from './grpc.ts';
import { type CompiledRule, STEP } from './rule.ts';
import { Sending } from './sending.ts';
import { STATE, transition } from './states.ts';

export abstract class Consulting extends Sending {
  /** True: it goes on when its content is here, for who decides wants to see that; or it was answered. */
  protected collects({ contentBytes }: Decision, step: number, head: Head): boolean {
    const { io } = this.core;
    const { deciding, deadlines } = this;
    if (deciding.content !== null || head.body === BODY.NONE || head.upgrade) return false;
    if (head.body === BODY.LENGTH && head.contentLength > contentBytes) {
      this.fail(FAULTS.bodyTooLarge);
      return true;
    }
    const resumed = deciding.kept !== null;
    if (!deciding.collect(contentBytes, step, head)) {
      this.fail(FAULTS.overload);
      return true;
    }
    this.state = transition(this.state, STATE.COLLECTING);
    this.startClock(head);
    deadlines.wait = io.nowMs + LIMITS.DECISION_BODY_MS;
    deadlines.arm(Math.min(deadlines.wait, deadlines.request));
    const down = present(this.down, 'the client');
    down.proceed();
    if (resumed) down.resumeRequest();
    return true;
  }

  protected contentFits(): boolean {
    const content = present(this.deciding.content, 'the content');
    if (content.exhausted) this.exhausted();
    else if (content.tooLarge) this.fail(FAULTS.bodyTooLarge);
    else return true;
    return false;
  }

  protected collected(trailersStart: number, trailersEnd: number): void {
    const { deciding } = this;
    deciding.content?.addTrailers(trailersStart, trailersEnd);
    if (!this.contentFits()) return;
    this.request.done = true;
    this.deadlines.wait = NEVER;
    this.state = transition(this.state, STATE.WAITING);
    const step = present(this.found.rule, 'the rule').chain[deciding.step] as CompiledRule['chain'][number];
    if (step.kind !== STEP.DECIDE) return;
    this.decide(step.decision, deciding.step, present(deciding.kept, 'the head that was kept'));
    this.sendHeld();
  }

  /** True when the verdict was given at once, and is to go on. */
  protected decide(decision: Decision, step: number, head: Head): boolean {
    const { io } = this.core;
    const { deadlines, deciding } = this;
    const asked = deciding.ask(decision, step, head, present(this.down, 'the client'), this.record.client);
    if (asked === ASKED.DECIDED) {
      if (this.state !== STATE.WAITING) return false;
      if (deciding.kept === null) return true;
      this.resume(deciding.kept);
      return false;
    }
    if (asked === ASKED.OVERLOAD) {
      this.fail(FAULTS.overload);
      return false;
    }
    this.state = transition(this.state, STATE.DECIDING);
    this.startClock(head);
    deadlines.wait = io.nowMs + LIMITS.DECISION_MS;
    deadlines.arm(Math.min(deadlines.wait, deadlines.request));
    return false;
  }

  onDecided(answer: Answer | null, start: number, end: number, asked: Asked): void {
    const { deciding } = this;
    const waited = this.state === STATE.DECIDING;
    this.verdict(asked);
    if (answer !== null) {
      // Who may read it the rule says, as it does of what a backend answers.
      const crossOrigin = present(this.found.rule, 'the rule').crossOrigin;
      this.answer(crossOrigin === null ? answer : answer.withFields(withoutCors), start, end);
      this.finish(answer.status >= 400 || asked.said !== '' ? 'UAEX' : '');
      return;
    }
    const { amendments } = asked;
    const head = deciding.amended(amendments);
    if (amendments !== null) {
      this.told = amendments.response;
      this.changed = amendments.request;
    }
    if (head === null && amendments !== null) this.exhausted();
    else if (waited) {
      this.resume(present(head, 'the head that was kept'));
      this.sendHeld();
    }
  }

  onRefused(fault: Fault, asked: Asked): void {
    this.verdict(asked);
    this.fail(fault);
  }

  private verdict({ said }: Asked): void {
    this.deciding.decided();
    if (this.state === STATE.DECIDING) this.state = transition(this.state, STATE.WAITING);
    this.deadlines.wait = NEVER;
    this.record.auth = said;
  }

  /** The chain goes on behind the step that has decided, with the head that was kept. */
  private resume(head: Head): void {
    const { deciding } = this;
    this.walk(deciding.step + 1, head);
    const state: number = this.state;
    if (state !== STATE.DECIDING && state !== STATE.COLLECTING) deciding.dropKept();
  }

  /** When capacity was there at once, nobody else is going to send the request. */
  private sendHeld(): void {
    if (this.state === STATE.SENDING && this.unsent) this.sendNow();
  }

  /** The request's time begins, unless it has: whoever decides about it has a part of it. */
  protected startClock(head: Head): void {
    const { deadlines, core } = this;
    if (deadlines.request !== NEVER) return;
    const { requestTimeoutMs } = present(this.found.rule, 'the rule');
    if (requestTimeoutMs > 0) deadlines.request = core.io.nowMs + requestTimeoutMs;
    if (this.grpc) this.limitCall(core.mem, head);
  }

  /** A call has the time that it gives itself, if that is less than the rule's. */
  protected limitCall(mem: Uint8Array, head: Head): void {
    const ms = grpcTimeoutMs(mem, head);
    if (ms > 0) this.deadlines.limitCall(this.core.io.nowMs + ms);
  }

  /** The rule's chain from step `from` on. */
  protected abstract walk(from: number, head: Head): void;
}
