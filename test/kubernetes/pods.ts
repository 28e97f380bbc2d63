// Objects and requests of the tests in a real cluster whose backends are pods (site-pod.ts).

import { request } from 'node:http';
import { request as secureRequest } from 'node:https';
import { type Leaf, pem } from '../../tools/certificates.ts';
import { until } from './person.ts';

/** Documents as kubectl reads them: JSON is YAML. */
export const yaml = (...objects: readonly object[]): string =>
  objects.map((one) => `---\n${JSON.stringify(one)}\n`).join('');
export const meta = (namespace: string, name: string, more: object = {}): object => ({ namespace, name, ...more });

export const secret = (namespace: string, name: string, { der, keyDer }: Leaf): object => ({
  apiVersion: 'v1',
  kind: 'Secret',
  type: 'kubernetes.io/tls',
  metadata: meta(namespace, name),
  stringData: { 'tls.crt': pem('CERTIFICATE', der), 'tls.key': pem('PRIVATE KEY', keyDer) },
});

export const service = (
  namespace: string,
  name: string,
  selector: Readonly<Record<string, string>>,
  ports: readonly object[],
): object => ({ apiVersion: 'v1', kind: 'Service', metadata: meta(namespace, name), spec: { selector, ports } });

/** One pod, with what it is told in its environment. */
export function deployment(
  namespace: string,
  name: string,
  labels: Readonly<Record<string, string>>,
  env: Readonly<Record<string, string>> = {},
): object {
  const container = {
    name: 'site',
    image: 'test/site:1',
    env: Object.entries(env).map(([key, value]) => ({ name: key, value })),
    readinessProbe: { tcpSocket: { port: 4180 }, periodSeconds: 1 },
    lifecycle: { preStop: { sleep: { seconds: 2 } } },
  };
  const template = { metadata: { labels }, spec: { terminationGracePeriodSeconds: 3, containers: [container] } };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: meta(namespace, name),
    spec: { selector: { matchLabels: labels }, template },
  };
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}
type Headers = Readonly<Record<string, string>>;

/** `ca`: by TLS, the certificate checked by it for the host. */
export function ask(port: number, path: string, headers: Headers = {}, ca = ''): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, path, headers, agent: false as const };
    const sent = ca === '' ? request(options) : secureRequest({ ...options, ca, servername: headers['host'] ?? '' });
    sent.on('response', (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text }));
      answer.on('error', reject);
    });
    sent.on('error', reject).end();
  });
}

/** Until it is answered with that status. */
export async function answered(status: number, ...asked: Parameters<typeof ask>): Promise<Answer> {
  let answer: Answer | undefined;
  await until(`${asked[2]?.['host'] ?? ''}${asked[1]} answered ${status}`, async () => {
    answer = await ask(...asked);
    return answer.status === status ? null : `${answer.status} ${answer.text}`;
  });
  return answer as Answer;
}

/** What a pod says that it was asked. */
export const told = ({ text }: Answer): Record<string, unknown> => JSON.parse(text) as Record<string, unknown>;
