// What is inside, as CycloneDX 1.6. Every file belongs to one component, whose `rauta:file` properties name it with its
// SHA-256. No time and no number of chance: the same content is the same document.

import { createHash } from 'node:crypto';
import type { Part } from './program.ts';
import type { Entry } from './tar.ts';

export function owner(parts: readonly Part[], path: string): Part | undefined {
  return parts.find(({ paths }) => paths.some((own) => own === path || (own.endsWith('/') && path.startsWith(own))));
}

/** `prefix`: where the paths of `parts` begin in what is delivered. Throws when a file is nobody's. */
export function sbom(parts: readonly Part[], entries: readonly Entry[]): string {
  const files = new Map<Part, { name: string; value: string }[]>(parts.map((part) => [part, []]));
  for (const { path, kind, data } of entries) {
    if (kind === 'directory') continue;
    const part = owner(parts, path);
    if (part === undefined) throw new Error(`${path} belongs to no component`);
    const value = `${path} ${createHash('sha256')
      .update(data ?? '')
      .digest('hex')}`;
    files.get(part)?.push({ name: 'rauta:file', value });
  }
  const [main, ...others] = parts.map((part) => component(part, files.get(part) ?? []));
  const body = {
    metadata: { component: main },
    components: others,
    dependencies: [{ ref: main?.['bom-ref'], dependsOn: others.map((other) => other['bom-ref']) }],
  };
  const id = createHash('sha256').update(JSON.stringify(body)).digest('hex');
  const uuid = [id.slice(0, 8), id.slice(8, 12), `5${id.slice(13, 16)}`, `8${id.slice(17, 20)}`, id.slice(20, 32)];
  const head = { bomFormat: 'CycloneDX', specVersion: '1.6', serialNumber: `urn:uuid:${uuid.join('-')}`, version: 1 };
  return `${JSON.stringify({ ...head, ...body }, null, 1)}\n`;
}

interface Component {
  readonly 'bom-ref': string;
  readonly [field: string]: unknown;
}

function component(part: Part, properties: readonly { name: string; value: string }[]): Component {
  const { name, version, licence, purl, within } = part;
  const inner = Object.entries(within ?? {}).map(([lib, v]) => ({
    type: 'library',
    'bom-ref': `${purl}#${lib}`,
    name: lib,
    version: v,
    purl: `pkg:generic/${lib}@${v}`,
  }));
  return {
    type: name === 'rauta' || name === 'node' ? 'application' : 'library',
    'bom-ref': purl,
    name,
    version,
    licenses: [/ WITH /.test(licence) ? { expression: licence } : { license: licenceId(licence) }],
    purl,
    ...(inner.length > 0 ? { components: inner } : {}),
    properties,
  };
}

function licenceId(licence: string): { id: string } | { name: string } {
  return licence === 'NOASSERTION' ? { name: licence } : { id: licence };
}
