// The rules of definitions, for `rauta check`: the evaluator is brought in when somebody checks (ADR 31).

import type { Cel } from '../api/cel.ts';

export async function fileRules(): Promise<Cel> {
  const { loadCel } = await import('../api/cel.ts');
  return await loadCel();
}
