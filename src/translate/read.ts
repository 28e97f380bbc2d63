// Reads fields of objects of unknown shape: what is missing or of the wrong type reads as absent, so that no object,
// however mangled, can make the translator throw. (Sources validate first; this is the second line.)

import { isIP } from 'node:net';

/** A list, or an empty one. */
export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
/** A non-empty text, or undefined. */
export function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
/** A text, empty or not, or undefined. */
export function anyText(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
/** An integer in [min, max], or undefined. */
export function integer(value: unknown, min: number, max: number): number | undefined {
  return typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max ? value : undefined;
}
export function port(value: unknown): number | undefined {
  return integer(value, 1, 65_535);
}
/** An IP literal; one with a zone (fe80::1%eth0) means something on one machine only and does not count. */
export function isAddress(value: string): boolean {
  return isIP(value) !== 0 && !value.includes('%');
}
/** A value as it is shown in a message: short, on one line. */
export function shown(value: unknown): string {
  const json = value === undefined ? 'nothing' : JSON.stringify(value);
  return json.length > 80 ? `${json.slice(0, 77)}...` : json;
}
