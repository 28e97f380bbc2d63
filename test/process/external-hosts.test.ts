// XBackends of an API server, the whole program: not read unless the operator says so, never this machine unless the
// operator says that too, and what is said of each.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { FakeApi } from '../kubernetes/fake-api.ts';
import { kubeconfig, when } from '../kubernetes/site.ts';
import { clusterSite } from './cluster-site.ts';
import { get, Rauta, until } from './support.ts';

const GROUP = 'gateway.networking.x-k8s.io';

interface Site {
  readonly api: FakeApi;
  readonly port: number;
  start(backends: 'off' | 'on' | 'local'): Promise<Rauta>;
}

/** Its routes send /one to a Service, /out to an XBackend that is this machine, /in to one that names an address. */
async function outside(t: TestContext): Promise<Site> {
  const { api, url, port, app } = await clusterSite(t);
  for (const [name, hostname] of [
    ['out', 'api.localhost'],
    ['in', '10.96.0.1'],
  ] as const)
    api.put('XBackend', {
      metadata: { name, namespace: 'web' },
      spec: {
        type: 'ExternalHostname',
        port: { port: app.port },
        externalHostname: { hostname },
        tls: { mode: 'None' },
      },
    });
  api.put('HTTPRoute', {
    metadata: { name: 'x', namespace: 'web' },
    spec: {
      parentRefs: [{ name: 'gw' }],
      rules: ['out', 'in'].map((name) => ({
        matches: [{ path: { type: 'PathPrefix', value: `/${name}` } }],
        backendRefs: [{ group: GROUP, kind: 'XBackend', name }],
      })),
    },
  });
  const start = async (backends: string): Promise<Rauta> => {
    const rauta = await Rauta.start({}, ['--kubernetes', '--kubeconfig', kubeconfig(t, url), '--backends', backends]);
    t.after(() => rauta.stop());
    await until(
      () => get(port, '/one'),
      (answer) => answer.status === 200,
    );
    return rauta;
  };
  return { api, port, start };
}

interface Parent {
  readonly parentRef: { readonly name: string };
  readonly conditions: readonly { readonly type: string; readonly status: string; readonly reason: string }[];
}

function said(api: FakeApi, kind: string, name: string): string {
  const { parents = [] } = (api.get(kind, 'web', name)?.['status'] ?? {}) as { parents?: readonly Parent[] };
  return parents
    .map(({ parentRef, conditions }) =>
      [parentRef.name, ...conditions.map((c) => `${c.type}=${c.status} ${c.reason}`)].join(', '),
    )
    .join('; ');
}

test('with --backends local a host is asked, and the status says so; an address is refused', async (t) => {
  const { api, port, start } = await outside(t);
  const rauta = await start('local');
  await until(
    () => get(port, '/out'),
    (answer) => answer.status === 200,
  );
  await when(api, () => said(api, 'XBackend', 'out') === 'gw, Accepted=True Accepted, ResolvedRefs=True ResolvedRefs');
  await when(api, () => said(api, 'XBackend', 'in') === 'gw, Accepted=False Invalid, ResolvedRefs=True ResolvedRefs');
  assert.equal((await get(port, '/in')).status, 500);
  const explained = await rauta.ask(`/explain?method=GET&url=http://127.0.0.1:${port}/out`);
  assert.match(explained.body, /web\/out[\s\S]*127\.0\.0\.1/);
  api.delete('HTTPRoute', 'web', 'x');
  await when(api, () => said(api, 'XBackend', 'out') === '' && said(api, 'XBackend', 'in') === '');
});

test('with --backends on a name that leads to this machine gets nothing, and is told', async (t) => {
  const { api, port, start } = await outside(t);
  await start('on');
  await when(
    api,
    () => said(api, 'XBackend', 'out') === 'gw, Accepted=False Forbidden, ResolvedRefs=True ResolvedRefs',
  );
  assert.equal((await get(port, '/out')).status, 503);
});

test('without it none is asked for, and who refers to one is told why', async (t) => {
  const { api, port, start } = await outside(t);
  await start('off');
  await when(api, () => /ResolvedRefs=False InvalidKind/.test(said(api, 'HTTPRoute', 'x')));
  assert.equal((await get(port, '/out')).status, 500);
  assert.deepEqual(
    api.requests.filter(({ path }) => path.includes('/xbackends')),
    [],
  );
  assert.equal(said(api, 'XBackend', 'out'), '');
});
