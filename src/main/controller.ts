// The controller: from resources to revisions. It may crash: workers serve on, and the next one takes up where the
// keeper remembers this one left off.

import { createRequire } from 'node:module';
import { EXIT, ExitError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { visible } from '../base/steering.ts';
import { decodeEntry, encodeEntry } from '../ir/codec.ts';
import type { Entry, SocketEntry } from '../ir/ir.ts';
import { parseKey, STATE_PREFIX } from '../ir/keys.ts';
import {
  forbidCoreDumps,
  mapShared,
  type NativeIo,
  openNative,
  Reactor,
  setParentDeathSignal,
} from '../native/index.ts';
import { TrustedProxies } from '../proxy/trusted.ts';
import { CellBook } from '../publish/cells.ts';
import { type Downstream, Publisher } from '../publish/publisher.ts';
import { SYSTEM_TIMERS } from '../source/timers.ts';
import { Channel, type ChannelOwner } from '../stream/channel.ts';
import { decodePut, encodeBegin, encodeFrame, encodeJson, encodePut, FRAME, type Frame } from '../stream/frames.ts';
import { type FromController, type Grant, NO_RESTARTS, PROTOCOL, type ToController } from '../stream/messages.ts';
import { mapSegment } from '../stream/segments.ts';
import { Cells } from '../telemetry/cells.ts';
import { GrpcMethods, METHOD_TABLE_BYTES } from '../telemetry/grpc-methods.ts';
import { RingReader, ringBytes } from '../telemetry/log-ring.ts';
import { Numbers } from '../telemetry/numbers.ts';
import { AccessLog } from './access-log.ts';
import { CHANNEL_FD } from './child.ts';
import { GiveBack } from './give-back.ts';
import { Granted } from './granted.ts';
import { factsOf, type KeptState } from './kept-state.ts';
import { KeyPair } from './key-pair.ts';
import type { Cluster } from './kubernetes.ts';
import { stderrLogger, tell } from './logger.ts';
import type { KubernetesFlags, Options } from './options.ts';
import { becomeReader } from './privileges.ts';
import { AGES, KEPT, Resources } from './resources.ts';
import { startSummary } from './start-summary.ts';
import type { ControllerState } from './state.ts';
import { ControllerView } from './view.ts';

const SERVICE_ACCOUNT_TOKEN = '/var/run/secrets/kubernetes.io/serviceaccount/token';
const ARENA_BYTES = 64 * 1024 * 1024;

class Controller implements ChannelOwner, Downstream {
  readonly #channel: Channel<FromController>;
  readonly #numbers = new Numbers();
  readonly #rings: RingReader[] = [];
  readonly #snapshot = new Map<string, Buffer>();
  readonly #state: ControllerState = {
    acked: 0,
    held: null,
    draining: false,
    succession: false,
    storm: false,
    workers: [],
    failedSockets: [],
    restarts: { worker: NO_RESTARTS, controller: NO_RESTARTS },
  };
  #log: Logger = stderrLogger('info', true);
  #options: Options | null = null;
  #resources: Resources | null = null;
  #cluster: Cluster | null = null;
  /** Another program answers for the whole. */
  #retired = false;
  /** Loaded only where it is needed. */
  #kubernetes: typeof import('./kubernetes.ts') | null = null;
  #book: CellBook | null = null;
  #accessLog: AccessLog | null = null;
  #granted: Granted | null = null;
  #pair: KeyPair | null = null;
  #view: ControllerView | null = null;
  /** Another controller of this program was there before. */
  #again = false;
  readonly #giveBack = new GiveBack();
  /** Of the revision being sent: frames that wait to go together, their bytes, and how many entries there were. */
  #frames: Buffer[] = [];
  #frameBytes = 0;
  #entries = 0;

  constructor(io: NativeIo) {
    this.#channel = new Channel(io, io.adopt(CHANNEL_FD), this);
    this.#say({ type: 'hello', protocol: PROTOCOL });
    // So that the keeper sees whether this process still makes progress.
    setInterval(() => this.#say({ type: 'beat' }), LIMITS.HEARTBEAT_MS);
  }

  onFrame(frame: Frame): void {
    if (frame.type === FRAME.MESSAGE) this.#onMessage(JSON.parse(frame.body.toString()) as ToController<Options>);
    else if (frame.type === FRAME.PUT) {
      const { key, value } = decodePut(frame.body);
      this.#snapshot.set(key, value);
    }
  }

  /** The keeper is gone, and with it everything this process is for. */
  onEnded(): void {
    const end = (): void => process.exit(EXIT.ok);
    if (this.#accessLog === null) end();
    this.#accessLog?.flush(end);
  }

  /** An exception that nobody expected: said by way of the log, since whoever reads standard error may stand still. */
  crash(error: Error): void {
    this.#log.error('a bug in the controller, ending', { stack: error.stack ?? String(error) });
    process.exit(EXIT.bug);
  }

  #onMessage(message: ToController<Options>): void {
    const state = this.#state;
    switch (message.type) {
      case 'options':
        try {
          this.#configure(message.options);
        } catch (error) {
          // Nothing from outside is read with privileges that were to be gone.
          this.#fatal(error);
          process.exit(EXIT.cannotRun);
        }
        break;
      case 'grant':
        this.#take(
          message,
          Array.from({ length: message.given }, () => this.#channel.takeFd()),
        );
        break;
      case 'methods':
        this.#numbers.methods = new GrpcMethods(mapShared(this.#channel.takeFd(), 0, METHOD_TABLE_BYTES));
        break;
      case 'slot':
        this.#addSlot(this.#channel.takeFd(), this.#channel.takeFd());
        break;
      case 'welcome':
        this.#start(message.revision, message.succeeds).catch((error) => this.#fatal(error));
        break;
      case 'acked':
        this.#sumUp(state.acked === 0);
        state.acked = message.revision;
        this.#book?.acked(message.revision);
        this.#resources?.acked(message.revision);
        break;
      case 'held':
        state.held = message.held;
        this.#resources?.held(message.held);
        break;
      case 'workers':
        state.workers = message.workers;
        state.storm = message.storm;
        state.restarts = message.restarts;
        break;
      case 'sockets':
        state.failedSockets = message.failed;
        this.#resources?.socketsFailed(message.failed);
        break;
      case 'reread':
        this.#resources?.rescan();
        this.#say({ type: 'reread' });
        break;
      case 'draining':
        state.draining = true;
        break;
      case 'retire':
        this.#retired = true;
        this.#granted?.retire();
        void this.#cluster?.stop();
        break;
      case 'succession':
        state.succession = message.begun && this.#options?.afterTakeover === 'wait';
        break;
      case 'stop':
        this.#flush(() => this.#say({ type: 'flushed' }));
        break;
    }
  }

  /** Everything that needs privileges is done here, then they go; only then anything from outside is read. */
  #configure(options: Options): void {
    this.#options = options;
    this.#log = stderrLogger(options.logLevel, options.logFormat === 'json');
    this.#accessLog = new AccessLog(options.accessLog, options.accessLogFormat, this.#rings, this.#log);
    this.#pair = options.tls === null ? null : new KeyPair(options.tls, this.#log);
    this.#granted = new Granted(options, this.#log, this.#accessLog, this.#pair);
    // At once, and not later: compiled code is its owner's to read, and what is not found there is compiled again by 24
    // MB of eraser.
    if (options.kubernetes !== null)
      this.#kubernetes = createRequire(import.meta.url)('./kubernetes.ts') as typeof import('./kubernetes.ts');
    const { closed, reads } = becomeReader(options.user, pathsOf(options));
    const kept = reads
      ? '; the controller keeps the capability to read any file'
      : ', and this program has no capability to read it';
    for (const path of closed) {
      const remedy = `make it readable by ${options.user}, or give --user`;
      this.#log.warn(`${path}: ${options.user} may not read it${kept}`, { remedy });
    }
  }

  #take(grant: Grant, fds: readonly number[]): void {
    try {
      this.#granted?.take(grant, fds);
    } catch (error) {
      this.#fatal(error);
    }
  }

  /** On a terminal, when it serves for the first time: what there is. Before that the log is all there is to read. */
  #sumUp(first: boolean): void {
    const { terminal, logFormat, accessLog } = this.#options as Options;
    if (!first || this.#again || !terminal || logFormat !== 'text') return;
    // What was acked is told of when it counts.
    setImmediate(() => {
      const [view, resources] = [this.#view, this.#resources];
      if (view === null || resources === null) return;
      const shown = { admin: this.#granted?.adminAt ?? null, requests: accessLog === '-' };
      tell(startSummary(view.status(), resources.scene().entries, shown).map(visible));
    });
  }

  #flush(done: () => void): void {
    const log = (): void => {
      if (this.#accessLog === null) done();
      this.#accessLog?.flush(done);
    };
    if (this.#cluster === null) return void log();
    // Others may write as soon as this one will no more; a server that does not answer is not waited for.
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = SYSTEM_TIMERS.after(LIMITS.FLUSH_MS / 4, resolve);
    void Promise.race([this.#cluster.stop(), promise]).then(() => {
      cancel();
      log();
    });
  }

  #addSlot(cellsFd: number, ringFd: number): void {
    this.#numbers.slots.push(new Cells((index) => mapSegment(cellsFd, index)));
    this.#rings.push(new RingReader(mapShared(ringFd, 0, ringBytes(LIMITS.LOG_RING_BYTES))));
  }

  async #start(revision: number, succeeds: boolean): Promise<void> {
    const options = this.#options as Options;
    this.#accessLog?.start();
    const book = new CellBook(this.#numbers.read, {
      route: options.metricsMaxRoutes,
      endpoint: options.metricsMaxBackends,
    });
    this.#book = book;
    const publisher = new Publisher(this, book, encodeEntry, (key, bytes) =>
      this.#log.error('too large to be served', { entry: key, bytes, limit: LIMITS.FRAME_BYTES }),
    );
    publisher.adopt(this.#snapshot, revision);
    const kept = this.#granted?.kept ?? null;
    const served = kept?.entries.filter(({ kind }) => kind === 'socket') ?? servedSockets(this.#snapshot);
    const ages = remembered(this.#snapshot, AGES);
    const facts = kept ?? factsOf(remembered(this.#snapshot, KEPT).get(''));
    this.#snapshot.clear();
    if (kept !== null) this.#serveKept(publisher, kept);
    const again = publisher.revision > 0;
    this.#again = again;

    const cluster = options.kubernetes === null ? null : await this.#open(options, again);
    this.#cluster = cluster;
    if (this.#retired) void cluster?.stop();
    // Workers that serve go on with what they have until there is a good one.
    if (revision === 0 && this.#pair !== null && this.#pair.problem !== '')
      throw new ExitError(EXIT.configuration, this.#pair.problem);
    const resources = new Resources(options, this.#log, publisher, cluster, {
      origin: again ? 'again' : succeeds ? 'takeover' : 'first',
      ages,
      pair: this.#pair,
      refuse: (message) => this.#fatal(new ExitError(EXIT.configuration, message)),
    });
    this.#resources = resources;
    resources.succeed(served);
    resources.socketsFailed(this.#state.failedSockets);
    resources.statuses.acked(this.#state.acked);
    resources.held(this.#state.held);
    const view = new ControllerView({
      state: this.#state,
      resources,
      cluster,
      publisher,
      book,
      numbers: this.#numbers,
      rings: this.#rings,
      trusted: new TrustedProxies(options.trustedProxies),
      kept: facts,
      ownProblems: () => this.#granted?.problems ?? [],
      setLogLevel: (level) => {
        this.#log.level = level;
        this.#say({ type: 'logLevel', level });
      },
    });
    this.#view = view;
    this.#granted?.show(view);
    resources.start();
  }

  #serveKept(publisher: Publisher, { entries, writtenMs, keyless }: KeptState): void {
    publisher.remember(KEPT, JSON.stringify({ writtenMs, keyless }));
    publisher.publishAll(entries);
    this.#log.warn('serving what an earlier program served, until there is something newer', {
      state_file: this.#options?.stateFile?.path,
      entries: entries.length,
      written: new Date(writtenMs).toISOString(),
      age_s: Math.round((Date.now() - writtenMs) / 1000),
      ...(keyless === 0 ? {} : { refused: `TLS handshakes of ${keyless} hosts, until their keys are read` }),
    });
  }

  /** `again`: workers serve, so a kubeconfig that cannot be used now is waited for; at the first start it ends it. */
  async #open(options: Options, again: boolean): Promise<Cluster> {
    const { Cluster: Found } = this.#kubernetes as typeof import('./kubernetes.ts');
    for (;;) {
      try {
        return new Found(options.kubernetes as KubernetesFlags, options.controllerName, this.#log);
      } catch (error) {
        if (!again || !(error instanceof ExitError)) throw error;
        this.#log.error(error.message);
        await new Promise<void>((resolve) => void SYSTEM_TIMERS.after(LIMITS.OPEN_RETRY_MS, resolve));
      }
    }
  }

  #fatal(error: unknown): void {
    const code = error instanceof ExitError ? error.code : EXIT.cannotRun;
    this.#say({ type: 'fatal', code, message: error instanceof Error ? error.message : String(error) });
  }

  // ---- Downstream: the publisher's side of the config stream

  begin(revision: number): void {
    this.#entries = 0;
    this.#frame(encodeBegin({ revision, base: revision - 1 }));
  }
  put(key: string, value: Buffer): void {
    this.#entries++;
    this.#frame(encodePut(key, value));
  }
  remove(key: string): void {
    this.#entries++;
    this.#frame(encodeFrame(FRAME.DELETE, Buffer.from(key)));
  }
  sockets(entries: readonly SocketEntry[]): void {
    const sockets = entries.map(({ key, address, port, transport }) => ({ key, address, port, transport }));
    const message: FromController = { type: 'sockets', sockets };
    this.#frame(encodeJson(FRAME.MESSAGE, message));
  }
  commit(revision: number): void {
    this.#frame(encodeJson(FRAME.COMMIT, { revision }));
    this.#sendFrames();
    this.#giveBack.revised(this.#entries);
  }

  push(): void {
    this.#channel.flush();
  }

  /** A small revision is one piece, by which the keeper is woken once: it begins only with what it can end. */
  #frame(frame: Buffer): void {
    this.#frames.push(frame);
    this.#frameBytes += frame.length;
    if (this.#frameBytes >= LIMITS.READ_BYTES) this.#sendFrames();
  }
  #sendFrames(): void {
    this.#channel.send(Buffer.concat(this.#frames));
    this.#frames = [];
    this.#frameBytes = 0;
  }

  #say(message: FromController): void {
    this.#channel.message(message);
  }
}

/** What the flags tell it to read. */
function pathsOf({ config, kubernetes }: Options): string[] {
  if (kubernetes === null) return [...config];
  const { KUBECONFIG, KUBERNETES_SERVICE_HOST, HOME } = process.env;
  if (kubernetes.kubeconfig !== null) return [...config, kubernetes.kubeconfig];
  if (KUBECONFIG) return [...config, ...KUBECONFIG.split(':')];
  return [...config, KUBERNETES_SERVICE_HOST ? SERVICE_ACCOUNT_TOKEN : `${HOME}/.kube/config`];
}

/** What the controller before had the keeper remember under names that begin with `prefix`. */
function remembered(snapshot: ReadonlyMap<string, Buffer>, prefix: string): Map<string, string> {
  const whole = `${STATE_PREFIX}${prefix}`;
  const found = new Map<string, string>();
  for (const [key, value] of snapshot) if (key.startsWith(whole)) found.set(key.slice(whole.length), value.toString());
  return found;
}

/** The sockets of a snapshot, as far as they can be read: another version may have written it. */
function servedSockets(snapshot: ReadonlyMap<string, Uint8Array>): Entry[] {
  try {
    return [...snapshot].filter(([key]) => parseKey(key).kind === 'socket').map(([, value]) => decodeEntry(value));
  } catch {
    return [];
  }
}

export function runController(): void {
  setParentDeathSignal('SIGKILL');
  forbidCoreDumps();
  const io = openNative({ arenaBytes: ARENA_BYTES });
  const controller = new Controller(io);
  process.on('uncaughtException', (error) => controller.crash(error));
  // It lives by Node's timers: the window of a revision is one.
  new Reactor(io, true).run();
}
