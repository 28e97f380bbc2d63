// Certificates of clients as a user has them: authorities and lists of revoked ones in a ConfigMap, changed under way.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect } from 'node:tls';
import { authority, type Leaf, leaf, pem, revocations, secretYaml } from '../../tools/certificates.ts';
import { backend, backendYaml, freePort, Rauta, READY_MS, routeYaml } from './support.ts';

const clients = authority('Clients');
const [good, bad] = [leaf(clients, ['good'], { client: true }), leaf(clients, ['bad'], { client: true })];

const indented = (text: string): string => text.trimEnd().replace(/^/gm, '    ');

function configMapYaml(crl: Uint8Array | null): string {
  const list = crl === null ? '' : `  ca.crl: |\n${indented(pem('X509 CRL', crl))}\n`;
  return `apiVersion: v1
kind: ConfigMap
metadata: { name: clients }
data:
  ca.crt: |
${indented(pem('CERTIFICATE', clients.der))}
${list}`;
}

function gatewayYaml(port: number): string {
  return `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: web }
spec:
  gatewayClassName: rauta
  tls:
    frontend:
      default:
        validation:
          caCertificateRefs: [{ group: "", kind: ConfigMap, name: clients }]
  listeners:
    - { name: https, port: ${port}, protocol: HTTPS, hostname: a.example, tls: { certificateRefs: [{ name: own }] } }
---
`;
}

/** What somebody gets who shows `own`: the status, or the alert's name. */
async function shows(port: number, own: Leaf): Promise<string> {
  const client = connect({
    ...{ host: '127.0.0.1', port, servername: 'a.example', rejectUnauthorized: false },
    ...{ cert: pem('CERTIFICATE', own.der), key: pem('PRIVATE KEY', own.keyDer) },
    // The client of TLS 1.3 learns of it behind its own handshake only.
    maxVersion: 'TLSv1.2',
  });
  try {
    await once(client, 'secureConnect');
    client.write('GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n');
    let text = '';
    for await (const chunk of client) text += chunk;
    return text.slice(9, 12);
  } catch (error) {
    client.destroy();
    return String((error as NodeJS.ErrnoException).code);
  }
}

test('a client whose certificate is on a list of revoked ones is refused from then on, and nobody else', async () => {
  const port = await freePort();
  const app = await backend('app');
  const rauta = await Rauta.start({
    'app.yaml': gatewayYaml(port) + routeYaml('app', '/', 'app') + backendYaml('app', app.port),
    'own.yaml': secretYaml('own', ['a.example']),
    'clients.yaml': configMapYaml(null),
  });
  assert.equal(await shows(port, good), '200');
  assert.equal(await shows(port, bad), '200');
  const REVOKED = 'ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_REVOKED';
  const change = (crl: Uint8Array | null): void =>
    writeFileSync(join(rauta.folder, 'clients.yaml'), configMapYaml(crl));
  const until = async (own: Leaf, expected: string): Promise<void> => {
    const late = performance.now() + READY_MS;
    for (let last = ''; last !== expected; ) {
      last = await shows(port, own);
      assert.ok(performance.now() < late, `still ${last}`);
    }
  };
  change(revocations(clients, [bad]));
  await until(bad, REVOKED);
  assert.equal(await shows(port, good), '200');
  // It counts no more once it is not on the list.
  change(revocations(clients, []));
  await until(bad, '200');
  // A list that is too old says nothing, and nobody is let in by it (RFC 5280 section 6.3.3).
  change(revocations(clients, [], Date.now() - 3_600_000));
  await until(good, 'ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_EXPIRED');
  change(null);
  await until(bad, '200');
  assert.equal(await rauta.stop(), 0);
});
