// The compact form of a structural schema: what an API server enforces of a kind, without prose.

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

export interface Shape {
  /** `map`: an object with free keys; `intOrString`: Kubernetes' IntOrString; `free`: anything, kept as it is. */
  readonly type: 'object' | 'map' | 'array' | 'string' | 'integer' | 'number' | 'boolean' | 'intOrString' | 'free';
  /** Of an object: its known fields. Unknown ones are pruned with a warning. */
  readonly fields?: Readonly<Record<string, Shape>>;
  readonly required?: readonly string[];
  /** Of a map: its values. */
  readonly values?: Shape;
  /** Of an array: its items. */
  readonly items?: Shape;
  /** Of an array that is a map in disguise (`x-kubernetes-list-type: map`): the fields that identify an item. */
  readonly keys?: readonly string[];
  /** Of an array: no item may stand there twice (`x-kubernetes-list-type: set`). */
  readonly set?: true;
  /** Bounds of a number, of a string's length in characters, of the count of items or of properties; inclusive. */
  readonly min?: number;
  readonly max?: number;
  /** RE2 syntax, not anchored. */
  readonly pattern?: string;
  readonly format?: Format;
  readonly enum?: readonly (string | number)[];
  readonly default?: Json;
  /** null is a value of this field. Otherwise null means absent. */
  readonly nullable?: true;
}

export type Format = 'int32' | 'int64' | 'date-time' | 'byte';

/** A kind as it is served. */
export interface KindInfo {
  readonly kind: string;
  /** The apiVersion every served version is read as. */
  readonly apiVersion: string;
  readonly namespaced: boolean;
  /** By served apiVersion. The shape covers everything but apiVersion, kind, metadata and status. */
  readonly versions: Readonly<Record<string, Shape>>;
  /** What a name may be; a DNS subdomain unless said. */
  readonly name?: 'subdomain' | 'label' | 'label1035';
  /** Values of this kind never appear in a message. */
  readonly secret?: true;
}
