// The first changes would pass through code that nobody has run yet: slowly, and with V8's compilers beside them on the
// same cores. So a controller of a cluster that has little to serve makes changes to a small world of its own first, as
// they come from an API server, by the same functions and to nobody.

import { checkObject } from '../api/schema.ts';
import { LIMITS } from '../base/limits.ts';
import { encodeEntry } from '../ir/codec.ts';
import { CellBook } from '../publish/cells.ts';
import { type Downstream, Publisher } from '../publish/publisher.ts';
import { Store } from '../store/store.ts';
import type { TranslatorOptions } from '../translate/context.ts';
import { Translator } from '../translate/translator.ts';
import { readOfStatus } from '../translate/unit.ts';

const NOWHERE: Downstream = { begin() {}, put() {}, remove() {}, sockets() {}, commit() {}, push() {} };
const GATEWAY_API = 'gateway.networking.k8s.io/v1';
const CLASS = 'practice';

/** A change with each step, of half a millisecond but for the first ones; returns how many entries they made. */
export function* practise(options: TranslatorOptions): Generator<void, number, void> {
  const { controllerName } = options;
  const store = new Store(readOfStatus);
  const translator = new Translator(options);
  const book = new CellBook(() => {}, { route: LIMITS.PRACTICE_CHANGES, endpoint: LIMITS.PRACTICE_CHANGES });
  const publisher = new Publisher(NOWHERE, book, encodeEntry, () => {});
  const change = (text: string): void => {
    const { object } = checkObject(JSON.parse(text), { lenient: true, accepted: true });
    if (object === null) return;
    publisher.publish(translator.update(store, { keys: store.apply([object], []) }).delta);
  };
  change(made(GATEWAY_API, 'GatewayClass', CLASS, { spec: { controllerName } }));
  change(made('v1', 'Namespace', CLASS, {}));
  const listeners = [{ name: 'http', port: 80, protocol: 'HTTP' }];
  change(made(GATEWAY_API, 'Gateway', CLASS, { spec: { gatewayClassName: CLASS, listeners } }));
  change(made('v1', 'Service', CLASS, { spec: { ports: [{ name: 'http', port: 80, targetPort: 8080 }] } }));
  change(slice());
  for (let i = 0; i < LIMITS.PRACTICE_CHANGES; i++) {
    yield;
    change(route(i));
  }
  return translator.ir.size;
}

function made(apiVersion: string, kind: string, name: string, rest: object, labels: object = {}): string {
  const metadata = { name, namespace: CLASS, labels, uid: name, generation: 1, resourceVersion: '1' };
  return JSON.stringify({ apiVersion, kind, metadata, ...rest });
}

function slice(): string {
  const conditions = { ready: true, serving: true, terminating: false };
  const endpoints = [{ addresses: ['10.0.0.1'], conditions }];
  const ports = [{ name: 'http', port: 8080, protocol: 'TCP' }];
  const rest = { addressType: 'IPv4', ports, endpoints };
  return made('discovery.k8s.io/v1', 'EndpointSlice', CLASS, rest, { 'kubernetes.io/service-name': CLASS });
}

function route(i: number): string {
  const filters = [
    { type: 'RequestHeaderModifier', requestHeaderModifier: { set: [{ name: 'x-practice', value: 'x' }] } },
  ];
  const rules = ['/', '/other'].map((value) => ({
    matches: [{ path: { type: 'PathPrefix', value } }],
    filters,
    backendRefs: [{ name: CLASS, port: 80 }],
  }));
  const spec = { parentRefs: [{ name: CLASS }], hostnames: [`practice-${i}.example`], rules };
  return made(GATEWAY_API, 'HTTPRoute', `practice-${i}`, { spec });
}
