// What all pickers are.

export interface Picker {
  /**
   * Index of the choice, -1 when there is none. `hash` (unsigned 32 bits) is used by the hashing pickers: equal hashes
   * go to the same choice.
   */
  pick(hash: number): number;
}

/** Where randomness comes from (Io). */
export interface Random {
  /** 32 unsigned bits. */
  random32(): number;
}
