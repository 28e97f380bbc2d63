// Which files and folders there are below the paths of the configuration, and which of them have changed. Knows nothing
// of their contents.

import { basename, dirname, sep } from 'node:path';
import { LIMITS } from '../../base/limits.ts';
import { isConfigName, isMisnamed, listFolder, look, MISNAMED, MISSING, type Stamp } from './disk.ts';

export interface TreeEvents {
  /** A file is there. `known`: its stamp at the last time it was taken over. */
  file(path: string, stamp: Stamp, known: Stamp | null): Iterable<void>;
  /** Whether a path that was there and is not is to be given up now; it is looked at again otherwise. */
  givenUp(path: string): boolean;
  fileGone(path: string): void;
  folder(path: string): void;
  folderGone(path: string): void;
  /** What is wrong with a path; null: nothing any more. */
  trouble(path: string, message: string | null): void;
}

interface Folder {
  readonly id: string;
  readonly depth: number;
  readonly children: Set<string>;
}

export class Tree {
  readonly #roots: ReadonlySet<string>;
  readonly #events: TreeEvents;
  /** Of files that were taken over. */
  readonly #stamps = new Map<string, Stamp>();
  readonly #folders = new Map<string, Folder>();
  /** The path under which a file or folder (device and inode) is read; other paths to it are not followed. */
  readonly #paths = new Map<string, string>();
  /** Paths that could not be read when they were last looked at. */
  readonly #troubled = new Set<string>();
  readonly #aliases = new Map<string, string>();
  /** The folder that was said to be one too many. */
  #named: string | null = null;

  readonly #most: number;

  /** `most`: folders that are read. */
  constructor(roots: readonly string[], events: TreeEvents, most: number = LIMITS.CONFIG_FOLDERS) {
    this.#most = most;
    this.#roots = new Set(roots);
    this.#events = events;
  }

