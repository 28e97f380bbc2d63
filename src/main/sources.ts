// Which sources the options ask for.

import { FileSource } from '../source/file/file-source.ts';
import type { Place, Source } from '../source/source.ts';
import type { Store } from '../store/store.ts';
import type { ObjectKey } from '../store/world.ts';
import type { Options } from './options.ts';

export interface Sources {
  readonly all: readonly Source[];
  /** The store took these changes in: a source may depend on what others delivered. */
  onStored(changed: ReadonlySet<ObjectKey>): void;
  /** Where in which file an object (or a field of it) stands; null when it came from elsewhere. */
  placeOf(object: ObjectKey, field: string | undefined): Place | null;
}

export function createSources(options: Options, _store: Store): Sources {
  const files = options.config.length > 0 ? new FileSource(options.config) : null;
  return {
    all: files === null ? [] : [files],
    onStored: () => {},
    placeOf: (object, field) => files?.placeOf(object, field ?? '') ?? null,
  };
}
