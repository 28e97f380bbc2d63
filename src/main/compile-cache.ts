// The process that fills the compile cache before the first start of a version (main.js says why).

import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { LIMITS } from '../base/limits.ts';

/** Loads what each role loads. `stamp`: the file whose presence says that it is done; those of other versions go. */
export async function compileAll(stamp: string | undefined): Promise<void> {
  // Whoever waits for it waits no longer than this.
  setTimeout(() => process.exit(1), LIMITS.COMPILE_MS).unref();
  await Promise.all([
    import('./run.ts'),
    import('./keeper.ts'),
    import('./controller.ts'),
    import('./kubernetes.ts'),
    import('./worker.ts'),
    import('./file-rules.ts').then(({ fileRules }) => fileRules()),
  ]);
  flushCompileCache();
  if (stamp === undefined) return;
  const folder = dirname(stamp);
  const kind = basename(stamp).replace(/-.*/, '-');
  for (const name of readdirSync(folder)) if (name.startsWith(kind)) rmSync(join(folder, name), { force: true });
  writeFileSync(stamp, '');
}
