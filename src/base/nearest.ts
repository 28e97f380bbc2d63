// The nearest name to a mistyped one, for suggestions.

/**
 * The candidate within two edits (one for short names) of `name`, the nearest first met; else the only one that begins
 * with it (three letters and more); undefined if there is none.
 */
export function nearest(name: string, candidates: Iterable<string>): string | undefined {
  const lower = name.toLowerCase();
  const longer: string[] = [];
  let best: string | undefined;
  let least = name.length < 5 ? 2 : 3;
  for (const candidate of candidates) {
    if (lower.length >= 3 && candidate.toLowerCase().startsWith(lower)) longer.push(candidate);
    if (Math.abs(candidate.length - name.length) >= least) continue;
    const d = distance(lower, candidate.toLowerCase());
    if (d < least) {
      least = d;
      best = candidate;
    }
  }
  return best ?? (longer.length === 1 ? longer[0] : undefined);
}

/**
 * The nearest, or the one candidate that holds `name` or is held by it (`Redirect`: RequestRedirect), or that shares
 * the longest beginning with it, of three letters at least (`Regex`: RegularExpression); undefined where none or
 * several do.
 */
export function likely(name: string, candidates: readonly string[]): string | undefined {
  const near = nearest(name, candidates);
  const lower = name.toLowerCase();
  if (near !== undefined || lower.length < 3) return near;
  const holding = candidates.filter((c) => c.toLowerCase().includes(lower) || lower.includes(c.toLowerCase()));
  if (holding.length > 0) return holding.length === 1 ? holding[0] : undefined;
  const shared = candidates.map((c) => sharedBeginning(lower, c.toLowerCase()));
  const longest = Math.max(...shared);
  const best = candidates.filter((_, i) => shared[i] === longest);
  return longest >= 3 && best.length === 1 ? best[0] : undefined;
}

function sharedBeginning(a: string, b: string): number {
  let i = 0;
  while (i < a.length && a[i] === b[i]) i++;
  return i;
}

/** Edit distance (insertions, deletions, substitutions) between two short texts. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}
