// Mappings that come from outside.

export type Fields = Readonly<Record<string, unknown>>;

const NONE: Fields = Object.freeze({});

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A mapping, or an empty one. */
export function fields(value: unknown): Fields {
  return isFields(value) ? value : NONE;
}
