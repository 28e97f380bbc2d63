// Parameters of a query that whoever decides about a request sets or takes away.

/** `value` null: all of that name go. Both as they mean, not as they are written in a query. */
export interface QueryChange {
  readonly name: string;
  readonly value: string | null;
}

/**
 * `query` (without '?') with the changes, one after the other: what is set stands where the first of its name stood, or
 * behind all others. Parameters are known by what their names mean, however a client wrote them.
 */
export function amendedQuery(query: string, changes: readonly QueryChange[]): string {
  let parts = query === '' ? [] : query.split('&');
  for (const { name, value } of changes) {
    const first = parts.findIndex((part) => nameOf(part) === name);
    parts = parts.filter((part) => nameOf(part) !== name);
    if (value === null) continue;
    const set = `${encodeURIComponent(name)}=${encodeURIComponent(value)}`;
    parts.splice(first < 0 ? parts.length : first, 0, set);
  }
  return parts.join('&');
}

function nameOf(part: string): string {
  const name = part.split('=', 1)[0] as string;
  try {
    return decodeURIComponent(name.replaceAll('+', ' '));
  } catch {
    return name;
  }
}
