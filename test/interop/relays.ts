// A program that relays what layer 4 sends it, for tests with clients and servers of others.

import assert from 'node:assert/strict';
import { backendYaml, type Rauta } from '../process/support.ts';
import { OWN_ADDRESS } from '../support/keeper.ts';

export interface Listening {
  readonly name: string;
  readonly protocol: string;
  readonly port: number;
  /** Of the route. */
  readonly kind: string;
  /** More of the listener, and of the route. */
  readonly listener?: string;
  readonly route?: string;
}

/** A Gateway on the address of this process, and a route of each listener to the Backend `app` at `port`. */
export function relays(listeners: readonly Listening[], port: number): string {
  const entries = listeners.map(
    ({ name, protocol, port: at, listener = '' }) =>
      `    - { name: ${name}, port: ${at}, protocol: ${protocol}${listener === '' ? '' : `, ${listener}`} }`,
  );
  const routes = listeners.map(
    ({ name, kind, route = '' }) => `apiVersion: gateway.networking.k8s.io/v1
kind: ${kind}
metadata: { name: ${name} }
spec:
  parentRefs: [{ name: edge, sectionName: ${name} }]
${route}  rules: [{ backendRefs: [{ group: rauta.io, kind: Backend, name: app }] }]
---
`,
  );
  return `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge }
spec:
  gatewayClassName: rauta
  addresses: [{ value: ${OWN_ADDRESS} }]
  listeners:
${entries.join('\n')}
---
${routes.join('')}${backendYaml('app', port)}`;
}

export interface SessionLine {
  readonly protocol: string;
  readonly kind: string;
  readonly end: string;
  readonly flags: string;
  readonly request_bytes: number;
  readonly response_bytes: number;
}

/** The program's log lines once it has ended. */
export async function sessionsOf(rauta: Rauta): Promise<SessionLine[]> {
  assert.equal(await rauta.stop(), 0, rauta.text());
  return rauta.access
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}
