// `deploy/install.yaml` and `deploy/install-deployment.yaml`: each overlay as one file, comments and all, for those who
// have no kustomize at hand. Of kustomize this knows what the overlays use: resources, and merged patches.

import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Document, isMap, parseAllDocuments, parseDocument } from 'yaml';

const deploy = fileURLToPath(new URL('../deploy', import.meta.url));

interface Kustomization {
  readonly resources: readonly string[];
  readonly patches?: readonly {
    readonly target: { readonly kind: string; readonly name: string };
    readonly patch: string;
  }[];
}

/** What `folder` (of deploy) says, in order. */
export function documentsOf(folder: string): Document[] {
  const at = join(deploy, folder);
  const { resources, patches = [] } = parseDocument(
    readFileSync(join(at, 'kustomization.yaml'), 'utf8'),
  ).toJS() as Kustomization;
  const all = resources.flatMap((name): Document[] =>
    statSync(join(at, name)).isDirectory()
      ? documentsOf(join(folder, name))
      : (parseAllDocuments(readFileSync(join(at, name), 'utf8')) as Document[]),
  );
  for (const { target, patch } of patches) {
    const hit = all.find((d) => d.get('kind') === target.kind && d.getIn(['metadata', 'name']) === target.name);
    if (hit === undefined) throw new Error(`${folder}: there is no ${target.kind} ${target.name} to patch`);
    merge(hit, [], parseDocument(patch).toJS());
  }
  return all;
}

function merge(document: Document, path: readonly string[], value: unknown): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) document.setIn(path, value);
  else {
    if (path.length > 0 && !isMap(document.getIn(path, true))) document.setIn(path, document.createNode({}));
    for (const [key, inner] of Object.entries(value)) merge(document, [...path, key], inner);
  }
}

/** An overlay as one file; `tools/docs.ts` writes them. */
export function oneFile(folder: string): string {
  const documents = documentsOf(folder)
    .map((document) => document.toString({ lineWidth: 0, flowCollectionPadding: true }))
    .map((text) => text.replaceAll(/\[ (.*?) \]/g, '[$1]'))
    .map((text) => (text.startsWith('---') ? text : `---\n${text}`));
  return `# Made of deploy/${folder} by tools/docs.ts.\n${documents.join('')}`;
}
