// Which sources the options ask for: files or the environment, with the hostnames of Backends resolved around them.

import type { ObjectKey } from '../api/object.ts';
import type { Place } from '../api/problem.ts';
import { DnsSource, SystemResolver } from '../source/dns.ts';
import { EnvironmentSource } from '../source/environment.ts';
import { FileSource } from '../source/file/file-source.ts';
import type { Source } from '../source/source.ts';
import { SYSTEM_TIMERS } from '../source/timers.ts';
import type { Options } from './options.ts';

export interface Sources {
  readonly source: Source;
  /** Where in which file an object (or a field of it) stands; null when it came from elsewhere. */
  placeOf(object: ObjectKey, field: string | undefined): Place | null;
}

/** `cluster`: the source of --kubernetes, or null. */
export function createSources(options: Options, cluster: Source | null): Sources {
  const files =
    options.config.length > 0 ? new FileSource(options.config, { check: { lenient: options.lenient } }) : null;
  const inner: Source[] = files === null ? [] : [files];
  if (cluster !== null) inner.push(cluster);
  if (options.backendAddresses.length > 0) inner.push(new EnvironmentSource(environmentOf(options)));
  return {
    source: new DnsSource(inner, new SystemResolver(), SYSTEM_TIMERS),
    placeOf: (object, field) => files?.placeOf(object, field ?? '') ?? null,
  };
}

/** The briefs' variables as the environment source takes them. */
export function environmentOf(options: Options): ConstructorParameters<typeof EnvironmentSource>[0] {
  return {
    bind: options.bindAddress as string,
    backends: options.backendAddresses,
    gatewayClass: options.gatewayClass,
    controllerName: options.controllerName,
  };
}
