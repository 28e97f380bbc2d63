// What a scan of an HTTPS listener finds, asked by the openssl program as testssl would: the table in
// docs/reference/tls-scan.md is held to it. And what is wrong with certificates, each by its name.

import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { authority, type Leaf, leaf, ocspResponse, pem } from '../../tools/certificates.ts';
import { backend, backendYaml, freePort, Rauta, routeYaml } from './support.ts';

const run = promisify(execFile);
const skip = spawnSync('openssl', ['version']).status === 0 ? false : 'no openssl program';
const PAGE = fileURLToPath(new URL('../../docs/reference/tls-scan.md', import.meta.url));
const DAY_MS = 86_400_000;

const root = authority('Root');
const middle = authority('Middle', root);
const indented = (text: string): string => text.trimEnd().replace(/^/gm, '    ');

interface Shown {
  readonly own: Leaf;
  readonly chain?: readonly Buffer[];
  readonly staple?: Buffer;
}

function secretYaml(name: string, { own, chain = [middle.der], staple }: Shown): string {
  const crt = [own.der, ...chain].map((der) => pem('CERTIFICATE', der)).join('');
  const data = staple === undefined ? '' : `data: { tls.ocsp-staple: ${staple.toString('base64')} }\n`;
  return `apiVersion: v1
kind: Secret
metadata: { name: ${name} }
type: kubernetes.io/tls
${data}stringData:
  tls.crt: |
${indented(crt)}
  tls.key: |
${indented(pem('PRIVATE KEY', own.keyDer))}
---
`;
}

const good = leaf(middle, ['good.example']);
const SECRETS: Readonly<Record<string, Shown>> = {
  good: { own: good, staple: ocspResponse(middle, good) },
  rsa: { own: leaf(middle, ['good.example'], { kind: 'rsa2048' }) },
  stale: { own: good, staple: ocspResponse(middle, good, { nextUpdate: Date.now() - DAY_MS }) },
  ahead: { own: good, staple: ocspResponse(middle, good, { thisUpdate: Date.now() + DAY_MS }) },
  foreign: { own: good, staple: ocspResponse(middle, leaf(middle, ['good.example'])) },
  garbage: { own: good, staple: Buffer.from('garbage') },
  expired: { own: leaf(middle, ['expired.example'], { notAfter: Date.now() - 3.5 * DAY_MS }) },
  early: { own: leaf(middle, ['early.example'], { notBefore: Date.now() + 2 * DAY_MS }) },
  named: { own: leaf(middle, ['somebody.example', '*.else.example']) },
  usage: { own: leaf(middle, ['usage.example'], { client: true }) },
  weak: { own: leaf(middle, ['weak.example'], { kind: 'rsa1024' }) },
  alone: { own: leaf(middle, ['alone.example']), chain: [] },
  disorder: { own: leaf(middle, ['disorder.example']), chain: [root.der] },
};
const LISTENERS: readonly (readonly [hostname: string, secrets: readonly string[], options?: string])[] = [
  ['good.example', ['good']],
  ['both.example', ['good', 'rsa']],
  ['new.example', ['good'], 'rauta.io/tls-min-version: "1.3"'],
  ...['stale', 'ahead', 'foreign', 'garbage', 'expired', 'early', 'named', 'usage', 'weak', 'alone', 'disorder'].map(
    (name) => [`${name}.example`, [name]] as const,
  ),
];

let rauta: Rauta;
let port = 0;
/** Where no name has to be given. */
let anyPort = 0;

