// The files that a command is given: paths, and `-` for what comes on standard input.

import { EXIT, ExitError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';

const STDIN = '-';
/** How problems name it. */
const STDIN_NAME = '<stdin>';

/** Paths without `-`, and the contents that it stood for. */
export interface GivenFiles {
  readonly paths: readonly string[];
  readonly given: ReadonlyMap<string, Uint8Array>;
}

export async function givenFiles(operands: readonly string[]): Promise<GivenFiles> {
  const paths = operands.filter((path) => path !== STDIN);
  const asked = paths.length < operands.length;
  return { paths, given: new Map(asked ? [[STDIN_NAME, await standardInput()]] : []) };
}

async function standardInput(): Promise<Buffer> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of process.stdin) {
    parts.push(part as Buffer);
    bytes += (part as Buffer).length;
    if (bytes > LIMITS.CONFIG_FILE_BYTES)
      throw new ExitError(EXIT.cannotRun, `standard input is larger than ${LIMITS.CONFIG_FILE_BYTES} bytes`);
  }
  return Buffer.concat(parts);
}
