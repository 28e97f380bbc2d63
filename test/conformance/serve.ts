// The implementation as the suite's runner starts it inside the cluster: not as the administrator whom KUBECONFIG
// names, but as the service account of deploy/base/rbac.yaml, with a token of its own and exactly these rights.

import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fields } from '../../src/base/fields.ts';
import { Client } from '../../src/source/kubernetes/client.ts';
import { Credentials } from '../../src/source/kubernetes/credentials.ts';
import { type Access, findAccess, type Material } from '../../src/source/kubernetes/kubeconfig.ts';
import { Transport } from '../../src/source/kubernetes/transport.ts';
import { SYSTEM_TIMERS } from '../../src/source/timers.ts';

const RAUTA = fileURLToPath(new URL('../../bin/rauta', import.meta.url));
const NAMESPACE = 'rauta-system';
/** Whose rights it has. */
const ACCOUNT = process.env['RAUTA_ACCOUNT'] ?? 'rauta';
const VALID_SECONDS = 7_200;

const read = (path: string): string => readFileSync(path, 'utf8');
const now = (): number => performance.now();

async function tokenOf(access: Access): Promise<string> {
  const credentials = new Credentials(access, { read, run: () => Promise.reject(new Error('none')), now, wall: now });
  const options = { userAgent: 'rauta-conformance', qps: 10, burst: 10, now, timers: SYSTEM_TIMERS };
  const client = new Client(new Transport(access), credentials, options);
  const reply = await client.ask({
    verb: 'create',
    kind: 'TokenRequest',
    path: `/api/v1/namespaces/${NAMESPACE}/serviceaccounts/${ACCOUNT}/token`,
    body: {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { expirationSeconds: VALID_SECONDS },
    },
  });
  await client.stop();
  if (!reply.ok) throw new Error(`no token for ${NAMESPACE}/${ACCOUNT}: ${reply.failure.reason}: ${reply.failure.message}`);
  return String(fields(fields(reply.body)['status'])['token']);
}

function textOf(material: Material | null): string {
  return material === null ? '' : 'text' in material ? material.text : read(material.file);
}

const access = findAccess({ kubeconfig: null, context: null }, process.env, read);
const folder = mkdtempSync(join(tmpdir(), 'rauta-conformance-'));
const config = join(folder, 'kubeconfig');
writeFileSync(
  config,
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'here',
    clusters: [
      {
        name: 'here',
        cluster: {
          server: access.server,
          'certificate-authority-data': Buffer.from(textOf(access.ca)).toString('base64'),
        },
      },
    ],
    users: [{ name: ACCOUNT, user: { token: await tokenOf(access) } }],
    contexts: [{ name: 'here', context: { cluster: 'here', user: ACCOUNT, namespace: NAMESPACE } }],
  }),
);
const child = spawn(RAUTA, ['serve', '--kubernetes', '--kubeconfig', config, ...process.argv.slice(2)], {
  stdio: 'inherit',
});
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => {
  rmSync(folder, { recursive: true, force: true });
  process.exitCode = code ?? (signal === null ? 1 : 0);
});
