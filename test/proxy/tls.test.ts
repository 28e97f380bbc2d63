// TLS with clients: names, certificates, refusals, replacement.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import type { Readable } from 'node:stream';
import type { TrustEntry } from '../../src/ir/ir.ts';
import { handshakeCell, tlsRefusalCell } from '../../src/telemetry/layout.ts';
import { type Authority, authority, type Leaf, leaf, pem } from '../../tools/certificates.ts';
import { nativeOnly } from '../support/net.ts';
import { certificate, certificates, ENTRIES, HOSTS, middle, refusal, root, socket, TlsRig, tls } from './tls-rig.ts';

nativeOnly('a request over TLS: the certificate of its name, the backend told so, the log too', async (net) => {
  const rig = new TlsRig(net);
  const answer = await rig.ask('a.example', { ALPNProtocols: ['http/1.1'], body: 'x'.repeat(100_000) });
  assert.deepEqual(answer, {
    protocol: 'TLSv1.3',
    alpn: 'http/1.1',
    subject: 'a.example',
    status: 200,
    body: 'https 100000',
  });
  assert.equal((await rig.ask('shop.wild.example')).subject, '*.wild.example');
  assert.match(rig.records.last.connection, /"tls":"TLSv1.3","cipher":"TLS_AES_\w+","sni":"shop.wild.example"/);
  assert.match(rig.records.last.listener, /https-\*\.wild\.example/);
  assert.equal(rig.get(handshakeCell('downstream', true, false)), 2);
  await rig.end();
});

nativeOnly('TLS 1.2 clients, with ECDSA or with RSA, each gets a certificate it can check', async (net) => {
  const rig = new TlsRig(net);
  for (const [options, key] of [
    [{}, 'EC'],
    [{ sigalgs: 'RSA-PSS+SHA256:RSA+SHA256' }, 'RSA'],
  ] as const) {
    const client = rig.client('a.example', { maxVersion: 'TLSv1.2', ...options });
    await once(client, 'secureConnect');
    assert.equal(client.getProtocol(), 'TLSv1.2');
    assert.equal(client.getPeerX509Certificate()?.publicKey.asymmetricKeyType, key.toLowerCase());
    client.destroy();
  }
  assert.equal(rig.get(handshakeCell('downstream', false, false)), 2);
  await rig.end();
});

nativeOnly(
  'of several certificates each client gets one for the name it asks for, of a kind it can check',
  async (net) => {
    const own = {
      a: certificates.a,
      rsa: certificates.rsa,
      b: leaf(middle, ['b.example', 'both.example']),
      brsa: leaf(middle, ['b.example', 'both.example'], { kind: 'rsa2048' }),
      wild: certificates.wild,
      one: leaf(middle, ['one.wild.example'], { kind: 'rsa2048' }),
      later: leaf(middle, ['both.example', 'later.example']),
      p384: leaf(middle, ['b.example'], { kind: 'p384' }),
    };
    const entries = Object.entries(own).map(([name, one]) => certificate(name, one));
    const rig = new TlsRig(net, [...entries, socket({ '*': tls(Object.keys(own)) })]);
    const RSA = { sigalgs: 'RSA-PSS+SHA256:RSA+SHA256' };
    for (const [servername, wanted, wantedRsa] of [
      ['a.example', 'a', 'rsa'],
      ['b.example', 'b', 'brsa'],
      ['both.example', 'b', 'brsa'],
      ['later.example', 'later', null],
      ['x.wild.example', 'wild', null],
      ['x.y.wild.example', 'a', 'rsa'],
      ['unknown.example', 'a', 'rsa'],
      ['', 'a', 'rsa'],
    ] as const) {
      for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
        for (const [options, name] of [
          [{}, wanted],
          [RSA, wantedRsa],
        ] as const) {
          if (name === null) continue;
          const client = rig.client(servername, { maxVersion, ...options });
          await once(client, 'secureConnect');
          const shown = client.getPeerX509Certificate()?.raw as Buffer;
          const which = Object.entries(own).find(([, one]) => one.der.equals(shown))?.[0];
          assert.equal(which, name, `${servername} ${maxVersion} ${JSON.stringify(options)}`);
          client.destroy();
        }
      }
    }
    // The name itself rather than a wildcard, where the client can check it.
    const client = rig.client('one.wild.example');
    await once(client, 'secureConnect');
    assert.deepEqual(client.getPeerX509Certificate()?.raw, own.one.der);
    client.destroy();
    // Another certificate under the same key is for other names.
    rig.apply({ upserts: [certificate('later', leaf(middle, ['x.y.wild.example']))], removals: [] });
    assert.equal((await rig.ask('x.y.wild.example')).subject, 'x.y.wild.example');
    assert.equal((await rig.ask('later.example')).subject, 'a.example');
    await rig.end();
  },
);

