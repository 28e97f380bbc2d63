// The entry of every process of RAUTA. Compiled code is cached before anything else is loaded: a replacement for a dead
// worker has to serve within a second.

import { enableCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';

enableCompileCache(
  process.env['RAUTA_COMPILE_CACHE'] ?? fileURLToPath(new URL('../../.cache/compile', import.meta.url)),
);
const { run } = await import('./run.ts');
await run(process.argv.slice(2));
