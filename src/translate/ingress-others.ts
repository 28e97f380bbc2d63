// What has no effect on an Ingress and may have been what kept somebody out: snippets of nginx.conf, and annotations of
// other controllers.

import { NGINX } from './ingress-nginx.ts';
import type { Annotations } from './ingress-read.ts';
import { restriction } from './nginx-snippet.ts';

const SNIPPETS = [`${NGINX}configuration-snippet`, `${NGINX}server-snippet`];

/** Why the Ingress must not be served without its snippets; null: they refuse nobody. */
export function snippetRefuses(read: Annotations): string | null {
  for (const name of SNIPPETS) {
    const found = restriction(read.peek(name) ?? '');
    if (found === null) continue;
    const short = name.slice(NGINX.length);
    const why = `${short} has "${found}", which restricts who may ask`;
    read.text(name);
    read.wrong(
      name,
      `${why}, and nothing reads nginx.conf: the Ingress answers 500 while it is there. ` +
        'Write whitelist-source-range, auth-url, or an HTTPRoute with an AccessControlFilter for what is refused.',
    );
    return `${why}.`;
  }
  return null;
}

/** Prefixes of annotations by which other controllers are told what to do. */
const OTHERS: readonly string[] = [
  'ingress.kubernetes.io/',
  'nginx.org/',
  'nginx.com/',
  'appprotect.f5.com/',
  'traefik.ingress.kubernetes.io/',
  'haproxy.org/',
  'haproxy-ingress.github.io/',
  'konghq.com/',
  'projectcontour.io/',
  'alb.ingress.kubernetes.io/',
  'appgw.ingress.kubernetes.io/',
  'networking.gke.io/',
  'ingress.citrix.com/',
];
const ALLOW_HTTP = 'kubernetes.io/ingress.allow-http';

/** One warning for those of each. */
export function tellOfOthers(read: Annotations): void {
  for (const prefix of OTHERS) {
    const [first, ...more] = read.left(prefix);
    if (first === undefined) continue;
    const all = more.length === 0 ? 'It is' : `It and ${more.length} more of ${prefix} are`;
    read.idle(first, `${all} another controller's, and without effect here: what it restricts is not restricted.`);
  }
  if (read.peek(ALLOW_HTTP) === 'false') {
    read.idle(
      ALLOW_HTTP,
      'It has no effect here: requests in the clear for hosts of spec.tls are sent to https; ' +
        `for others write ${NGINX}force-ssl-redirect: "true".`,
    );
  }
}