nativeOnly('a key for RSA-PSS alone is served, in both versions', async (net) => {
  const own = leaf(middle, ['a.example'], { kind: 'rsa-pss' });
  const rig = new TlsRig(net, [certificate('pss', own), socket({ 'a.example': tls(['pss']) })]);
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    const { status, protocol, subject } = await rig.ask('a.example', { maxVersion });
    assert.deepEqual([status, protocol, subject], [200, maxVersion, 'a.example']);
  }
  // Who checks signatures of RSA keys of the common kind only, as BoringSSL does, finds nothing to agree on.
  assert.match(await refusal(rig.client('a.example', { sigalgs: 'rsa_pss_rsae_sha256:RSA+SHA256' })), /handshake/);
  await rig.end();
});

nativeOnly('a name that nobody serves, no name, no common protocol, plain HTTP: each told in its way', async (net) => {
  const rig = new TlsRig(net);
  assert.match(await refusal(rig.client('other.example')), /unrecognized name/);
  assert.match(await refusal(rig.client('')), /unrecognized name/);
  assert.match(await refusal(rig.client('wild.example')), /unrecognized name/);
  // What no host is called is no name of one that a wildcard stands for.
  for (const name of ['*.wild.example', '[::1]', 'a.wild.example:443']) {
    assert.match(await refusal(rig.client(name)), /unrecognized name/, name);
  }
  assert.match(await refusal(rig.client('a.example', { ALPNProtocols: ['h3'] })), /no application protocol/);
  const plain = connectTcp(rig.address.port, '127.0.0.1');
  plain.write('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n');
  let text = '';
  for await (const chunk of plain) text += chunk;
  assert.match(text, /^HTTP\/1\.1 400 Bad Request\r\n[\s\S]*this port speaks TLS\n$/);
  // A record of TLS, but not the one that comes first: ChangeCipherSpec, an alert, data, a heartbeat.
  for (const type of [20, 21, 23, 24]) {
    const early = connectTcp(rig.address.port, '127.0.0.1');
    early.write(Buffer.from([type, 3, 3, 0, 2, 1, 0]));
    const parts: Buffer[] = [];
    for await (const chunk of early) parts.push(chunk as Buffer);
    assert.deepEqual([...Buffer.concat(parts)], [21, 3, 1, 0, 2, 2, 10], String(type));
  }
  assert.equal(rig.get(tlsRefusalCell('bad_hello')), 4);
  assert.equal(rig.get(tlsRefusalCell('no_name')), 6);
  assert.equal(rig.get(tlsRefusalCell('no_protocol')), 1);
  assert.equal(rig.get(tlsRefusalCell('not_tls')), 1);
  assert.equal((await rig.ask('a.example')).status, 200, 'and nobody else is harmed');
  await rig.end();
});

