// TCPRoutes and UDPRoutes: sessions and datagrams, and what is said of the routes.

import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { OWN_ADDRESS, ownPort } from '../support/keeper.ts';
import {
  aged,
  becomes,
  GOOD_LISTENER,
  GOOD_ROUTE,
  gateway,
  grant,
  heldPort,
  type Made,
  open,
  route,
  Site,
  service,
  shares,
  tcpBackend,
  to,
} from './site.ts';

const ANSWER_MS = 1_000;

async function udpBackend(name: string): Promise<number> {
  const socket = createSocket('udp4');
  socket.on('message', (_, { port, address }) => socket.send(name, port, address));
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  socket.unref();
  return socket.address().port;
}

/** Who answers a session; `closed` when nobody does. */
async function overTcp(port: number): Promise<string> {
  const socket = connectTcp(port, '127.0.0.1').setEncoding('utf8');
  try {
    let text = '';
    for await (const chunk of socket) text += chunk;
    return text === '' ? 'closed' : text;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ECONNREFUSED' ? 'refused' : 'closed';
  }
}

/** Who answers a datagram of a new flow; `nobody` after a while. */
async function overUdp(port: number): Promise<string> {
  const socket = createSocket('udp4');
  socket.connect(port, OWN_ADDRESS);
  await once(socket, 'connect');
  const answer = await new Promise<string>((resolve) => {
    const timer = setTimeout(() => resolve('nobody'), ANSWER_MS);
    const done = (text: string): void => {
      clearTimeout(timer);
      resolve(text);
    };
    socket.on('message', (bytes) => done(String(bytes)));
    socket.on('error', () => done('nobody'));
    socket.send('who?');
  });
  socket.close();
  return answer;
}

const site = new Site(async () => {
  const names = ['t1', 't2', 't3', 'web/t'];
  const tcp = await Promise.all(names.map(tcpBackend));
  const udp = await Promise.all(['u1', 'u2', 'u3', 'web/u'].map(udpBackend));
  return [
    ...names.flatMap((name, i) => service(name, tcp[i] as number)),
    ...['u1', 'u2', 'u3', 'web/u'].flatMap((name, i) => service(name, udp[i] as number, {}, 'UDP')),
  ];
});

type Kind = 'TCPRoute' | 'UDPRoute';
const accepted = (refs: string): string => `Accepted=True Accepted, ResolvedRefs=${refs}`;
const NOT_ALLOWED = 'Accepted=False NotAllowedByListeners, ResolvedRefs=True ResolvedRefs';

interface Layer {
  readonly kind: Kind;
  readonly protocol: 'TCP' | 'UDP';
  /** Names of its backends. */
  readonly backends: readonly [string, string, string];
  readonly elsewhere: string;
  /** Nobody's yet. */
  port(): number;
  ask(port: number): Promise<string>;
  /** What one gets for whom there is no backend. */
  readonly nobody: string;
  /** The Gateway of these listeners. */
  gateway(name: string, listeners: readonly object[]): Made;
}

const TCP: Layer = {
  ...{ kind: 'TCPRoute', protocol: 'TCP', backends: ['t1', 't2', 't3'], elsewhere: 'web/t', nobody: 'closed' },
  port: heldPort,
  ask: overTcp,
  gateway,
};
const UDP: Layer = {
  ...{ kind: 'UDPRoute', protocol: 'UDP', backends: ['u1', 'u2', 'u3'], elsewhere: 'web/u', nobody: 'nobody' },
  port: ownPort,
  ask: overUdp,
  gateway: (name, listeners) => gateway(name, listeners, { addresses: [{ type: 'IPAddress', value: OWN_ADDRESS }] }),
};

/** Who answers: a datagram may be lost, and is sent again then. */
async function answered(what: Layer, port: number): Promise<string> {
  let answer = await what.ask(port);
  while (answer === what.nobody) answer = await what.ask(port);
  return answer;
}

