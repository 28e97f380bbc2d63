// Asks the admin server of a running program, for commands.

import { readFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { isIP } from 'node:net';
import { EXIT, ExitError } from '../base/errors.ts';
import { hostPortForm, splitHostPort } from '../base/ip.ts';
import { LIMITS } from '../base/limits.ts';
import { visible } from '../base/steering.ts';
import { type Given, usageError } from '../cli/arguments.ts';
import { spelt } from './flag-values.ts';
import { FLAGS, variableOf } from './flags.ts';

/**
 * What `path` says, as JSON. `flags`: `admin` and `admin-token-file`, whose variables count where they were not given.
 * Throws ExitError: 2 for a question that is none, 3 when there is no answer.
 */
export async function askAdmin(path: string, flags: Given['flags']): Promise<unknown> {
  const named = adminFlag('admin', flags);
  const { host, port } = addressOf(named, flags.has('admin') ? '--admin' : variableOf('admin'));
  const tokenFile = adminFlag('admin-token-file', flags);
  const headers: Record<string, string> = { accept: 'application/json' };
  if (tokenFile !== '') headers['authorization'] = `Bearer ${tokenIn(tokenFile)}`;
  let answer: { readonly status: number; readonly text: string };
  try {
    answer = await get({ host, port, path, headers });
  } catch (error) {
    const why = error instanceof Error ? error.message || (error as NodeJS.ErrnoException).code : String(error);
    throw new ExitError(EXIT.cannotRun, `the admin server at ${named} does not answer: ${why}`);
  }
  const { status, text } = answer;
  const said = visible(text.trim().slice(0, LIMITS.ADMIN_SAID_BYTES));
  if (status === 400) throw usageError(said);
  if (status !== 200) throw new ExitError(EXIT.cannotRun, `${named} answers ${status}: ${said}`);
  try {
    return JSON.parse(text);
  } catch {
    throw new ExitError(EXIT.cannotRun, `${named} does not answer as an admin server of RAUTA does`);
  }
}

function adminFlag(name: string, flags: Given['flags']): string {
  // (An empty variable counts as not given.)
  const given = flags.get(name)?.at(-1) ?? (process.env[variableOf(name)] || undefined);
  return given ?? FLAGS.find((flag) => flag.name === name)?.default ?? '';
}

function addressOf(named: string, from: string): { readonly host: string; readonly port: number } {
  const parts = splitHostPort(named);
  if (parts === null || parts.port > 65_535 || (parts.bracketed && isIP(parts.host) !== 6))
    throw usageError(`${from}: '${named}' is not HOST:PORT; write ${spelt(from, meantBy(named))}`);
  return { host: parts.host === '' ? '127.0.0.1' : parts.host, port: parts.port };
}

function meantBy(named: string): string {
  const otherwise = FLAGS.find(({ name }) => name === 'admin')?.default ?? '';
  const { host = '', port = 0 } = splitHostPort(otherwise) ?? {};
  // (Of `serve`, whose variable this may be.)
  return named === 'off' ? otherwise : (hostPortForm(named, host, port) ?? otherwise);
}

function get(where: {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}): Promise<{ readonly status: number; readonly text: string }> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(LIMITS.ADMIN_WAIT_MS);
    const asked = request({ ...where, agent: false, signal }, (response: IncomingMessage) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
      response.on('error', reject);
    });
    asked.on('error', (error) =>
      reject(signal.aborted ? new Error(`nothing within ${LIMITS.ADMIN_WAIT_MS / 1000} s`) : error),
    );
    asked.end();
  });
}

function tokenIn(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new ExitError(EXIT.cannotRun, error instanceof Error ? error.message : String(error));
  }
}
