// Watches of folders (inotify). A watch is bound to the folder's inode, so a folder put in the place of another needs a
// new one; the source says when.

import { type FSWatcher, watch } from 'node:fs';
import { basename } from 'node:path';

export interface WatchEvents {
  /** Something happened to `name` in `folder`; null: it is not known to what. */
  changed(folder: string, name: string | null): void;
  /** The watch has ended or could not begin. */
  lost(folder: string, message: string | null): void;
}

export class Watches {
  readonly #events: WatchEvents;
  readonly #open = new Map<string, FSWatcher>();

  constructor(events: WatchEvents) {
    this.#events = events;
  }

  /** Whether it is watched now. */
  open(folder: string): boolean {
    if (this.#open.has(folder)) return true;
    let watcher: FSWatcher;
    try {
      watcher = watch(folder, { persistent: false });
    } catch (error) {
      this.#events.lost(folder, error instanceof Error && 'code' in error ? String(error.code) : 'unknown error');
      return false;
    }
    this.#open.set(folder, watcher);
    watcher.on('change', (_type, name) => {
      const text = name === null ? null : String(name);
      // The folder's own end is told by its own name.
      if (text === basename(folder)) this.#end(folder, watcher);
      this.#events.changed(folder, text);
    });
    watcher.on('error', () => this.#end(folder, watcher));
    return true;
  }

  #end(folder: string, watcher: FSWatcher): void {
    if (this.#open.get(folder) !== watcher) return;
    this.close(folder);
    this.#events.lost(folder, null);
  }

  close(folder: string): void {
    this.#open.get(folder)?.close();
    this.#open.delete(folder);
  }

  closeAll(): void {
    for (const watcher of this.#open.values()) watcher.close();
    this.#open.clear();
  }
}
