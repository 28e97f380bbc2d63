// The rights of deploy/base/rbac.yaml, for tests that give exactly those.

import { readFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';

/** As a Role has it. */
export interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

/** Each Role and ClusterRole. */
export function rolesOf(): {
  readonly kind: string;
  readonly namespace: string | null;
  readonly rules: readonly Rule[];
}[] {
  const text = readFileSync(new URL('../../deploy/base/rbac.yaml', import.meta.url), 'utf8');
  return parseAllDocuments(text).flatMap((document) => {
    const { kind, metadata, rules } = document.toJS() as {
      readonly kind: string;
      readonly metadata: { readonly namespace?: string };
      readonly rules?: readonly Rule[];
    };
    return rules === undefined ? [] : [{ kind, namespace: metadata.namespace ?? null, rules }];
  });
}

/** What lies in no namespace, with what is below it. */
const CLUSTER_WIDE = [
  ...['gatewayclasses', 'gatewayclassparameters', 'ingressclasses', 'namespaces', 'nodes'],
  'customresourcedefinitions',
];

/**
 * The same for a program that is to see `namespace` alone (--watch-namespaces): what lies in no namespace, of
 * namespaces that one, and what a Role there gives.
 */
export function narrowRules(namespace: string): { readonly everywhere: Rule[]; readonly there: Rule[] } {
  const everywhere: Rule[] = [];
  const there: Rule[] = [];
  for (const rule of rolesOf().flatMap(({ rules }) => rules)) {
    const isWide = (resource: string): boolean => CLUSTER_WIDE.includes(resource.split('/')[0] as string);
    const wide = rule.resources.filter(isWide);
    const own = rule.resources.filter((resource) => !isWide(resource));
    if (own.length > 0) there.push({ ...rule, resources: own });
    for (const resource of wide)
      everywhere.push({
        ...rule,
        resources: [resource],
        ...(resource === 'namespaces' ? { resourceNames: [namespace] } : {}),
      });
  }
  return { everywhere, there };
}
