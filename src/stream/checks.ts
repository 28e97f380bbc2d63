// What another process said, taken apart and checked: a message that is not of the protocol is a ProtocolError, whoever
// sent it, and nothing in a message that passed is larger or of another kind than its type says.

import { LIMITS } from '../base/limits.ts';
import { LEVELS, type Level } from '../base/log.ts';
import { decodeJson, isRevision } from './frames.ts';
import type { FromController, FromPredecessor, FromSuccessor, FromWorker, SocketWish } from './messages.ts';
import { ProtocolError } from './protocol-error.ts';

type Json = Record<string, unknown>;
type Check = (message: Json) => boolean;
/** Per type of message, what must hold of it. */
type Checks<M extends { readonly type: string }> = Readonly<Record<M['type'], Check>>;

function checked<M extends { readonly type: string }>(body: Buffer, checks: Checks<M>): M {
  const message = decodeJson(body);
  const { type } = message;
  if (typeof type !== 'string' || !Object.hasOwn(checks, type)) throw new ProtocolError('a message of an unknown type');
  if (!checks[type as M['type']](message)) throw new ProtocolError(`a message '${type}' that is not as it should be`);
  return message as unknown as M;
}

const nothing: Check = () => true;
/** The rest is read only when the version is ours. */
const version: Check = ({ protocol }) => typeof protocol === 'number';
const isText = (value: unknown): value is string =>
  typeof value === 'string' && value.length <= LIMITS.STREAM_TEXT_CHARACTERS;
const isPort = (value: unknown): boolean =>
  Number.isInteger(value) && (value as number) > 0 && (value as number) < 65536;
const reason: Check = (message) => isText(message['reason']);

const isWish = (value: unknown): value is SocketWish => {
  if (typeof value !== 'object' || value === null) return false;
  const { key, address, port, transport } = value as Json;
  return isText(key) && isText(address) && isPort(port) && (transport === 'tcp' || transport === 'udp');
};

const FROM_WORKER: Checks<FromWorker> = {
  hello: version,
  failed: reason,
  ack: ({ revision }) => isRevision(revision),
  nack: ({ revision, reason }) => isRevision(revision) && isText(reason),
  unsocketed: ({ key }) => isText(key),
  drained: nothing,
};

const FROM_CONTROLLER: Checks<FromController> = {
  hello: version,
  beat: nothing,
  sockets: ({ sockets }) => Array.isArray(sockets) && sockets.every(isWish),
  logLevel: ({ level }) => LEVELS.includes(level as Level),
  fatal: ({ code, message }) => Number.isInteger(code) && typeof message === 'string',
  reread: nothing,
  flushed: nothing,
};

const FROM_SUCCESSOR: Checks<FromSuccessor> = { take: nothing, ready: nothing };

const FROM_PREDECESSOR: Checks<FromPredecessor> = {
  inherit: ({ address, port, passed = '' }) => isText(address) && isPort(port) && isText(passed),
  inheritDatagrams: ({ address, port }) => isText(address) && isPort(port),
  inheritPorts: nothing,
  inherited: ({ watchdogUs = 0 }) => Number.isSafeInteger(watchdogUs) && (watchdogUs as number) >= 0,
  refused: reason,
  leaving: nothing,
};

export const fromWorker = (body: Buffer): FromWorker => checked<FromWorker>(body, FROM_WORKER);
export const fromController = (body: Buffer): FromController => checked<FromController>(body, FROM_CONTROLLER);
export const fromSuccessor = (body: Buffer): FromSuccessor => checked<FromSuccessor>(body, FROM_SUCCESSOR);
export const fromPredecessor = (body: Buffer): FromPredecessor => checked<FromPredecessor>(body, FROM_PREDECESSOR);