/** How the tests of the suite are called that are of both kinds. */
type Names = Readonly<
  Record<'missing' | 'cross' | 'wrong' | 'several' | 'all' | 'exactly' | 'granted' | 'weights', string>
>;

const listening = ({ protocol }: Layer, ...list: readonly (readonly [string, number])[]): object[] =>
  list.map(([name, port]) => open(name, port, protocol));

function references(what: Layer, names: Names): void {
  const { kind, backends, elsewhere, nobody } = what;
  const [first] = backends;
  const low = what.protocol.toLowerCase();

  const missing = what.port();
  site.situation(
    names.missing,
    [
      what.gateway(`${low}-missing`, listening(what, ['main', missing])),
      route(`${low}-missing`, `${low}-missing`, [{ backendRefs: to('nobodys') }], { kind }),
    ],
    async () => {
      await site.says(kind, `${low}-missing`, accepted('False BackendNotFound'));
      await becomes(() => what.ask(missing), nobody);
    },
  );

  const cross = what.port();
  site.situation(
    names.cross,
    [
      what.gateway(`${low}-cross`, listening(what, ['main', cross])),
      route(`${low}-cross`, `${low}-cross`, [{ backendRefs: to(elsewhere) }], { kind }),
    ],
    async () => {
      await site.says(kind, `${low}-cross`, accepted('False RefNotPermitted'));
      await becomes(() => what.ask(cross), nobody);
    },
  );

  site.situation(
    names.wrong,
    [
      gateway(`${low}-wrong`, [open('http', heldPort())]),
      route(`${low}-wrong`, `${low}-wrong#http`, [{ backendRefs: to(first) }], { kind }),
    ],
    async () => {
      await site.says(kind, `${low}-wrong`, NOT_ALLOWED);
      await becomes(async () => (await site.listener(`${low}-wrong`, 'http')).slice(0, 4), '0 of');
    },
  );

  const granted = what.port();
  const [namespace = '', name = ''] = elsewhere.split('/');
  site.situation(
    names.granted,
    [
      what.gateway(`${low}-granted`, listening(what, ['main', granted])),
      route(`infra/${low}-granted`, `${low}-granted`, [{ backendRefs: to(elsewhere) }], { kind }),
    ],
    async () => {
      const permitted = grant(`${namespace}/${low}`, { kind, namespace: 'infra' }, { kind: 'Service', name });
      await becomes(() => what.ask(granted), nobody);
      site.put(permitted);
      await site.says(kind, `${low}-granted`, GOOD_ROUTE);
      await becomes(() => what.ask(granted), elsewhere);
      site.remove(permitted);
      await site.says(kind, `${low}-granted`, accepted('False RefNotPermitted'));
      await becomes(() => what.ask(granted), nobody);
    },
  );
}