nativeOnly(
  'who names no host gets the default certificate, and the host of the request decides; not where clients must show one',
  async (net) => {
    const strict = tls(['any'], { clients: { trust: 'trust/default/clients', mode: 'AllowValidOnly', forward: [] } });
    const trust: TrustEntry = {
      kind: 'trust',
      key: 'trust/default/clients',
      authorities: [root.der.toString('base64')],
      revoked: [],
    };
    const hosts = { ...HOSTS, 'strict.example': strict };
    const any = certificate('any', certificates.any);
    const rig = new TlsRig(net, [...ENTRIES.slice(0, 3), any, trust, socket(hosts, tls(['any']))]);
    for (const name of ['', 'unknown.example', '*', '*.wild.example', '[::1]']) {
      const answer = await rig.ask(name, { host: 'a.example' });
      assert.equal(answer.status, 200, name);
      assert.equal(answer.subject, 'any.example');
      assert.equal((await rig.ask(name, { host: 'x.wild.example' })).status, 200);
      assert.equal((await rig.ask(name, { host: 'nobody.example' })).status, 404);
      assert.equal((await rig.ask(name, { host: 'strict.example' })).status, 421, 'nobody asked for a certificate');
    }
    assert.equal((await rig.ask('a.example')).subject, 'a.example');
    await rig.end();
  },
);

nativeOnly('a connection is good for its own listener only: another host is misdirected', async (net) => {
  const rig = new TlsRig(net);
  assert.equal((await rig.ask('x.wild.example', { host: 'y.wild.example' })).status, 200, 'the same listener');
  assert.equal((await rig.ask('x.wild.example', { host: 'a.example' })).status, 421);
  assert.equal((await rig.ask('a.example', { host: 'x.wild.example' })).status, 421);
  await rig.end();
});

nativeOnly('a replaced certificate is shown by the next handshake; connections that stand go on', async (net) => {
  const rig = new TlsRig(net);
  const kept = rig.client('a.example');
  await once(kept, 'secureConnect');
  const other = leaf(middle, ['a.example', 'new.example']);
  rig.apply({ upserts: [certificate('a', other)], removals: [] });
  const fresh = rig.client('a.example');
  await once(fresh, 'secureConnect');
  assert.match(fresh.getPeerCertificate().subjectaltname ?? '', /new\.example/);
  for (const client of [kept, fresh]) {
    client.write('GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n');
    const [chunk] = (await once(client, 'data')) as [Buffer];
    assert.match(chunk.toString(), /^HTTP\/1\.1 200/);
    client.destroy();
  }
  await rig.end();
});

nativeOnly('client certificates: required, and let through where that is wished', async (net) => {
  const clients = authority('Clients');
  const good = leaf(clients, [], { client: true });
  const foreign = leaf(authority('Others'), [], { client: true });
  const trust: TrustEntry = {
    kind: 'trust',
    key: 'trust/default/clients',
    authorities: [clients.der.toString('base64')],
    revoked: [],
  };
  const shown = (own: Leaf): { cert: string; key: string } => ({
    cert: pem('CERTIFICATE', own.der),
    key: pem('PRIVATE KEY', own.keyDer),
  });
  for (const mode of ['AllowValidOnly', 'AllowInsecureFallback'] as const) {
    const hosts = { 'a.example': tls(['a'], { clients: { trust: trust.key, mode, forward: [] } }) };
    const rig = new TlsRig(net, [trust, certificate('a', certificates.a), socket(hosts)]);
    assert.equal((await rig.ask('a.example', shown(good))).status, 200);
    assert.match(rig.records.last.connection, /"client_cert_sha256":"[0-9a-f]{64}"/);
    for (const options of [{}, shown(foreign)]) {
      if (mode === 'AllowInsecureFallback') assert.equal((await rig.ask('a.example', options)).status, 200);
      else await assert.rejects(rig.ask('a.example', options), /certificate required|unknown ca|alert|ECONNRESET/);
    }
    if (mode === 'AllowValidOnly') assert.equal(rig.get(tlsRefusalCell('client_certificate')), 2);
    await rig.end();
  }
});

