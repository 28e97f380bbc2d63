// Configuration from files: reads everything below the given paths, watches it, and delivers what changes within
// milliseconds. A file that is being written is given time to become whole; one that stays wrong keeps what it last
// said.

import { basename, dirname, join, normalize } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import type { ObjectKey } from '../../api/object.ts';
import type { Place, Problem } from '../../api/problem.ts';
import type { CheckOptions } from '../../api/schema.ts';
import type { Timers } from '../../base/timers.ts';
import type { Source, SourceSink } from '../source.ts';
import { SYSTEM_TIMERS } from '../timers.ts';
import { Catalog } from './catalog.ts';
import { ConfigFile } from './config-file.ts';
import { look, readContents, type Stamp } from './disk.ts';
import { Doubts } from './doubts.ts';
import { Links } from './links.ts';
import { mountedBelow } from './mounts.ts';
import { Tree } from './tree.ts';
import { Watches } from './watches.ts';

/** After an event, time for the others of the same change to come. */
const DEBOUNCE_MS = 2;
/** Time for a file that looks half-written to change again. */
const SETTLE_MS = 50;
/**
 * The same for one that is cut off and in which objects are missing, and for one that says nothing any more: between
 * two writes, or between truncating and writing, its writer waits for a processor or for a busy disk, seconds at the
 * worst.
 */
const CUT_MS = 500;
const EMPTIED_MS = 3_000;
/** Looks at a file that goes on changing and never looks whole, before it is taken as it is. */
const SETTLE_TRIES = 20;
/** What the events do not tell (network file systems) is found by looking. */
const RESCAN_MS = 30_000;
/** A scan lets the other work of the process run after this long. */
const SCAN_SLICE_MS = 20;

/** inotify(7): which limit of the system is reached. */
const WATCH_LIMITS: Readonly<Record<string, string>> = {
  ENOSPC: 'ENOSPC: fs.inotify.max_user_watches is reached',
  EMFILE: 'EMFILE: fs.inotify.max_user_instances is reached',
};

interface Settling {
  readonly tries: number;
  readonly bytes: Buffer;
  /** Of the file then: the same bytes may have been written anew, with the whole in between. */
  readonly state: string;
  /** How the wait is cancelled; null once it is over. */
  cancel: (() => void) | null;
}

/** `scan`: what was read before is read again only when its stamp differs; `event`: something says that it changed. */
type Mode = 'scan' | 'event' | 'force';

export interface FileSourceOptions {
  readonly rescanMs?: number;
  readonly timers?: Timers;
  /** How objects are checked. */
  readonly check?: CheckOptions;
  /** Unix time in milliseconds. */
  readonly nowMs?: () => number;
  /** Creation times (RFC 3339) that were given to objects before. */
  readonly ages?: ReadonlyMap<ObjectKey, string>;
}

export class FileSource implements Source {
  readonly #roots: readonly string[];
  readonly #rescanMs: number;
  readonly #timers: Timers;
  readonly #check: CheckOptions;
  readonly #nowMs: () => number;
  /** Of what appeared last, unix seconds. */
  #bornS = 0;
  readonly #catalog: Catalog;
  readonly #tree: Tree;
  readonly #watches: Watches;
  readonly #links = new Links();
  /** Files below the paths on which something is mounted, as of the last scan. */
  #mounted: ReadonlySet<string> = new Set();
  #sink: SourceSink | null = null;
  #mode: Mode = 'scan';
  #changed = new Map<string, ConfigFile | null>();
  readonly #pending = new Set<string>();
  #fullScan: 'scan' | 'force' | null = null;
  readonly #settling = new Map<string, Settling>();
  /** Paths that are gone, and those that cannot be read, unless they come back in a moment. */
  readonly #leaving: Doubts;
  readonly #doubted: Doubts;
  readonly #troubles = new Map<string, Problem>();
  /** Origins whose trouble has changed. */
  readonly #retell = new Set<string>();
  /** What was last told of an origin, as JSON. */
  readonly #told = new Map<string, string>();
  #timer: NodeJS.Timeout | null = null;
  #interval: NodeJS.Timeout | null = null;
  #running: Promise<void> | null = null;
  #stopped = false;
  #synced = false;

