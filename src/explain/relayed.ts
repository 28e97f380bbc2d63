// What becomes of a session of layer 4, told by the table that workers ask: by the port, and where TLS is spoken by the
// name in the handshake.

import { bytesOf } from '../base/bytes.ts';
import { FAULTS } from '../base/errors.ts';
import type { ClusterEntry, RelayBackend, RelayEntry, SocketEntry, SocketHost } from '../ir/ir.ts';
import { ClusterRef, RouteCells } from '../proxy/exchange/rule.ts';
import { Head } from '../proxy/head.ts';
import { CompiledRelay, RelayTable } from '../proxy/relay/relay.ts';
import { ServerNames } from '../proxy/tls/names.ts';
import { type Backends, endpointParts } from './effects.ts';
import type { BackendPart, Explanation } from './explanation.ts';
import type { Question } from './question.ts';

/** The host of layer 4 that a client reaches; null: nobody's name on a port that has such; undefined: none of these. */
export function relayHostOf({ hosts }: SocketEntry, { secure, sni }: Question): SocketHost | null | undefined {
  const tcp = hosts.find(({ protocol }) => protocol === 'TCP');
  if (tcp !== undefined) return tcp;
  if (!secure || !hosts.some(({ protocol }) => protocol === 'TLS')) return undefined;
  const names = new ServerNames<SocketHost>();
  for (const host of hosts) names.add(host.hostname, host);
  const host = names.find(sni);
  return host === null || host.protocol === 'TLS' ? host : undefined;
}

/** The rest of it: who takes the session, and what becomes of it. */
export function relayed(
  socket: SocketEntry,
  host: SocketHost | null,
  { sni, client }: Question,
  relays: readonly RelayEntry[],
  from: Backends,
): Pick<Explanation, 'outcome' | 'status' | 'flag' | 'backends' | 'rule'> {
  const table = new RelayTable(socket.key);
  for (const relay of relays) {
    if (!relay.attachments.some((at) => at.socket === socket.key)) continue;
    table.set(new CompiledRelay(relay, new RouteCells(), (key) => new ClusterRef(key)));
  }
  const found = host === null ? null : table.find(host, sni);
  if (found === null) {
    const who = host?.protocol === 'TCP' ? 'the port' : sni === '' ? 'a handshake without a name' : `the name ${sni}`;
    const { flag } = FAULTS.noRoute;
    return { outcome: `reset: no route takes ${who}`, status: 0, flag, rule: null, backends: [] };
  }
  const { entry } = found;
  const sum = entry.backends.reduce((total, { weight }) => total + weight, 0);
  const backends = entry.backends.map((backend) => partOf(backend, sum, client, from));
  const usable = backends.filter(({ broken }) => broken === '');
  const { routeKind: kind, route, index, name, idleMs } = entry;
  const timeouts = idleMs === null ? '' : `idle ${idleMs} ms`;
  const rule = { kind, route, index, name, match: host?.protocol === 'TCP' ? '' : sni, timeouts, retry: '' };
  if (usable.length > 0) {
    const outcome = `relayed to ${usable.map(({ backend }) => backend).join(' or ')}`;
    return { outcome, status: null, flag: '', rule, backends };
  }
  const flag = backends.some(({ endpoints }) => endpoints.length > 0) ? FAULTS.noEndpoint.flag : FAULTS.noCluster.flag;
  return { outcome: 'reset: no backend can be had', status: 0, flag, rule, backends };
}

function partOf(
  { cluster: key, backend, weight }: RelayBackend,
  sum: number,
  client: string,
  from: Backends,
): BackendPart {
  const cluster = key === null ? null : from.cluster(key);
  const taken = { mem: new Uint8Array(0), head: new Head(), prefixLength: 0, client: bytesOf(client), free: 0 };
  const endpoints = cluster === null ? [] : endpointParts(cluster, taken, from);
  return {
    backend,
    share: sum === 0 ? 0 : weight / sum,
    filters: [],
    broken: brokenText(weight, cluster, endpoints),
    protocol: cluster === null ? '' : cluster.protocol,
    tls: cluster === null || cluster.tls === null ? '' : `TLS for ${cluster.tls.hostname}`,
    balancer: cluster === null ? '' : cluster.balancer.type,
    sent: [],
    endpoints,
  };
}

function brokenText(weight: number, cluster: ClusterEntry | null, endpoints: BackendPart['endpoints']): string {
  if (weight === 0) return 'its weight is 0: it gets no session';
  if (cluster === null) return 'reset: its reference is not usable';
  return endpoints.some(({ turn }) => turn !== '') ? '' : 'reset: it has no ready endpoint';
}
