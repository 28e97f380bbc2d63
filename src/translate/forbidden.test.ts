import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeObject } from '../api/object.ts';
import { Store } from '../store/store.ts';
import type { TranslatorOptions } from './context.ts';
import { Translator } from './translator.ts';

const object = (kind: string, apiVersion: string, name: string, rest: object): KubeObject =>
  ({
    apiVersion,
    kind,
    metadata: { name, ...(kind === 'ResolvedHost' ? {} : { namespace: 'default' }) },
    ...rest,
  }) as KubeObject;
const OBJECTS = [
  object('Gateway', 'gateway.networking.k8s.io/v1', 'gw', {
    spec: { gatewayClassName: 'rauta', listeners: [{ name: 'http', port: 80, protocol: 'HTTP' }] },
  }),
  object('HTTPRoute', 'gateway.networking.k8s.io/v1', 'r', {
    spec: {
      parentRefs: [{ name: 'gw' }],
      rules: [{ backendRefs: [{ group: 'rauta.io', kind: 'Backend', name: 'b' }] }],
    },
  }),
  object('Backend', 'rauta.io/v1alpha1', 'b', {
    spec: {
      endpoints: [
        { address: '192.0.2.1', port: 80 },
        { address: '127.0.0.1', port: 9090 },
        { hostname: 'sly.example', port: 9090 },
        { unix: '/run/admin.sock' },
      ],
    },
  }),
  object('ResolvedHost', 'rauta.io/v1alpha1', 'sly.example', {
    addresses: [
      { address: '127.0.0.1', family: 4 },
      { address: '192.0.2.2', family: 4 },
    ],
  }),
];

function served(more: Partial<TranslatorOptions>): { readonly to: string[]; readonly said: string[] } {
  const store = new Store();
  const options = { controllerName: 'rauta.io/gateway-controller', implicitClass: 'rauta', portMap: new Map() };
  const translator = new Translator({ ...options, defaultAddresses: ['0.0.0.0'], ...more });
  translator.update(store, { keys: store.apply(OBJECTS, []) });
  const to = [...translator.ir.values()].flatMap((entry) =>
    entry.kind === 'endpoints' ? entry.endpoints.map(({ address }) => address) : [],
  );
  const said = [...(translator.diagnostics.get('Backend/default/b') ?? [])].map(({ place }) => place.field ?? '');
  return { to: to.sort(), said };
}

test('a Backend may not name what is forbidden, by address, by name or by path; the others are served', () => {
  assert.deepEqual(served({}), { to: ['/run/admin.sock', '127.0.0.1', '192.0.2.1', '192.0.2.2'], said: [] });
  assert.deepEqual(served({ forbidden: (address) => address === '127.0.0.1' }), {
    to: ['192.0.2.1', '192.0.2.2'],
    said: ['spec.endpoints[1].address', 'spec.endpoints[2].hostname', 'spec.endpoints[3].unix'],
  });
});
