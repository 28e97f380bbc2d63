// Pods of a backend come and go under load, as EndpointSlices and kubelet have it: ready only when they answer, first
// taken off the list and then ended: nobody's request fails. Of those that end without a word only what they had is
// lost.

import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { defineKinds, FakeApi } from '../kubernetes/fake-api.ts';
import { kubeconfig, site } from '../kubernetes/site.ts';
import { freePort, get, Load, Rauta, until } from './support.ts';

const CLIENTS = 8;

type State = 'starting' | 'ready' | 'terminating';

const CONDITIONS: Readonly<Record<State, object>> = {
  starting: { ready: false, serving: false, terminating: false },
  ready: { ready: true, serving: true, terminating: false },
  terminating: { ready: false, serving: true, terminating: true },
};

/** A pod: an address of its own, the port that all of them have. */
class Pod {
  readonly address: string;
  readonly #server: Server;
  state: State = 'starting';
  requests = 0;

  constructor(number: number) {
    this.address = `127.0.0.${number}`;
    this.#server = createServer((_, response) => {
      this.requests++;
      response.end(this.address);
    });
  }

  async start(port: number): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(port, this.address, resolve));
    return (this.#server.address() as AddressInfo).port;
  }

  /** Its process is gone. */
  kill(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

/** The slices of all pods, a few in each. */
function tell(api: FakeApi, port: number, pods: readonly Pod[]): void {
  for (const [i, family] of [pods.slice(0, 2), pods.slice(2)].entries())
    api.put('EndpointSlice', {
      metadata: { name: `app-${i + 1}`, namespace: 'web', labels: { 'kubernetes.io/service-name': 'app' } },
      addressType: 'IPv4',
      ports: [{ name: 'http', port, protocol: 'TCP' }],
      endpoints: family.map(({ address, state }) => ({
        addresses: [address],
        conditions: CONDITIONS[state],
        targetRef: { kind: 'Pod', namespace: 'web', name: `app-${address}` },
      })),
    });
}

test('a rollout under load, pod by pod, loses no request; pods that vanish lose what they had, at most', async (t) => {
  const api = new FakeApi();
  defineKinds(api);
  const url = await api.listen();
  t.after(() => api.close());
  let number = 11;
  const first = new Pod(number++);
  const port = await first.start(0);
  first.state = 'ready';
  let pods = [first];
  t.after(() => {
    for (const pod of pods) pod.kill();
  });
  const listener = await freePort();
  site(api, listener, port);
  tell(api, port, pods);
  const rauta = await Rauta.start({}, ['--kubernetes', '--kubeconfig', kubeconfig(t, url)]);
  t.after(() => rauta.stop());
  const answer = (good: (address: string) => boolean): ReturnType<typeof until> =>
    until(
      () => get(listener, '/one'),
      ({ status, body }) => status === 200 && good(body),
    );
  await answer(() => true);
  const load = new Load(listener, '/one', CLIENTS);

  const add = async (): Promise<void> => {
    const pod = new Pod(number++);
    // Listed before it answers, as kubelet and controllers have it.
    pods = [...pods, pod];
    tell(api, port, pods);
    await pod.start(port);
    pod.state = 'ready';
    tell(api, port, pods);
    await answer((address) => address === pod.address);
  };
  const leave = async (pod: Pod): Promise<void> => {
    pod.state = 'terminating';
    tell(api, port, pods);
    // What preStop waits for: nobody comes any more.
    for (let before = -1; before !== pod.requests; ) {
      before = pod.requests;
      for (let i = 0; i < 40; i++) await answer(() => true);
    }
    pod.kill();
    pods = pods.filter((other) => other !== pod);
    tell(api, port, pods);
  };

  for (let i = 0; i < 3; i++) await add();
  // Twice all of them, one new one before each old one goes.
  for (let round = 0; round < 2; round++)
    for (const old of pods) {
      await add();
      await leave(old);
    }
  const counts = await load.stop();
  assert.deepEqual(Object.keys(counts), ['200']);
  const more = new Load(listener, '/one', CLIENTS);
  const VANISHED = 2;
  for (let i = 0; i < VANISHED; i++) {
    await add();
    const gone = pods[0] as Pod;
    gone.kill();
    for (let n = 0; n < 40; n++) await answer(() => true);
    pods = pods.filter((pod) => pod !== gone);
    tell(api, port, pods);
    await answer(() => true);
  }
  // What was sent on a new connection is not sent again: that backend may be what broke of it.
  const { 200: good = 0, 502: lost = 0, ...others } = await more.stop();
  assert.deepEqual(others, {});
  assert.ok(lost <= VANISHED * CLIENTS, `${lost} of ${good} lost`);
  t.diagnostic(`${counts['200']} requests, then ${good} and ${lost} lost`);
});