  /** Looks at a path that may have appeared, changed or vanished, and at everything below it. */
  *visit(path: string): Generator<void> {
    const seen = look(path);
    if (seen.kind === 'missing') {
      this.#missing(path);
      return;
    }
    const wanted = this.#roots.has(path) || isConfigName(basename(path));
    if (seen.kind === 'error') {
      if (!wanted && !this.#folders.has(path)) return;
      this.#folders.get(dirname(path))?.children.add(path);
      this.#trouble(path, seen.message);
      return;
    }
    const { stamp } = seen;
    if (!stamp.folder && !wanted) return;
    this.#folders.get(dirname(path))?.children.add(path);
    if (this.#isAlias(path, stamp)) return;
    if (stamp.folder) yield* this.#folder(path, stamp);
    else yield* this.#file(path, stamp);
  }

  #missing(path: string): void {
    // A root that is gone is a mistake: whoever wants nothing served leaves it empty.
    if (this.#roots.has(path)) this.#trouble(path, MISSING);
    else if (isMisnamed(path)) {
      this.#folders.get(dirname(path))?.children.add(path);
      this.#trouble(path, MISNAMED);
    } else if (this.#giveUp(path)) this.#events.trouble(path, null);
  }

  /** Whether a path that is not there any more has been given up. */
  #giveUp(path: string): boolean {
    const known = this.#stamps.has(path) || this.#folders.has(path);
    if (known && !this.#events.givenUp(path)) return false;
    this.#gone(path);
    return true;
  }

  /** What cannot be read now keeps what was last read of it. */
  #trouble(path: string, message: string): void {
    this.#troubled.add(path);
    const some = this.#stamps.has(path) || (this.#folders.get(path)?.children.size ?? 0) > 0;
    this.#events.trouble(path, some ? `${message}; what was last read of it goes on` : message);
  }

  /** The source has read this state of a file. */
  taken(path: string, stamp: Stamp): void {
    this.#stamps.set(path, stamp);
  }

  /** The source could not read it: the next look is to try again. */
  untaken(path: string): void {
    const stamp = this.#stamps.get(path);
    if (stamp !== undefined) this.#stamps.set(path, { ...stamp, state: '' });
  }

  *#file(path: string, stamp: Stamp): Generator<void> {
    if (this.#folders.has(path)) {
      if (this.#roots.has(path)) {
        this.#trouble(path, 'is a file and was a folder');
        return;
      }
      this.#gone(path);
    }
    const known = this.#stamps.get(path) ?? null;
    if (known === null && this.#stamps.size >= LIMITS.CONFIG_FILES) {
      this.#events.trouble(path, `more than ${LIMITS.CONFIG_FILES} files; this one is not read`);
      return;
    }
    if (known !== null && known.id !== stamp.id) this.#release(known.id, path);
    this.#paths.set(stamp.id, path);
    this.#events.trouble(path, null);
    yield* this.#events.file(path, stamp, known);
  }

  *#folder(path: string, stamp: Stamp): Generator<void> {
    if (this.#stamps.has(path)) {
      if (this.#roots.has(path)) {
        this.#trouble(path, 'is a folder and was a file');
        return;
      }
      this.#gone(path);
    }
    const before = this.#folders.get(path);
    const depth = before?.depth ?? (this.#folders.get(dirname(path))?.depth ?? -1) + 1;
    if (depth >= LIMITS.CONFIG_FOLDER_DEPTH) {
      this.#events.trouble(path, `deeper than ${LIMITS.CONFIG_FOLDER_DEPTH} folders; not read`);
      return;
    }
    if (before === undefined && this.#folders.size >= this.#most) {
      this.#past(path);
      return;
    }
    const another = before !== undefined && before.id !== stamp.id;
    if (another) {
      this.#release(before.id, path);
      this.#events.folderGone(path);
    }
    const known: Folder = { id: stamp.id, depth, children: before?.children ?? new Set() };
    if (before === undefined) this.#folders.set(path, known);
    // Watched before it is listed, so that nothing falls between.
    this.#events.folder(path);
    const listing = listFolder(path);
    if (listing.kind === 'missing') {
      this.#missing(path);
      return;
    }
    if (listing.kind === 'error') {
      this.#trouble(path, listing.message);
      return;
    }
    // Where a file system tells no time of birth, one that was gone meanwhile may look like itself.
    const replaced = this.#roots.has(path) && (another || this.#troubled.has(path));
    if (replaced && listing.paths.length === 0 && known.children.size > 0) {
      this.#trouble(path, 'was replaced by an empty folder');
      return;
    }
    this.#folders.set(path, known);
    this.#paths.set(stamp.id, path);
    this.#troubled.delete(path);
    this.#events.trouble(path, null);
    const there = new Set(listing.paths);
    for (const child of [...known.children]) if (!there.has(child)) this.#giveUp(child);
    for (const child of there) {
      yield;
      yield* this.visit(child);
    }
  }

  /** Of the folders that are too many the first one is named: `--config /` would name thousands. */
  #past(path: string): void {
    if (this.#named !== null && this.#named !== path && look(this.#named).kind === 'found') return;
    if (this.#named !== null && this.#named !== path) this.#events.trouble(this.#named, null);
    this.#named = path;
    this.#events.trouble(path, `more than ${this.#most} folders; this one and further ones are not read`);
  }

  /** Another path to something that is read already: a link, or a folder that contains itself. */
  #isAlias(path: string, stamp: Stamp): boolean {
    const other = this.#paths.get(stamp.id);
    if (other !== undefined && other !== path) {
      const seen = look(other);
      if (seen.kind === 'found' && seen.stamp.id === stamp.id) {
        this.#gone(path);
        this.#aliases.set(path, stamp.id);
        return true;
      }
      this.#gone(other);
    }
    this.#aliases.delete(path);
    return false;
  }

  #release(id: string, path: string): void {
    if (this.#paths.get(id) === path) this.#paths.delete(id);
  }

  #gone(path: string): void {
    this.#aliases.delete(path);
    this.#troubled.delete(path);
    this.#folders.get(dirname(path))?.children.delete(path);
    const stamp = this.#stamps.get(path);
    if (stamp !== undefined) {
      this.#release(stamp.id, path);
      this.#stamps.delete(path);
      this.#events.trouble(path, null);
      this.#events.fileGone(path);
    }
    const folder = this.#folders.get(path);
    if (folder === undefined) return;
    this.#release(folder.id, path);
    this.#folders.delete(path);
    this.#events.trouble(path, null);
    this.#events.folderGone(path);
    for (const child of folder.children) this.#gone(child);
  }

  /** Paths that were other names of what is no longer read: they are to be visited. */
  orphans(): string[] {
    const found: string[] = [];
    for (const [path, id] of this.#aliases) if (!this.#paths.has(id)) found.push(path);
    return found;
  }

  isFolder(path: string): boolean {
    return this.#folders.has(path);
  }

  /** Folders whose events tell of a root itself: the ones the roots stand in. */
  static parents(roots: readonly string[]): string[] {
    return [...new Set(roots.map((root) => (root.endsWith(sep) ? root : dirname(root))))];
  }
}