  /** `paths`: files and folders. */
  constructor(paths: readonly string[], options: FileSourceOptions = {}) {
    this.#roots = [...new Set(paths.map((p) => normalize(p).replace(/(.)\/+$/, '$1')))];
    this.#rescanMs = options.rescanMs ?? RESCAN_MS;
    this.#check = options.check ?? {};
    this.#nowMs = options.nowMs ?? Date.now;
    const ages = options.ages ?? new Map<ObjectKey, string>();
    this.#catalog = new Catalog(ages);
    for (const age of ages.values()) this.#bornS = Math.max(this.#bornS, Math.floor(Date.parse(age) / 1000) || 0);
    this.#timers = options.timers ?? SYSTEM_TIMERS;
    this.#leaving = new Doubts(this.#timers, (path) => this.#again(path));
    this.#doubted = new Doubts(this.#timers, (path) => this.#again(path));
    this.#tree = new Tree(this.#roots, {
      file: (path, stamp, known) => this.#file(path, stamp, known),
      givenUp: (path) => this.#givenUp(path),
      fileGone: (path) => this.#fileGone(path),
      folder: (path) => {
        if (this.#roots.includes(path)) this.#follow(path);
        this.#watch(path);
      },
      folderGone: (path) => {
        this.#watches.close(path);
        this.#setTrouble(`${path} (watch)`, null);
        if (this.#links.has(path)) this.#watch(path);
      },
      trouble: (path, message) => this.#trouble(path, message),
    });
    this.#watches = new Watches({
      changed: (folder, name) => this.#event(folder, name),
      lost: (folder, message) => this.#lost(folder, message),
    });
  }

  start(sink: SourceSink): void {
    this.#sink = sink;
    this.#fullScan = 'scan';
    this.#interval = setInterval(() => this.#scan('scan'), this.#rescanMs);
    this.#interval.unref();
    this.#wake();
  }

  rescan(): void {
    this.#scan('force');
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#interval !== null) clearInterval(this.#interval);
    if (this.#timer !== null) clearTimeout(this.#timer);
    for (const { cancel } of this.#settling.values()) cancel?.();
    this.#leaving.stop();
    this.#doubted.stop();
    this.#watches.closeAll();
    await this.#running;
  }

  /** Whether an object goes on as it was, for what its file says now cannot be read or is wrong. */
  keeps(key: ObjectKey): boolean {
    if (this.#catalog.keeps(key)) return true;
    const file = this.#troubles.size === 0 ? undefined : this.#catalog.placeOf(key, '')?.file;
    return (
      file !== undefined && this.#roots.some((r) => this.#troubles.has(r) && (file === r || file.startsWith(`${r}/`)))
    );
  }

  /** File, line and column of a field of an object; null when no file defines it. */
  placeOf(key: ObjectKey, field: string): Place | null {
    return this.#catalog.placeOf(key, field);
  }

  #again(path: string): void {
    this.#pending.add(path);
    this.#wake();
  }

  #scan(mode: 'scan' | 'force'): void {
    if (this.#fullScan !== 'force') this.#fullScan = mode;
    this.#wake();
  }

  #event(folder: string, name: string | null): void {
    if (this.#stopped) return;
    if (this.#tree.isFolder(folder)) {
      // `..data` of a ConfigMap mount: every file of the folder is a link through it.
      if (name === null || name.startsWith('..') || this.#troubles.has(folder)) this.#pending.add(folder);
      else if (!name.startsWith('.')) this.#pending.add(join(folder, name));
    }
    for (const path of this.#links.through(folder, name)) this.#pending.add(path);
    for (const root of this.#roots) {
      if (dirname(root) === folder && (name === null || name === basename(root))) this.#pending.add(root);
    }
    if (this.#pending.size > 0) this.#timer ??= setTimeout(() => this.#wake(), DEBOUNCE_MS);
  }

  #lost(folder: string, message: string | null): void {
    if (this.#stopped) return;
    if (message === null) {
      this.#pending.add(folder);
      for (const path of this.#links.through(folder, null)) this.#pending.add(path);
      this.#timer ??= setTimeout(() => this.#wake(), DEBOUNCE_MS);
    } else if (message !== 'ENOENT') {
      const why = WATCH_LIMITS[message] ?? message;
      const words = `cannot be watched (${why}); changes are seen every ${this.#rescanMs / 1000} s`;
      this.#setTrouble(`${folder} (watch)`, { severity: 'warning', message: words, place: { file: folder } });
    }
  }

  #wake(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#running !== null || this.#stopped) return;
    this.#running = this.#work().finally(() => {
      this.#running = null;
      // Something may have come since the last look.
      if (this.#fullScan !== null || this.#pending.size > 0) this.#wake();
    });
  }

  async #work(): Promise<void> {
    while (!this.#stopped && (this.#fullScan !== null || this.#pending.size > 0)) {
      this.#changed = new Map();
      if (this.#fullScan !== null) {
        this.#mode = this.#fullScan;
        this.#fullScan = null;
        await this.#fully();
      } else {
        this.#mode = 'event';
        const paths = [...this.#pending].sort();
        this.#pending.clear();
        for (const path of paths) await this.#visit(path);
      }
      // Something else came: what left may have become that.
      if ([...this.#changed.values()].some((file) => file !== null)) {
        for (const path of this.#leaving.hurry()) await this.#visit(path);
      }
      for (const path of this.#tree.orphans()) await this.#visit(path);
      if (!this.#stopped) this.#deliver();
    }
  }

  async #fully(): Promise<void> {
    for (const parent of Tree.parents(this.#roots)) this.#watch(parent);
    this.#mounted = mountedBelow(this.#roots);
    for (const root of this.#roots) await this.#visit(root);
  }

  async #visit(path: string): Promise<void> {
    let slice = performance.now();
    for (const _ of this.#tree.visit(path)) {
      if (performance.now() - slice < SCAN_SLICE_MS) continue;
      await turn();
      if (this.#stopped) return;
      slice = performance.now();
    }
  }

  *#file(path: string, stamp: Stamp, known: Stamp | null): Generator<void> {
    this.#follow(path);
    // What changes a file that is mounted by itself (`docker run -v FILE:FILE`) happens in another folder.
    if (this.#mounted.has(path)) this.#watch(path);
    if (this.#mode === 'scan' && known?.state === stamp.state && !this.#settling.has(path)) return;
    this.#leaving.clear(path);
    const contents = readContents(path, stamp);
    if (contents.kind === 'missing') return;
    const before = this.#catalog.files.get(path) ?? new ConfigFile(path, this.#check);
    this.#tree.taken(path, stamp);
    if (contents.kind === 'error') {
      const kept = before.objects.size > 0 ? '; what was last read of it goes on' : '';
      before.failure = contents.message + kept;
      this.#tree.untaken(path);
      this.#changed.set(path, before);
      return;
    }
    const file = yield* before.reading(contents.bytes);
    if (this.#mayBeHalf(file, before, contents.bytes, stamp, known)) return;
    this.#settled(path);
    this.#changed.set(path, file);
  }

  /**
   * Whether the file looks as if its writer had not finished; it is looked at again a little later then. At the start
   * there is nothing to lose, and nothing is waited for.
   */
  #mayBeHalf(file: ConfigFile, before: ConfigFile, bytes: Buffer, stamp: Stamp, known: Stamp | null): boolean {
    const last = this.#settling.get(file.path);
    if (last === undefined && known === null && this.#mode !== 'event' && !this.#synced) return false;
    if (last === undefined && known?.state === stamp.state && stamp.bytes === bytes.length) return false;
    let lost = false;
    // An editor's rename-over is whole at once; what is written in place passes through a shorter state.
    if (known?.id === stamp.id || file.empty)
      for (const key of before.objects.keys()) lost ||= !file.defines(key) && before.defines(key);
    const cut = (file.wrong && !before.wrong) || !file.endsWithNewline;
    if (!lost && !cut) return false;
    const same = last?.cancel === null && last.state === stamp.state && last.bytes.equals(bytes);
    const emptied = lost && file.empty;
    // One that goes on changing is never done with by its being empty.
    const tries = emptied ? 1 : (last?.tries ?? 0) + 1;
    if (same || tries > SETTLE_TRIES) return false;
    last?.cancel?.();
    const settling: Settling = { tries, bytes, state: stamp.state, cancel: null };
    settling.cancel = this.#timers.after(emptied ? EMPTIED_MS : lost && cut ? CUT_MS : SETTLE_MS, () => {
      settling.cancel = null;
      this.#again(file.path);
    });
    this.#settling.set(file.path, settling);
    return true;
  }

  #settled(path: string): void {
    this.#settling.get(path)?.cancel?.();
    this.#settling.delete(path);
  }

  #fileGone(path: string): void {
    this.#leave(path);
    if (this.#mounted.has(path)) this.#watches.close(path);
    this.#settled(path);
    this.#changed.set(path, null);
  }

  #watch(folder: string): void {
    if (this.#watches.open(folder)) this.#setTrouble(`${folder} (watch)`, null);
  }

  /** Watches what a path leads through before it is read, so that nothing falls between. */
  #follow(path: string): void {
    const before = this.#links.foldersOf(path);
    this.#links.follow(path, this.#roots.includes(path));
    for (const folder of this.#links.foldersOf(path)) this.#watch(folder);
    this.#unwatch(before);
  }

  #leave(path: string): void {
    const before = this.#links.foldersOf(path);
    this.#links.forget(path);
    this.#unwatch(before);
  }

  #unwatch(folders: readonly string[]): void {
    const parents = Tree.parents(this.#roots);
    for (const folder of folders)
      if (!this.#links.has(folder) && !this.#tree.isFolder(folder) && !parents.includes(folder)) {
        this.#watches.close(folder);
        this.#setTrouble(`${folder} (watch)`, null);
      }
  }

  /** Whether a file or folder that is no longer there has left: its root is there, and it does not come back. */
  #givenUp(path: string): boolean {
    const root = this.#roots.find((r) => path.startsWith(`${r}/`));
    if (root === undefined || look(root).kind === 'found') return this.#leaving.believed(path);
    this.#leaving.clear(path);
    return false;
  }

  #trouble(path: string, message: string | null): void {
    // A link that leads nowhere will lead somewhere; one that was never read and is gone leads nowhere for good.
    if (message !== null) this.#follow(path);
    else if (!this.#catalog.files.has(path) && !this.#tree.isFolder(path)) this.#leave(path);
    if (message === null) this.#doubted.clear(path);
    else if (this.#synced && this.#troubles.get(path)?.message !== message && !this.#doubted.believed(path)) return;
    this.#setTrouble(path, message === null ? null : { severity: 'error', message, place: { file: path } });
  }

  #setTrouble(origin: string, problem: Problem | null): void {
    if (problem === null ? this.#troubles.delete(origin) : this.#troubles.get(origin)?.message !== problem.message) {
      if (problem !== null) this.#troubles.set(origin, problem);
      this.#retell.add(origin);
    }
  }

  #deliver(): void {
    const sink = this.#sink as SourceSink;
    const { upserts, removals, files } = this.#catalog.update(this.#changed, this.#born());
    if (upserts.length > 0 || removals.length > 0) sink.apply(upserts, removals);
    for (const origin of new Set([...files, ...this.#retell])) {
      const trouble = this.#troubles.get(origin);
      const problems = this.#catalog.problems(origin);
      this.#tell(origin, trouble === undefined ? problems : [trouble, ...problems]);
    }
    this.#retell.clear();
    this.#tell('kinds of others', this.#catalog.foreignProblems());
    if (this.#synced || !this.#roots.every((root) => this.#isRead(root))) return;
    this.#synced = true;
    sink.synced();
  }

  /**
   * The age of what appears now: younger than all there is, so that whatever serves goes on when a newcomer wants its
   * place (older objects win). At the start all are as old as each other, and names decide.
   */
  #born(): string | null {
    if (!this.#synced || this.#changed.size === 0) return null;
    this.#bornS = Math.max(Math.floor(this.#nowMs() / 1000), this.#bornS + 1);
    return new Date(this.#bornS * 1000).toISOString();
  }

  /** Nothing is said to be whole while a root has never been read. */
  #isRead(root: string): boolean {
    return !this.#troubles.has(root) && (this.#catalog.files.get(root)?.failure ?? null) === null;
  }

  #tell(origin: string, problems: readonly Problem[]): void {
    const json = problems.length === 0 ? '' : JSON.stringify(problems);
    if ((this.#told.get(origin) ?? '') === json) return;
    if (json === '') this.#told.delete(origin);
    else this.#told.set(origin, json);
    this.#sink?.problems(origin, problems);
  }
}
