// How much content requests of an Ingress may have (proxy-body-size).

import type { Filter } from '../ir/ir.ts';
import { NGINX } from './ingress-nginx.ts';
import type { Annotations } from './ingress-read.ts';
import { shown } from './read.ts';

const SIZE = `${NGINX}proxy-body-size`;
/** As nginx writes sizes; what is meant by 8mb and 8Mi is plain. */
const SIZES = /^(\d{1,9})(?:([kmg])(?:i?b|i)?)?$/i;
const UNITS: Readonly<Record<string, number>> = { k: 1024, m: 1024 ** 2, g: 1024 ** 3 };

/** 0 is any, as nothing is: there is no limit that nobody asked for. */
export function contentLimitOf(read: Annotations): Filter[] {
  const value = read.text(SIZE);
  if (value === null) return [];
  const [whole, digits = '', unit = ''] = SIZES.exec(value.trim()) ?? [];
  if (whole === undefined) {
    read.wrong(SIZE, `${shown(value)} is not a size like 8m, 512k or 0 for any: content of any length passes.`);
    return [];
  }
  const bytes = Math.min(Number(digits) * (UNITS[unit.toLowerCase()] ?? 1), Number.MAX_SAFE_INTEGER);
  return bytes === 0 ? [] : [{ type: 'contentLimit', bytes }];
}