function attachments(what: Layer, names: Names): void {
  const { kind, protocol, backends } = what;
  const [first, second, third] = backends;
  const low = protocol.toLowerCase();
  const several = what.port();
  const older = aged(
    route(`${low}-older`, `${low}-several`, [{ backendRefs: to(first) }], { kind }),
    '2026-01-01T00:00:00Z',
  );
  const younger = aged(
    route(`${low}-a-younger`, `${low}-several`, [{ backendRefs: to(second) }], { kind }),
    '2026-01-02T00:00:00Z',
  );
  site.situation(
    names.several,
    [what.gateway(`${low}-several`, listening(what, ['main', several])), older, younger],
    async () => {
      await site.says(kind, `${low}-older`, GOOD_ROUTE);
      await site.says(kind, `${low}-a-younger`, GOOD_ROUTE);
      await becomes(() => site.listener(`${low}-several`, 'main'), `2 of ${kind}: ${GOOD_LISTENER}`);
      assert.deepEqual(await shares(6, () => answered(what, several)), { [first]: 6 });
      site.remove(older);
      await becomes(() => what.ask(several), second);
    },
  );

  const all = [what.port(), what.port()] as const;
  site.situation(
    names.all,
    [
      what.gateway(`${low}-all`, listening(what, ['one', all[0]], ['two', all[1]])),
      route(`${low}-all`, `${low}-all`, [{ backendRefs: to(first) }], { kind }),
    ],
    async () => {
      for (const port of all) await becomes(() => what.ask(port), first);
      for (const name of ['one', 'two']) {
        await becomes(() => site.listener(`${low}-all`, name), `1 of ${kind}: ${GOOD_LISTENER}`);
      }
    },
  );

  const exactly = [what.port(), what.port(), what.port()] as const;
  site.situation(
    names.exactly,
    [
      what.gateway(`${low}-exactly`, listening(what, ['one', exactly[0]], ['two', exactly[1]], ['three', exactly[2]])),
      route(`${low}-port`, `${low}-exactly:${exactly[0]}`, [{ backendRefs: to(first) }], { kind }),
      route(`${low}-section`, `${low}-exactly#two`, [{ backendRefs: to(second) }], { kind }),
      route(`${low}-both`, `${low}-exactly#three:${exactly[2]}`, [{ backendRefs: to(third) }], { kind }),
      route(`${low}-neither`, `${low}-exactly#three:${exactly[0]}`, [{ backendRefs: to(third) }], { kind }),
    ],
    async () => {
      for (const [i, port] of exactly.entries()) await becomes(() => what.ask(port), backends[i]);
      await site.says(kind, `${low}-neither`, 'Accepted=False NoMatchingParent, ResolvedRefs=True ResolvedRefs');
    },
  );

  const weights = what.port();
  site.situation(
    names.weights,
    [
      what.gateway(`${low}-weights`, listening(what, ['main', weights])),
      route(`${low}-weights`, `${low}-weights`, [{ backendRefs: to([first, 70], [second, 30], [third, 0]) }], { kind }),
    ],
    async () => {
      const counts = await shares(100, () => answered(what, weights));
      assert.equal(counts[third], undefined);
      // Datagrams go by their flow, so by chance; sessions of TCP in turn.
      const part = counts[first] ?? 0;
      if (protocol === 'TCP') assert.equal(part, 70);
      else assert.ok(part > 45 && part < 95, String(part));
    },
  );
}

const both = (what: Layer, names: Names): void => {
  references(what, names);
  attachments(what, names);
};

both(TCP, {
  missing: 'TCPRouteInvalidBackendRefNonexistent',
  cross: 'TCPRouteInvalidCrossNamespaceBackendRef',
  wrong: 'TCPRouteInvalidNonTCPListener',
  several: 'TCPRouteMultipleRoutesAttachment',
  all: 'TCPRouteParentRefAttachAll',
  exactly: 'TCPRouteParentRefPortAndSectionName',
  granted: 'TCPRouteReferenceGrant',
  weights: 'TCPRouteWeightedRouting',
});

both(UDP, {
  missing: 'UDPRouteInvalidBackendRefNonexistent',
  cross: 'UDPRouteInvalidCrossNamespaceBackendRef',
  wrong: 'UDPRouteNotAllowedByListeners',
  several: 'UDPRouteMultipleRoutesAttachment',
  all: 'UDPRouteParentRefAttachAllListeners',
  exactly: 'UDPRouteParentRefPortAndSectionName',
  granted: 'UDPRouteReferenceGrant',
  weights: 'UDPRouteWeightedRouting',
});

const simple = ownPort();
site.situation(
  'UDPRoute',
  [
    UDP.gateway('udp', [open('main', simple, 'UDP')]),
    route('udp', 'udp#main', [{ backendRefs: to('u1') }], { kind: 'UDPRoute' }),
  ],
  async () => {
    await site.says('UDPRoute', 'udp', GOOD_ROUTE);
    await becomes(() => overUdp(simple), 'u1');
  },
);
