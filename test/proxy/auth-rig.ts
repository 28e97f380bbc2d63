// A proxy with an authorization server in front of a backend, and what both were sent.

import type { SocketAddress } from '../../src/io/io.ts';
import type { ClusterEntry, ExternalAuth } from '../../src/ir/ir.ts';
import type { TestNet } from '../support/net.ts';
import { answering, bodyText, cluster, clusterKey, endpoint, ok, Rig, type RuleOptions, rule } from './rig.ts';

export function auth(more: Partial<ExternalAuth> = {}): ExternalAuth {
  return {
    type: 'externalAuth',
    protocol: 'http',
    cluster: clusterKey('auth'),
    backend: 'default/auth:80',
    path: '',
    requestHeaders: [],
    responseHeaders: ['x-user'],
    bodyBytes: 0,
    failOpen: false,
    ...more,
  };
}

/** A server of HTTP by what it answers. */
export type Says = (target: string, head: string, body: string) => string;

export interface Site {
  readonly rig: Rig;
  /** What the server, and the backend, were sent: `METHOD target`, head and content. */
  readonly asked: string[];
  readonly served: string[];
}

/** The server is at `says`, or is made of it. */
export function site(
  net: TestNet,
  says: Says | SocketAddress,
  filter: ExternalAuth = auth(),
  more: RuleOptions = {},
  server: Partial<ClusterEntry> = {},
): Site {
  const asked: string[] = [];
  const served: string[] = [];
  const noted = (to: string[], answer: Says): SocketAddress =>
    answering(net, ({ method, target, head, body }) => {
      const text = bodyText({ body });
      to.push(`${method} ${target}\n${head}\n${text}`);
      return answer(target, head, text);
    });
  const app = noted(served, () => ok('app'));
  const address = typeof says === 'function' ? noted(asked, says) : says;
  const filters = [filter, ...(more.filters ?? [])];
  const rig = new Rig(net, [app], [rule({ ...more, filters }), cluster('auth', [endpoint(address)], server)]);
  return { rig, asked, served };
}

export const post = (content: string, more = ''): string =>
  `POST /p HTTP/1.1\r\nHost: a.example\r\nContent-Length: ${content.length}\r\n${more}\r\n${content}`;
