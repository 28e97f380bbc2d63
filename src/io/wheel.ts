// A hashed timer wheel: 10 ms steps, O(1) arm and cancel, lazy extension. (Varghese and Lauck, SOSP 1987, scheme 6.)

/** Whose deadline it is. */
export interface TimerSink {
  onTimer(timer: Timer): void;
}

/** One deadline, embedded in its owner and reused: arming allocates nothing. */
export class Timer {
  /** Which of its owner's deadlines this is; the owner's own numbering. */
  readonly id: number;
  readonly sink: TimerSink;
  /** Monotonic ms at which it fires; -1 while disarmed. */
  due = -1;
  /** Where the wheel holds it; moved lazily when `due` was extended. */
  slot = -1;
  prev: Timer | null = null;
  next: Timer | null = null;

  constructor(sink: TimerSink, id: number) {
    this.sink = sink;
    this.id = id;
  }
}

const STEP_MS = 10;
const SLOTS = 8192;
const MASK = SLOTS - 1;

export class TimerWheel {
  readonly #slots: (Timer | null)[] = new Array(SLOTS).fill(null);
  /** The tick up to which slots were emptied. */
  #tick: number;
  #armed = 0;
  #held = 0;

  constructor(nowMs: number) {
    this.#tick = Math.floor(nowMs / STEP_MS);
  }

  /** Timers that will fire. */
  get armed(): number {
    return this.#armed;
  }

  /** (Re)arms `timer` to fire `ms` from `nowMs`; extending one that is already in the wheel only writes a field. */
  arm(timer: Timer, nowMs: number, ms: number): void {
    const due = nowMs + ms;
    if (timer.due === -1) this.#armed++;
    if (timer.slot !== -1) {
      // Held at an earlier or equal place: leave it there, expiry looks at `due` again.
      if (timer.due !== -1 && due >= timer.due) {
        timer.due = due;
        return;
      }
      this.#unlink(timer);
    }
    timer.due = due;
    this.#link(timer, due);
  }

  cancel(timer: Timer): void {
    if (timer.due === -1) return;
    timer.due = -1;
    this.#armed--;
    this.#unlink(timer);
  }

  /** Fires everything due at `nowMs`, returns how many; a sink may arm and cancel any timer meanwhile. */
  advance(nowMs: number): number {
    const target = Math.floor(nowMs / STEP_MS);
    if (target <= this.#tick) return 0;
    if (this.#held === 0) {
      this.#tick = target;
      return 0;
    }
    let fired = 0;
    // After a long sleep one walk over the whole wheel covers every slot.
    const from = target - this.#tick > SLOTS ? target - SLOTS : this.#tick;
    for (let t = from + 1; t <= target; t++) {
      this.#tick = t;
      fired += this.#expire(t & MASK, nowMs);
    }
    return fired;
  }

  /** Milliseconds until the next slot that holds a timer (an early bound for sleeping), or `max` when none is near. */
  untilNext(nowMs: number, max: number): number {
    if (this.#held === 0) return max;
    const steps = Math.min(SLOTS, Math.ceil(max / STEP_MS));
    for (let s = 1; s <= steps; s++) {
      if (this.#slots[(this.#tick + s) & MASK] !== null) {
        return Math.min(max, Math.max(0, (this.#tick + s) * STEP_MS - nowMs));
      }
    }
    return max;
  }

  #expire(index: number, nowMs: number): number {
    let timer = this.#slots[index] ?? null;
    if (timer === null) return 0;
    let fired = 0;
    // Detach the whole list first: what sinks arm now goes to later slots, and what they cancel unlinks itself.
    this.#slots[index] = null;
    const head = new Timer(NO_SINK, -1);
    head.next = timer;
    timer.prev = head;
    for (let t: Timer | null = timer; t !== null; t = t.next) t.slot = DETACHED;
    while (head.next !== null) {
      timer = head.next;
      this.#unlink(timer);
      if (timer.due > nowMs) {
        this.#link(timer, timer.due);
      } else {
        timer.due = -1;
        this.#armed--;
        fired++;
        timer.sink.onTimer(timer);
      }
    }
    return fired;
  }

  #link(timer: Timer, due: number): void {
    // Never into a slot already passed: a deadline is met late by at most one step, never early.
    const tick = Math.max(Math.ceil(due / STEP_MS), this.#tick + 1);
    const index = Math.min(tick, this.#tick + SLOTS - 1) & MASK;
    const first = this.#slots[index] ?? null;
    timer.slot = index;
    timer.prev = null;
    timer.next = first;
    if (first !== null) first.prev = timer;
    this.#slots[index] = timer;
    this.#held++;
  }

  #unlink(timer: Timer): void {
    if (timer.slot === -1) return;
    if (timer.prev !== null) timer.prev.next = timer.next;
    else if (timer.slot !== DETACHED) this.#slots[timer.slot] = timer.next;
    if (timer.next !== null) timer.next.prev = timer.prev;
    timer.prev = null;
    timer.next = null;
    timer.slot = -1;
    this.#held--;
  }
}

/** The place of a timer whose slot is being emptied: its list hangs on a local head. */
const DETACHED = -2;
const NO_SINK: TimerSink = { onTimer() {} };
