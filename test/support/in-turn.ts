// Whole frames go out one behind the other, whoever sends them: what a peer takes in pieces is not to be mixed.

export class InTurn {
  #last: Promise<void> | null = null;

  /** Runs `task` when those before it are over, at once where there are none. */
  run(task: () => Promise<void>): Promise<void> {
    const running = this.#last === null ? task() : this.#last.then(task, task);
    this.#last = running;
    const over = (): void => {
      if (this.#last === running) this.#last = null;
    };
    running.then(over, over);
    return running;
  }

  /** The same, and nobody waits for it: who reads on meanwhile sees that the other end is gone. */
  aside(task: () => Promise<void>): Promise<void> {
    this.run(task).catch(() => {});
    return Promise.resolve();
  }
}
