// The whole program in front of one backend, as the tests of this folder start it.

import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { after } from 'node:test';

/** A Gateway with a listener of cleartext HTTP for each port. */
export function gateway(ports: readonly number[]): string {
  const listeners = ports.map((port) => `    - { name: p${port}, port: ${port}, protocol: HTTP }`).join('\n');
  return `apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: { name: rauta }
spec: { controllerName: rauta.io/gateway-controller }
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: site }
spec:
  gatewayClassName: rauta
  listeners:
${listeners}
---
`;
}

/** A Service and its endpoint on loopback. */
export function service(name: string, port: number, appProtocol: string): string {
  return `apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec: { ports: [{ name: main, port: 80, appProtocol: ${appProtocol} }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: ${name}, labels: { kubernetes.io/service-name: ${name} } }
addressType: IPv4
ports: [{ name: main, port: ${port} }]
endpoints: [{ addresses: [127.0.0.1] }]
---
`;
}

/** A route of the listener at a port, everything to one Service. */
export function route(kind: string, name: string, port: number, to: string, more = ''): string {
  return `apiVersion: gateway.networking.k8s.io/v1
kind: ${kind}
metadata: { name: ${name} }
spec:
  parentRefs: [{ name: site, sectionName: p${port} }]
  rules:
    - backendRefs: [{ name: ${to}, port: 80 }]
${more}
---
`;
}

const started = new Set<ChildProcess>();
function end(): void {
  for (const child of started) child.kill('SIGKILL');
}
after(end);
process.on('exit', end);

/** A program of others, and the first line that it says on standard output or error; it is ended with the tests. */
export async function start(program: string, args: readonly string[], says: RegExp): Promise<ChildProcess> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  started.add(child);
  await new Promise<void>((resolve, reject) => {
    let said = '';
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        said += `${line}\n`;
        if (says.test(line)) resolve();
      });
    }
    child.on('error', reject);
    child.on('exit', (code) => reject(new Error(`${program} ended with ${code}:\n${said}`)));
  });
  return child;
}
