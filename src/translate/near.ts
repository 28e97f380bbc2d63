// Which endpoints of a Service are near: those that EndpointSlices allot to the zone or node of this program (hints),
// or that stand there when the Service asks for it. Preferred while enough of them can be used; else all are equal.

import type { KubeObject } from '../api/object.ts';
import { type Fields, fields } from '../base/fields.ts';
import { LIMITS } from '../base/limits.ts';
import type { TranslatorOptions } from './context.ts';
import type { Reader } from './dependencies.ts';
import { list, text } from './read.ts';

/** An endpoint of a slice as far as it matters here. */
export interface Placed {
  readonly item: Fields;
  /** May be sent to. */
  readonly ready: boolean;
  /** On its way out. */
  readonly terminating: boolean;
}

const ZONE_LABEL = 'topology.kubernetes.io/zone';

/** core/v1 Service.spec.trafficDistribution; PreferClose is the older name of PreferSameZone. */
const BY_ZONE: ReadonlySet<unknown> = new Set(['PreferClose', 'PreferSameZone', 'PreferSameNode']);
const BY_NODE = 'PreferSameNode';

/**
 * Those among `placed` that are near, or null: nobody asked, nothing is known of where this program is, or too few of
 * them are ready. A hint counts as kube-proxy has it: only if every ready endpoint has one, and one is for us.
 */
export function nearOnes(
  reader: Reader,
  service: KubeObject,
  placed: readonly Placed[],
  options: TranslatorOptions,
): ReadonlySet<Placed> | null {
  const ready = placed.filter((p) => p.ready);
  const distribution = fields(service.spec)['trafficDistribution'];
  const wished = BY_ZONE.has(distribution);
  if (!wished && !ready.some((p) => isHinted(p, 'forZones') || isHinted(p, 'forNodes'))) return null;
  const node = options.node ?? null;
  const zone = options.zone ?? zoneOf(reader, node);
  const onNode = (p: Placed): boolean => node !== null && p.item['nodeName'] === node;
  const inZone = (p: Placed): boolean => zone !== null && p.item['zone'] === zone;
  // The nearest that is said of all of them; hints come before what the Service wishes, for they weigh the load.
  const measures: ((p: Placed) => boolean)[] = [];
  if (node !== null && ready.every((p) => isHinted(p, 'forNodes'))) measures.push((p) => isFor(p, 'forNodes', node));
  else if (distribution === BY_NODE) measures.push(onNode);
  if (zone !== null && ready.every((p) => isHinted(p, 'forZones'))) measures.push((p) => isFor(p, 'forZones', zone));
  else if (wished) measures.push(inZone);
  for (const measure of measures) {
    const near = ready.filter(measure);
    // Those that are not ready have no hints: where they stand tells whose they would be.
    const lacking = placed.filter((p) => !p.ready && !p.terminating && (measure(p) || inZone(p))).length;
    if (near.length > 0 && enough(near.length, near.length + lacking)) return new Set(near);
  }
  return null;
}

function enough(usable: number, all: number): boolean {
  return usable * 100 >= all * LIMITS.NEAR_PERCENT;
}

function zoneOf(reader: Reader, node: string | null): string | null {
  if (node === null) return null;
  return text(fields(reader.get('Node', undefined, node)?.metadata.labels)[ZONE_LABEL]) ?? null;
}

function hintsOf({ item }: Placed, kind: 'forZones' | 'forNodes'): readonly unknown[] {
  return list(fields(item['hints'])[kind]);
}

function isHinted(p: Placed, kind: 'forZones' | 'forNodes'): boolean {
  return hintsOf(p, kind).length > 0;
}

function isFor(p: Placed, kind: 'forZones' | 'forNodes', name: string): boolean {
  return hintsOf(p, kind).some((hint) => fields(hint)['name'] === name);
}
