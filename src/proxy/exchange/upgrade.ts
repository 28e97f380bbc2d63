// Which protocols a 101 switches to: only such as were asked for (RFC 9110 section 7.8). Who speaks another one then
// would be understood by nobody, or by somebody who was never meant.

import { type Head, NAME } from '../head.ts';
import type { PreparedRequest } from './sides.ts';

/** Whether all protocols that `head` (101) names are among those that `request` asks for, and there are any. */
export function switchesAsAsked(mem: Uint8Array, head: Head, request: PreparedRequest): boolean {
  const asked = new Set(namesIn(mem, request.upgradeStart, request.upgradeEnd));
  const names: string[] = [];
  for (let k = 0; k < head.count; k++) {
    if (head.name(k) === NAME.UPGRADE) names.push(...namesIn(mem, head.valueStart(k), head.valueEnd(k)));
  }
  return names.length > 0 && names.every((name) => asked.has(name));
}

/** Names of a list of protocols, without their versions, which a server may leave out; their case says nothing. */
function namesIn(mem: Uint8Array, start: number, end: number): string[] {
  const text = Buffer.from(mem.buffer, mem.byteOffset + start, end - start).toString('latin1');
  const elements = text.toLowerCase().split(',');
  return elements.map((one) => (one.split('/', 1)[0] as string).trim()).filter((name) => name !== '');
}
