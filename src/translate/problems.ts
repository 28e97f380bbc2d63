// Collects what is wrong with objects while one unit is translated. Each problem names the object and the field.

import type { Problem } from '../source/source.ts';
import type { ObjectKey } from '../store/world.ts';

export class Problems {
  readonly found: Problem[] = [];
  readonly #object: ObjectKey;

  constructor(object: ObjectKey) {
    this.#object = object;
  }

  /** Something does not work as written. */
  error(field: string, message: string): void {
    this.found.push({ severity: 'error', message, place: { object: this.#object, field } });
  }

  /** Something works, but not as its author may think. */
  warning(field: string, message: string): void {
    this.found.push({ severity: 'warning', message, place: { object: this.#object, field } });
  }
}
