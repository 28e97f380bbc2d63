// The files that a command is given: paths, `-` for what comes on standard input, and pipes (`rauta check <(COMMAND)`),
// which are read once and to their end, as they are written.

import { createReadStream, statSync } from 'node:fs';
import { EXIT, ExitError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';

const STDIN = '-';
/** How problems name it. */
const STDIN_NAME = '<stdin>';

/** Paths of files and folders, and the contents of what is neither, by the names by which problems speak of it. */
export interface GivenFiles {
  readonly paths: readonly string[];
  readonly given: ReadonlyMap<string, Uint8Array>;
}

export async function givenFiles(operands: readonly string[]): Promise<GivenFiles> {
  const paths = operands.filter((path) => path !== STDIN && !isPipe(path));
  const given = new Map<string, Uint8Array>();
  for (const operand of operands) {
    if (operand === STDIN) given.set(STDIN_NAME, await contents('standard input', process.stdin));
    else if (!paths.includes(operand)) given.set(operand, await contents(operand, createReadStream(operand)));
  }
  return { paths, given };
}

function isPipe(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFIFO() === true;
}

async function contents(name: string, stream: AsyncIterable<unknown>): Promise<Buffer> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of stream) {
    parts.push(part as Buffer);
    bytes += (part as Buffer).length;
    if (bytes > LIMITS.CONFIG_FILE_BYTES)
      throw new ExitError(EXIT.cannotRun, `${name} is larger than ${LIMITS.CONFIG_FILE_BYTES} bytes`);
  }
  return Buffer.concat(parts);
}
