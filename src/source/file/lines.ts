// Lines and columns of offsets, both from 1, columns in UTF-16 units as editors count them.

export interface Position {
  readonly line: number;
  readonly column: number;
}

export class Lines {
  /** Null once they are counted. */
  #text: string | null;
  #starts: Uint32Array | null = null;

  /** `held`: somebody else keeps the text, too, so that lines are counted when somebody asks. */
  constructor(text: string, held = true) {
    this.#text = text;
    if (!held) this.#index();
  }

  at(offset: number): Position {
    const starts = this.#index();
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((starts[middle] as number) <= offset) low = middle;
      else high = middle - 1;
    }
    return { line: low + 1, column: offset - (starts[low] as number) + 1 };
  }

  #index(): Uint32Array {
    if (this.#starts !== null) return this.#starts;
    const text = this.#text ?? '';
    const starts = [0];
    for (let i = text.indexOf('\n'); i >= 0; i = text.indexOf('\n', i + 1)) starts.push(i + 1);
    this.#text = null;
    this.#starts = Uint32Array.from(starts);
    return this.#starts;
  }
}
