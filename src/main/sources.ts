// Which sources the options ask for, in the order of their precedence, with the hostnames of Backends and XBackends
// resolved around them.

import type { KubeObject, ObjectKey } from '../api/object.ts';
import type { Place } from '../api/problem.ts';
import { LIMITS } from '../base/limits.ts';
import { SystemResolver } from '../source/dns/resolver.ts';
import { SmallFile } from '../source/dns/small-file.ts';
import { DnsStage } from '../source/dns/stage.ts';
import { clusterDomain, parseResolvConf } from '../source/dns/system-files.ts';
import { EnvironmentSource, type PairSource } from '../source/environment.ts';
import { FileSource } from '../source/file/file-source.ts';
import { Merge, type NamedSource } from '../source/merge.ts';
import type { Source } from '../source/source.ts';
import { SYSTEM_TIMERS } from '../source/timers.ts';
import { environmentOf, type Options } from './options.ts';

export interface Sources {
  readonly source: Source;
  /** Whether an object goes on as it was, for what its file says now cannot be read or is wrong. */
  keeps(object: ObjectKey): boolean;
  /** Where in which file an object (or a field of it) stands; null when it came from elsewhere. */
  placeOf(object: ObjectKey, field: string | undefined): Place | null;
}

/** What there is besides the options. */
interface Origins {
  /** The source of --kubernetes. */
  readonly cluster: Source | null;
  /** Of --tls-cert and --tls-key. */
  readonly pair: PairSource | null;
  /** What an earlier controller of this program gave to objects of files. */
  readonly ages: ReadonlyMap<ObjectKey, string>;
  /** Told of each object of a file that was read. */
  readonly found: (object: KubeObject) => void;
}

/** Under which the cluster's own names stand, where this program is in one. */
export function ownDomain(): string | undefined {
  const file = new SmallFile('/etc/resolv.conf', LIMITS.RESOLV_CONF_BYTES, parseResolvConf);
  return clusterDomain(file.value);
}

export function createSources(options: Options, { cluster, pair, ages, found }: Origins): Sources {
  const files =
    options.config.length > 0
      ? new FileSource(options.config, { check: { lenient: options.lenient, found }, ages })
      : null;
  // What a person has written counts more than what variables stand for.
  const sources: NamedSource[] = [];
  if (files !== null) sources.push({ name: 'the files', source: files });
  if (cluster !== null) sources.push({ name: 'the API server', source: cluster });
  if (options.backendAddresses.length > 0) {
    sources.push({ name: 'the environment', source: new EnvironmentSource(environmentOf(options), pair) });
  }
  return {
    source: new DnsStage(new Merge(sources), new SystemResolver(), SYSTEM_TIMERS),
    keeps: (object) => files?.keeps(object) ?? false,
    placeOf: (object, field) => files?.placeOf(object, field ?? '') ?? null,
  };
}
