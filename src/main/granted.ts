// What the keeper opened for the controller, put to use: the access log, the token, a certificate with its key, the
// admin's listening sockets. Whatever cannot be used is said and everything else goes on; the keeper tries again and
// gives it later.

import { closeSync, readSync } from 'node:fs';
import { Renderings } from '../admin/renderings.ts';
import { AdminServer } from '../admin/server.ts';
import type { View } from '../admin/view.ts';
import { EXIT, ExitError } from '../base/errors.ts';
import { addressText } from '../base/ip.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { Grant, GrantName } from '../stream/messages.ts';
import type { AccessLog } from './access-log.ts';
import { type KeptState, takeKept } from './kept-state.ts';
import type { KeyPair } from './key-pair.ts';
import type { Options } from './options.ts';

export class Granted {
  readonly #options: Options;
  readonly #log: Logger;
  readonly #accessLog: AccessLog;
  readonly #pair: KeyPair | null;
  readonly #problems = new Map<GrantName, string>();
  readonly #renderings = new Renderings();
  readonly #servers = new Map<GrantName, AdminServer>();
  /** Listening sockets that came before there was something to show. */
  readonly #early: { readonly name: 'admin' | 'requests'; readonly fd: number }[] = [];
  /** Of --state-file; null when there is none that can be used, or the keeper knows more. */
  kept: KeptState | null = null;
  /** Where the admin server is asked; null while it listens nowhere. */
  adminAt: string | null = null;
  #view: View | null = null;
  #token: string | null = null;

  constructor(options: Options, log: Logger, accessLog: AccessLog, pair: KeyPair | null) {
    this.#options = options;
    this.#log = log;
    this.#accessLog = accessLog;
    this.#pair = pair;
  }

  /** For people, each with the flag's name. */
  get problems(): string[] {
    const all = [...this.#problems.values(), this.#accessLog.problem, this.#pair?.problem ?? ''];
    return all.filter((text) => text !== '');
  }

  /** No descriptor when nothing was given. Throws ExitError for a token that must not be used. */
  take({ name, torn, problem }: Grant, [fd, second]: readonly number[]): void {
    this.#problems.set(name, problem);
    if (fd === undefined) return;
    if (name === 'accessLog') this.#accessLog.use(fd, torn, problem === '');
    else if (name === 'adminToken') this.#takeToken(fd);
    else if (name === 'state') this.#takeState(fd);
    else if (name === 'tls') this.#pair?.take(fd, second as number);
    else if (this.#servers.has(name)) closeSync(fd);
    else if (this.#view === null) this.#early.push({ name, fd });
    else this.#serve(name, fd, this.#view);
  }

  #takeState(fd: number): void {
    const { stateFile } = this.#options;
    if (stateFile === null) closeSync(fd);
    else this.kept = takeKept(fd, stateFile, this.#log);
  }

  /** From now on there is something to show. */
  show(view: View): void {
    this.#view = view;
    for (const { name, fd } of this.#early.splice(0)) this.#serve(name, fd, view);
  }

  /** The ports are somebody else's from now on. */
  retire(): void {
    for (const { fd } of this.#early.splice(0)) closeSync(fd);
    for (const server of this.#servers.values()) server.close();
    this.adminAt = null;
  }

  /** A token that became unusable leaves the one before in force. */
  #takeToken(fd: number): void {
    try {
      this.#token = readToken(fd);
      if (this.#view !== null) this.#log.info('admin token read again', { path: this.#options.adminTokenFile });
    } catch (error) {
      const message = `--admin-token-file ${this.#options.adminTokenFile}: ${(error as Error).message}`;
      this.#problems.set('adminToken', message);
      this.#log.error(message);
      if (this.#view === null) throw new ExitError(EXIT.configuration, message);
    } finally {
      closeSync(fd);
    }
  }

  #serve(name: 'admin' | 'requests', fd: number, view: View): void {
    const { host } = this.#options[name] as { readonly host: string };
    const { adminAllowedHosts: allowedHosts } = this.#options;
    const settings = { host, allowedHosts, token: (): string | null => this.#token, readOnly: name === 'requests' };
    const server = new AdminServer(view, settings, this.#renderings);
    this.#servers.set(name, server);
    server.listen({ fd }).then(
      (port) => {
        if (name === 'admin') this.adminAt = addressText(host, port);
        this.#log.info('admin server', { address: host, port });
      },
      (error) => {
        this.#problems.set(name, `--${name}: ${error instanceof Error ? error.message : String(error)}`);
        this.#log.error('the admin server cannot listen', { flag: `--${name}`, reason: String(error) });
      },
    );
  }
}

/** A token that everybody has is worse than none. */
function readToken(fd: number): string {
  const bytes = Buffer.alloc(LIMITS.ADMIN_TOKEN_BYTES + 1);
  const n = readSync(fd, bytes, 0, bytes.length, 0);
  if (n > LIMITS.ADMIN_TOKEN_BYTES) throw new Error(`is longer than ${LIMITS.ADMIN_TOKEN_BYTES} bytes`);
  const token = bytes.toString('latin1', 0, n).trim();
  if (token === '') throw new Error('is empty: without a token in it, it would open every page to everybody');
  if (!/^[\x21-\x7e]+$/.test(token)) throw new Error('holds more than one word of printable ASCII');
  return token;
}
