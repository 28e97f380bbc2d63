// Values and names of fields as messages say them.

/** The kind of a JSON value in words. */
export function typeOf(value: unknown): string {
  if (value === null || value === undefined) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  if (typeof value === 'number') return 'a number';
  return typeof value === 'boolean' ? 'a boolean' : 'text';
}

/** The path of a field: `spec.rules`, or in brackets when its name is not a plain word: `data[tls.crt]`. */
export function at(path: string, name: string): string {
  // No key that Kubernetes knows is longer than 253 + 1 + 63 characters; a longer one is shown by its beginning.
  if (name.length > 320) return at(path, `${name.slice(0, 317)}...`);
  if (!/^[\w-]+$/.test(name)) return `${path}[${name}]`;
  return path === '' ? name : `${path}.${name}`;
}

/** Sets a field whose name comes from outside: `__proto__` is a name like any other. */
export function setField(target: Record<string, unknown>, name: string, value: unknown): void {
  if (name === '__proto__') {
    Object.defineProperty(target, name, { value, enumerable: true, configurable: true, writable: true });
  } else target[name] = value;
}