nativeOnly(
  'who must show a certificate is told of which authorities; not of very many, nor where none is needed',
  async (net) => {
    const several = ['One', 'Two'].map((name) => authority(name));
    const many = Array.from({ length: 300 }, (_, i) => authority(`Authority with a name of its own, number ${i}`));
    const good = leaf(several[1] as Authority, [], { client: true });
    for (const [mode, authorities, told] of [
      ['AllowValidOnly', several, 'CN = One|CN = Two'],
      ['AllowValidOnly', [...several, ...many], ''],
      ['AllowInsecureFallback', several, ''],
    ] as const) {
      const trust: TrustEntry = {
        kind: 'trust',
        key: 'trust/default/clients',
        authorities: authorities.map(({ der }) => der.toString('base64')),
        revoked: [],
      };
      const hosts = { 'a.example': tls(['a'], { clients: { trust: trust.key, mode, forward: [] } }) };
      const rig = new TlsRig(net, [trust, certificate('a', certificates.a), socket(hosts)]);
      for (const version of ['-tls1_2', '-tls1_3']) {
        const asked = ['s_client', '-connect', `127.0.0.1:${rig.address.port}`, '-servername', 'a.example', version];
        const client = execFile('openssl', asked);
        client.stdin?.end();
        let said = '';
        for await (const part of client.stdout as Readable) said += part;
        const names = /Acceptable client certificate CA names\n((?:CN.*\n)*)/.exec(said)?.[1] ?? '';
        assert.equal(names.trim().replaceAll('\n', '|'), told, `${mode} ${version}`);
      }
      const shown = { cert: pem('CERTIFICATE', good.der), key: pem('PRIVATE KEY', good.keyDer) };
      assert.equal((await rig.ask('a.example', shown)).status, 200);
      await rig.end();
    }
  },
);

nativeOnly('a client whose certificate is as long as a handshake may be is let in, in several turns', async (net) => {
  const clients = authority('Clients');
  const long = leaf(clients, [], { client: true, extensions: [['1.2.3.4', false, Buffer.alloc(90_000, 5)]] });
  const trust: TrustEntry = {
    kind: 'trust',
    key: 'trust/default/clients',
    authorities: [clients.der.toString('base64')],
    revoked: [],
  };
  const hosts = { 'a.example': tls(['a'], { clients: { trust: trust.key, mode: 'AllowValidOnly', forward: [] } }) };
  const rig = new TlsRig(net, [trust, certificate('a', certificates.a), socket(hosts)]);
  const shown = { cert: pem('CERTIFICATE', long.der), key: pem('PRIVATE KEY', long.keyDer) };
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    assert.equal((await rig.ask('a.example', { ...shown, maxVersion })).status, 200);
  }
  await rig.end();
});

nativeOnly('a revision whose certificate or settings cannot be used is refused whole', async (net) => {
  const rig = new TlsRig(net);
  const broken = { ...certificate('a', certificates.a), chain: [certificates.a.der.toString('base64'), 'AAAA'] };
  const wrong = socket({ ...HOSTS, 'b.example': tls(['a'], { ciphers: ['NO-SUCH'] }) });
  for (const entry of [broken, wrong]) {
    assert.throws(
      () => rig.apply({ upserts: [certificate('wild', certificates.any), entry], removals: [] }),
      /certificate|ciphers/,
    );
    assert.equal((await rig.ask('x.wild.example')).subject, '*.wild.example', 'what came with it neither');
    assert.equal((await rig.ask('a.example')).status, 200);
  }
  await rig.end();
});

nativeOnly('a ClientHello that comes in pieces, and one that stops', async (net) => {
  const rig = new TlsRig(net);
  const half = connectTcp(rig.address.port, '127.0.0.1');
  half.write(Buffer.from([22, 3, 1, 1, 0, 1]));
  assert.equal((await rig.ask('a.example')).status, 200);
  half.end();
  await once(half, 'close');
  await rig.end();
});
