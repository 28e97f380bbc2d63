// deploy/: both variants as kustomize and as one file, each field as it is meant, and flags that the program takes. The
// API server's own opinion is asked in test/kubernetes/install.sh.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';
import { parseOptions } from '../src/main/options.ts';
import { HOME } from '../tools/dist/compiled.ts';
import { USER } from '../tools/dist/oci.ts';
import { documentsOf } from '../tools/manifests.ts';

const deploy = fileURLToPath(new URL('../deploy', import.meta.url));
const VARIANTS = ['daemonset', 'deployment'] as const;

interface Container {
  readonly image: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: readonly { readonly name: string }[];
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
  readonly securityContext: {
    readonly allowPrivilegeEscalation: boolean;
    readonly readOnlyRootFilesystem: boolean;
    readonly capabilities: { readonly drop: readonly string[]; readonly add?: readonly string[] };
  };
  readonly readinessProbe?: object;
  readonly livenessProbe?: object;
}
interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly labels?: Record<string, string> };
  readonly spec: {
    readonly updateStrategy?: { readonly rollingUpdate: object };
    readonly strategy?: { readonly rollingUpdate: object };
    readonly template: {
      readonly metadata: { readonly labels: object };
      readonly spec: {
        readonly serviceAccountName: string;
        readonly priorityClassName: string;
        readonly hostNetwork?: boolean;
        readonly terminationGracePeriodSeconds: number;
        readonly securityContext: Readonly<Record<string, unknown>>;
        readonly initContainers?: readonly Container[];
        readonly containers: readonly Container[];
      };
    };
    readonly selector: { readonly matchLabels?: object };
    readonly podSelector?: { readonly matchLabels: object };
    readonly ports?: readonly { readonly targetPort: string }[];
  };
}
const objects = (variant: string): Manifest[] => documentsOf(variant).map((document) => document.toJS() as Manifest);
const one = (variant: string, kind: string): Manifest => {
  const found = objects(variant).filter((object) => object.kind === kind);
  assert.equal(found.length, 1, `${variant}: ${kind}`);
  return found[0] as Manifest;
};

test('the files of one piece are what the overlays say', () => {
  for (const [name, variant] of [
    ['install.yaml', 'daemonset'],
    ['install-deployment.yaml', 'deployment'],
  ] as const) {
    const there = parseAllDocuments(readFileSync(join(deploy, name), 'utf8')).map((document) => document.toJS());
    assert.deepEqual(there, objects(variant), `${name}: run bin/node tools/docs.ts`);
  }
});

test('kustomize says the same', (t) => {
  if (spawnSync('kubectl', ['version', '--client']).status !== 0) {
    t.skip('there is no kubectl');
    return;
  }
  for (const variant of VARIANTS) {
    const text = execFileSync('kubectl', ['kustomize', join(deploy, variant)], { encoding: 'utf8' });
    const theirs = parseAllDocuments(text).map((document) => document.toJS() as Manifest);
    const sorted = (list: readonly Manifest[]): Manifest[] =>
      [...list].sort((a, b) => (`${a.kind} ${a.metadata.name}` < `${b.kind} ${b.metadata.name}` ? -1 : 1));
    assert.deepEqual(sorted(theirs), sorted(objects(variant)), variant);
  }
});

test('names, labels and versions agree', () => {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  for (const variant of VARIANTS) {
    const { spec, metadata } = one(variant, variant === 'daemonset' ? 'DaemonSet' : 'Deployment');
    const { template } = spec;
    const account = one(variant, 'ServiceAccount').metadata;
    assert.equal(template.spec.serviceAccountName, account.name);
    assert.equal(metadata.namespace, account.namespace);
    assert.equal(account.namespace, one(variant, 'Namespace').metadata.name);
    assert.deepEqual(spec.selector.matchLabels, template.metadata.labels);
    assert.equal(template.spec.priorityClassName, one(variant, 'PriorityClass').metadata.name);
    for (const { image } of [...template.spec.containers, ...(template.spec.initContainers ?? [])])
      assert.equal(image, `rauta:${version}`);
    for (const other of objects(variant)) {
      const selector = other.kind === 'Service' ? other.spec.selector : (other.spec?.podSelector?.matchLabels ?? null);
      if (selector !== null) assert.deepEqual(selector, template.metadata.labels, other.kind);
    }
  }
  const names = one('deployment', 'Deployment').spec.template.spec.containers[0]?.ports?.map(({ name }) => name);
  for (const { targetPort } of one('deployment', 'Service').spec.ports ?? []) assert.ok(names?.includes(targetPort));
});

