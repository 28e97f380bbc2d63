// Peers that speak in datagrams, on loopback and on the simulation.

import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import type { IpAddress } from '../../src/io/io.ts';
import type { SimDatagramSocket } from '../../src/sim/datagrams.ts';
import { NativeNet } from './native-net.ts';
import type { TestNet } from './net.ts';

const ROUNDS = 400;

export interface Heard {
  readonly text: string;
  readonly from: IpAddress;
}

export interface UdpPeer {
  readonly address: IpAddress;
  /** In the order in which it came. */
  readonly heard: Heard[];
  send(text: string, to: IpAddress): void;
  close(): void;
}

/** `onHeard`: answers, say. `at`: its own address. */
export async function udpPeer(
  net: TestNet,
  onHeard: (heard: Heard, peer: UdpPeer) => void = () => {},
  at = '127.0.0.1',
  port = 0,
): Promise<UdpPeer> {
  const family = at.includes(':') ? 'ipv6' : 'ipv4';
  const wanted: IpAddress = { family, address: at, port };
  return net.sim === null ? real(wanted, onHeard) : simulated(net.sim.network.datagrams.bind(wanted), onHeard);
}

async function real(wanted: IpAddress, onHeard: (heard: Heard, peer: UdpPeer) => void): Promise<UdpPeer> {
  const socket = createSocket(wanted.family === 'ipv4' ? 'udp4' : 'udp6');
  socket.bind(wanted.port, wanted.address);
  await once(socket, 'listening');
  // A test that failed leaves it open.
  socket.unref();
  socket.on('error', () => {});
  let open = true;
  const peer: UdpPeer = {
    address: { ...wanted, port: socket.address().port },
    heard: [],
    send(text, to) {
      if (open) socket.send(text, to.port, to.address);
    },
    close() {
      if (open) socket.close();
      open = false;
    },
  };
  socket.on('message', (bytes, { address, port }) => {
    const heard: Heard = { text: bytes.toString('latin1'), from: { family: wanted.family, address, port } };
    peer.heard.push(heard);
    onHeard(heard, peer);
  });
  return peer;
}

function simulated(socket: SimDatagramSocket, onHeard: (heard: Heard, peer: UdpPeer) => void): UdpPeer {
  const peer: UdpPeer = {
    address: socket.local,
    heard: [],
    send(text, to) {
      socket.send(to, Buffer.from(text, 'latin1'));
    },
    close() {
      socket.close();
    },
  };
  socket.onEdge = () => {
    const taken = socket.take();
    if (typeof taken === 'number') return;
    const heard: Heard = { text: Buffer.from(taken.bytes).toString('latin1'), from: taken.from };
    peer.heard.push(heard);
    onHeard(heard, peer);
  };
  return peer;
}

/** A backend that puts its name before what it heard. */
export function echo(net: TestNet, name: string, port = 0): Promise<UdpPeer> {
  return udpPeer(net, ({ text, from }, peer) => peer.send(`${name}:${text}`, from), '127.0.0.1', port);
}

/** A bound socket for the proxy. */
export function udpSocket(net: TestNet, address = '127.0.0.1'): { handle: number; address: IpAddress } {
  const wanted: IpAddress = { family: address.includes(':') ? 'ipv6' : 'ipv4', address, port: 0 };
  const { sim } = net;
  if (sim !== null) {
    const handle = sim.datagrams.bind(wanted);
    return { handle, address: sim.localAddress(handle) as IpAddress };
  }
  assert.ok(net instanceof NativeNet);
  const handle = net.io.datagrams.bind(wanted, { first: true });
  assert.ok(handle >= 0);
  return { handle, address: net.io.localAddress(handle) as IpAddress };
}

/** Time passes, a little, until it is so. */
export async function until(net: TestNet, what: string, isSo: () => boolean): Promise<void> {
  for (let i = 0; i < ROUNDS; i++) {
    if (isSo()) return;
    await net.settle();
  }
  assert.fail(`never: ${what}`);
}
