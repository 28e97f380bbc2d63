// What must hold, said where it is relied on: a mistake of ours ends in a message with its name, not in a null that is
// met somewhere else. Never for what comes from outside: that is refused, not asserted.

class AssertionError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'AssertionError';
  }
}

/** Throws AssertionError unless `condition` holds; `message` says what should. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** `value`, which is there; `what` names it. */
export function present<T>(value: T | null, what: string): T {
  if (value === null) throw new AssertionError(`${what} is not there`);
  return value;
}