before(async () => {
  if (skip !== false) return;
  port = await freePort();
  anyPort = await freePort();
  const app = await backend('app');
  const listeners = LISTENERS.map(([hostname, secrets, options = ''], i) => {
    const refs = secrets.map((name) => `{ name: ${name} }`).join(', ');
    const tls = `{ certificateRefs: [${refs}], options: { ${options} } }`;
    return `    - { name: l${i}, port: ${port}, protocol: HTTPS, hostname: ${hostname}, tls: ${tls} }\n`;
  });
  const gateway = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: web }
spec:
  gatewayClassName: rauta
  listeners:
${listeners.join('')}    - name: any
      port: ${anyPort}
      protocol: HTTPS
      tls: { certificateRefs: [{ name: good }, { name: rsa }] }
---
`;
  rauta = await Rauta.start({
    'app.yaml': gateway + routeYaml('app', '/', 'app') + backendYaml('app', app.port),
    'secrets.yaml': Object.entries(SECRETS)
      .map(([name, shown]) => secretYaml(name, shown))
      .join(''),
  });
});

/** What the openssl client says of a connection for `name`, on both of its outputs. */
async function ask(name: string, args: readonly string[], input = ''): Promise<string> {
  const argv = ['s_client', '-connect', `127.0.0.1:${port}`, '-servername', name, ...args];
  const asking = run('openssl', argv, { timeout: 60_000 });
  asking.child.stdin?.on('error', () => {});
  asking.child.stdin?.end(input);
  return asking.then(
    ({ stdout, stderr }) => stdout + stderr,
    (error: { stdout: string; stderr: string }) => error.stdout + error.stderr,
  );
}

async function accepted(name: string, args: readonly string[]): Promise<boolean> {
  return /Cipher is (?!\(NONE\))/.test(await ask(name, args));
}

const yes = (value: boolean): string => (value ? 'accepted' : 'refused');

function ciphers(list: string): readonly string[] {
  const { status, stdout } = spawnSync('openssl', ['ciphers', '-tls1_2', `${list}:@SECLEVEL=0`], { encoding: 'utf8' });
  return status === 0
    ? stdout
        .trim()
        .split(':')
        .filter((name) => !name.startsWith('TLS_'))
    : [];
}

/** `accepted` or `refused` of all suites that `list` names, of one listener with an ECDSA and an RSA certificate. */
async function suites(list: string): Promise<string | null> {
  const names = ciphers(list);
  if (names.length === 0) return null;
  const answers = await Promise.all(
    names.map((name) => accepted('both.example', ['-tls1_2', '-cipher', `${name}:@SECLEVEL=0`])),
  );
  return answers.every((one) => one === answers[0]) ? yes(answers[0] as boolean) : 'both';
}

/** The first that is answered to `bytes`; empty when the connection ends. */
async function raw(bytes: Uint8Array): Promise<Buffer> {
  const socket = connect(anyPort, '127.0.0.1');
  socket.write(bytes);
  const chunk = await Promise.race([
    once(socket, 'data').then(([first]) => first as Buffer),
    once(socket, 'close').then(() => Buffer.alloc(0)),
  ]);
  socket.destroy();
  return chunk;
}

const EXTENSIONS = [0, 18, 0, 13, 0, 6, 0, 4, 4, 3, 8, 4, 0, 10, 0, 4, 0, 2, 0, 23];

/**
 * A ClientHello with signature_algorithms and supported_groups for extensions, of SSL 3.0 (0) or TLS 1.2 (3), with
 * suites by number.
 */
function oldHello(minor: number, suites: readonly number[]): Buffer {
  const list = suites.flatMap((suite) => [suite >> 8, suite & 255]);
  const body = [3, minor, ...new Array(32).fill(1), 0, 0, list.length, ...list, 1, 0, ...EXTENSIONS];
  return Buffer.from([22, 3, 0, 0, body.length + 4, 1, 0, 0, body.length, ...body]);
}
/** Of TLS_RSA: 3DES, RC4 with SHA and MD5, IDEA, SEED, DES, DES40 for export; of TLS_ECDHE: 3DES and RC4. */
const BROKEN = [0x000a, 0x0005, 0x0004, 0x0007, 0x0096, 0x0009, 0x0008, 0xc012, 0xc008, 0xc011, 0xc007];
/** ECDHE with ECDSA and AES-GCM: what the server would take. */
const FINE = [0xc02b, 0xc02f];
const SSL2 = Buffer.from([0x80, 46, 1, 0, 2, 0, 21, 0, 0, 0, 16, ...new Array(37).fill(1)]);
const AEAD = 'ECDHE+AESGCM:ECDHE+CHACHA20';
const SCANS: Readonly<Record<string, () => Promise<string | null>>> = {
  'SSL 2.0': async () => yes(!/^HTTP\/1\.1 400/.test((await raw(SSL2)).toString('latin1'))),
  'SSL 3.0': async () => yes((await raw(oldHello(0, [...BROKEN, ...FINE])))[0] === 22),
  'TLS 1.0': async () => yes(await accepted('both.example', ['-tls1', '-cipher', 'ALL:@SECLEVEL=0'])),
  'TLS 1.1': async () => yes(await accepted('both.example', ['-tls1_1', '-cipher', 'ALL:@SECLEVEL=0'])),
  'TLS 1.2': async () => yes(await accepted('both.example', ['-tls1_2'])),
  'TLS 1.3': async () => yes(await accepted('both.example', ['-tls1_3'])),
  'TLS 1.2 where `rauta.io/tls-min-version` is 1.3': async () => yes(await accepted('new.example', ['-tls1_2'])),
  'TLS 1.3: AES-GCM and ChaCha20-Poly1305': async () => {
    const names = ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'];
    const all = names.map((one) => accepted('both.example', ['-tls1_3', '-ciphersuites', one]));
    return yes((await Promise.all(all)).every(Boolean));
  },
  'TLS 1.3: CCM': async () =>
    yes(await accepted('both.example', ['-tls1_3', '-ciphersuites', 'TLS_AES_128_CCM_SHA256'])),
  'TLS 1.2: ECDHE with AES-GCM or ChaCha20-Poly1305': () => suites(AEAD),
  'TLS 1.2: no encryption (NULL)': () => suites('eNULL'),
  'TLS 1.2: no authentication (anonymous DH)': () => suites('aNULL'),
  'TLS 1.2: 3DES, RC4, IDEA, SEED, DES, export': async () => {
    assert.equal((await raw(oldHello(3, FINE)))[0], 22, 'what is asked so would be answered');
    return yes((await raw(oldHello(3, BROKEN)))[0] === 22);
  },
  'TLS 1.2: CBC': () => suites('ECDHE+AES+SHA:ECDHE+AES+SHA256:ECDHE+AES+SHA384:ECDHE+CAMELLIA'),
  'TLS 1.2: CCM, ARIA': () => suites('ECDHE+AESCCM:ECDHE+ARIAGCM'),
  'TLS 1.2: key exchange by RSA': () => suites('kRSA+AES'),
  'TLS 1.2: key exchange by DH without elliptic curves': () => suites('kDHE'),
  'TLS 1.2: PSK, SRP': () => suites('PSK:SRP'),
  'Order of preference': async () => {
    const reversed = ciphers(AEAD).toReversed().join(':');
    const said = await ask('good.example', ['-tls1_2', '-cipher', reversed]);
    return said.includes('Cipher is ECDHE-ECDSA-AES128-GCM-SHA256') ? "the server's" : "the client's";
  },
  'Groups X25519, P-256, P-384, P-521': async () => {
    const names = ['X25519', 'P-256', 'P-384', 'P-521'];
    const all = names.map((one) => accepted('both.example', ['-tls1_3', '-groups', one]));
    return yes((await Promise.all(all)).every(Boolean));
  },
  'Certificate for a client that checks ECDSA and RSA': async () => keyOf(await ask('both.example', ['-showcerts'])),
  'Certificate for a client that checks RSA alone, TLS 1.3': async () =>
    keyOf(await ask('both.example', ['-tls1_3', '-sigalgs', 'rsa_pss_rsae_sha256'])),
  'Certificate for a client that checks RSA alone, TLS 1.2': async () =>
    keyOf(await ask('both.example', ['-tls1_2', '-sigalgs', 'RSA+SHA256'])),
  Compression: async () => (/Compression: NONE/.test(await ask('good.example', ['-tls1_2', '-comp'])) ? 'off' : 'on'),
  'Secure renegotiation (RFC 5746)': async () =>
    /Secure Renegotiation IS supported/.test(await ask('good.example', ['-tls1_2'])) ? 'supported' : 'not supported',
  'Renegotiation asked for by the client': async () => {
    const said = await ask('good.example', ['-tls1_2', '-legacy_renegotiation'], 'R\n');
    return /RENEGOTIATING[\s\S]*no renegotiation/.test(said) ? 'refused' : 'accepted';
  },
  'Extended master secret (RFC 7627)': async () =>
    /Extended master secret: yes/.test(await ask('good.example', ['-tls1_2'])) ? 'used' : 'not used',
  'Session tickets, TLS 1.2': async () =>
    /TLS session ticket lifetime hint/.test(await ask('good.example', ['-tls1_2'])) ? 'given' : 'not given',
  'Session identifiers kept by the server, TLS 1.2': async () =>
    /Session-ID: [0-9A-F]/.test(await ask('good.example', ['-tls1_2', '-no_ticket'])) ? 'yes' : 'no',
  'Early data, TLS 1.3': async () =>
    /Max Early Data: [1-9]/.test(await ask('good.example', ['-tls1_3'])) ? 'accepted' : 'refused',
  'ALPN without a common protocol': async () => {
    const said = await ask('good.example', ['-alpn', 'h3']);
    return /alert number 120/.test(said) ? 'alert 120' : 'accepted';
  },
  'A name that nobody serves': async () =>
    /alert number 112/.test(await ask('nobody.example', [])) ? 'alert 112' : 'accepted',
  'OCSP response, good': () => stapled('good.example'),
  'OCSP response past its nextUpdate': () => stapled('stale.example'),
  'OCSP response before its thisUpdate': () => stapled('ahead.example'),
  'OCSP response for another certificate': () => stapled('foreign.example'),
  'OCSP response that is none': () => stapled('garbage.example'),
};

function keyOf(said: string): string {
  return /Peer signature type: ECDSA/.test(said) ? 'ECDSA' : /Peer signature type: RSA/.test(said) ? 'RSA' : 'none';
}

async function stapled(name: string): Promise<string> {
  const said = await ask(name, ['-status']);
  assert.match(said, /Cipher is (?!\(NONE\))/, name);
  return /OCSP Response Status: successful[\s\S]*Cert Status: good/.test(said) ? 'sent' : 'not sent';
}

test('what is accepted and what is refused is what the page says', { skip }, async () => {
  const rows = new Map(
    [...readFileSync(PAGE, 'utf8').matchAll(/^\| (.+?) \| (.+?) \|$/gm)].map((m) => [m[1] as string, m[2] as string]),
  );
  for (const head of ['asked', '---']) rows.delete(head);
  assert.deepEqual([...rows.keys()], Object.keys(SCANS));
  const found = new Map<string, string>();
  for (const [name, scan] of Object.entries(SCANS)) {
    // Null: the openssl program of this machine cannot ask.
    found.set(name, (await scan()) ?? (rows.get(name) as string));
  }
  assert.deepEqual(Object.fromEntries(found), Object.fromEntries(rows));
});

test('what is wrong with a certificate is named', { skip }, async () => {
  const { body } = await rauta.ask('/config/problems');
  const messages = (JSON.parse(body) as { message: string }[]).map(({ message }) => message).join('\n');
  for (const wanted of [
    /The certificate expired 3 days ago, on .*: clients refuse it/,
    /The certificate is not valid before .*: clients refuse it/,
    /No certificate is for named\.example, they name somebody\.example, \*\.else\.example: clients will refuse it/,
    /Secret default\/usage: The certificate is not for servers/,
    /Secret default\/weak: tls\.crt: an RSA key of 1024 bits is too weak/,
    /Secret default\/alone: tls\.crt holds the certificate alone/,
    /Secret default\/disorder: Certificate 2 in tls\.crt did not issue certificate 1/,
    /Secret default\/foreign: tls\.ocsp-staple is for another certificate; it is not shown/,
    /Secret default\/garbage: tls\.ocsp-staple is no OCSP response; it is not shown/,
    /The OCSP response ended on .*: none is shown/,
    /The OCSP response holds from .* on: none is shown before/,
  ]) {
    assert.match(messages, wanted);
  }
  assert.match(await ask('weak.example', []), /alert number 112/, 'what cannot be shown is not served');
  assert.equal(await rauta.metric('rauta_tls_ocsp{state="good"}'), 1);
  assert.equal(await rauta.metric('rauta_tls_ocsp{state="expired"}'), 1);
  assert.equal(await rauta.metric('rauta_tls_ocsp{state="not_yet_valid"}'), 1);
  assert.equal(await rauta.stop(), 0);
});