test('the program takes its flags, and what a pod tells it', () => {
  for (const variant of VARIANTS) {
    const { spec } = one(variant, variant === 'daemonset' ? 'DaemonSet' : 'Deployment').spec.template;
    const { args = [], env = [] } = spec.containers[0] as Container;
    assert.equal(args[0], 'serve');
    const nowhere = { stdout: false, stderr: false };
    const { options, warnings } = parseOptions(args.slice(1), { KUBERNETES_SERVICE_HOST: '10.96.0.1' }, nowhere);
    assert.deepEqual(warnings, []);
    assert.ok(options.kubernetes !== null);
    assert.equal(options.afterTakeover, 'wait');
    // Both families: the kubelet asks by whichever the cluster has.
    assert.deepEqual(options.admin, { host: '::', port: 9090 });
    assert.deepEqual(env.map(({ name }) => name).sort(), ['NODE_NAME', 'POD_NAME', 'POD_NAMESPACE']);
    const least = (options.drainDelayMs + Math.max(options.drainTimeoutMs, options.tunnelDrainTimeoutMs)) / 1_000;
    assert.ok(spec.terminationGracePeriodSeconds > least, 'it may drain to its end');
  }
});

/** Pod Security Standards, level restricted, as far as these pods can break it. */
test('the Deployment is restricted; the DaemonSet is but for the network of its host, and two capabilities', () => {
  const { spec: deployment } = one('deployment', 'Deployment').spec.template;
  const { spec: daemonSet } = one('daemonset', 'DaemonSet').spec.template;
  for (const { securityContext, containers } of [deployment, daemonSet]) {
    const { runAsNonRoot, runAsUser, seccompProfile } = securityContext;
    assert.deepEqual([runAsNonRoot, runAsUser, seccompProfile], [true, USER, { type: 'RuntimeDefault' }]);
    for (const { securityContext: own, readinessProbe, livenessProbe } of containers) {
      assert.deepEqual([own.allowPrivilegeEscalation, own.readOnlyRootFilesystem], [false, true]);
      assert.deepEqual(own.capabilities.drop, ['ALL']);
      assert.ok(readinessProbe && livenessProbe);
    }
  }
  assert.equal(deployment.hostNetwork, undefined);
  assert.deepEqual(deployment.containers[0]?.securityContext.capabilities.add, undefined);
  assert.equal(daemonSet.hostNetwork, true);
  assert.deepEqual(daemonSet.containers[0]?.securityContext.capabilities.add, ['NET_BIND_SERVICE', 'SETPCAP']);
  assert.equal(daemonSet.initContainers?.[0]?.command?.[0], `${HOME}/bin/node`);
  const enforced = VARIANTS.map((v) => one(v, 'Namespace').metadata.labels?.['pod-security.kubernetes.io/enforce']);
  assert.deepEqual(enforced, ['privileged', 'restricted']);
});

test('a new pod is there before an old one goes; on the host no port is declared, which would keep them apart', () => {
  const both = { maxSurge: 1, maxUnavailable: 0 };
  const daemonSet = one('daemonset', 'DaemonSet').spec;
  assert.deepEqual(daemonSet.updateStrategy?.rollingUpdate, both);
  assert.deepEqual(one('deployment', 'Deployment').spec.strategy?.rollingUpdate, both);
  for (const { ports } of daemonSet.template.spec.containers) assert.equal(ports, undefined);
});
