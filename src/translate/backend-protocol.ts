// In what a backend is spoken to, and who says so: an annotation of an Ingress for all that it sends to, else the
// appProtocol of a Service's port or of a Backend (GEP-1911), else an annotation of the Service for all its ports
// (ADR 34).

import type { KubeObject } from '../api/object.ts';
import { fields } from '../base/fields.ts';
import { shown } from './read.ts';

/** Of an Ingress, and of a Service or Backend. */
export const PROTOCOL_ANNOTATION = 'rauta.io/backend-protocol';

export interface BackendProtocol {
  readonly spoken: 'http1' | 'http2';
  /** Never in the clear. Where this is false, TLS is spoken if a policy asks for it. */
  readonly secured: boolean;
  /** Who says so, for messages. */
  readonly by: string;
}

/** HTTP/2 in the clear, by prior knowledge (KEP-3726). */
const H2C = 'kubernetes.io/h2c';

type Wire = Omit<BackendProtocol, 'by'>;

/** `kubernetes.io/ws` is HTTP/1.1 with Upgrade (GEP-1911), which any backend may answer here. */
const APP_PROTOCOLS: ReadonlyMap<string, Wire> = new Map([
  ['http', { spoken: 'http1', secured: false }],
  ['kubernetes.io/ws', { spoken: 'http1', secured: false }],
  [H2C, { spoken: 'http2', secured: false }],
  ['https', { spoken: 'http1', secured: true }],
  ['kubernetes.io/wss', { spoken: 'http1', secured: true }],
]);

/** Values of the annotation, which are ingress-nginx's and the names of HTTP/2. Over TLS ALPN has the last word. */
const WRITTEN: ReadonlyMap<string, Wire> = new Map([
  ['HTTP', { spoken: 'http1', secured: false }],
  ['HTTPS', { spoken: 'http1', secured: true }],
  ['H2C', { spoken: 'http2', secured: false }],
  ['HTTP2', { spoken: 'http2', secured: false }],
  ['GRPC', { spoken: 'http2', secured: false }],
  ['GRPCS', { spoken: 'http2', secured: true }],
]);

/** A text says what is wrong with the value. In any case, as ingress-nginx takes it. */
export function writtenProtocol(annotation: string, value: unknown): BackendProtocol | string {
  const wire = WRITTEN.get(typeof value === 'string' ? value.trim().toUpperCase() : '');
  if (wire === undefined) return `must be one of ${[...WRITTEN.keys()].join(', ')}, not ${shown(value)}`;
  return { ...wire, by: `annotation ${annotation}: ${shown(value)}` };
}

/**
 * What the backend itself says; a text says why that cannot be spoken (GEP-1911: it makes the reference invalid).
 * `appProtocol`: of the port, or of the Backend.
 */
export function protocolSaid(backend: KubeObject, appProtocol: unknown): BackendProtocol | string {
  if (appProtocol !== undefined && appProtocol !== null) {
    const by = `appProtocol ${shown(appProtocol)}`;
    const wire = APP_PROTOCOLS.get(typeof appProtocol === 'string' ? appProtocol.toLowerCase() : '');
    if (wire !== undefined) return { ...wire, by };
    return `${by} is not supported: ${[...APP_PROTOCOLS.keys()].join(', ')} are.`;
  }
  const value = fields(backend.metadata.annotations)[PROTOCOL_ANNOTATION];
  if (value === undefined) return { spoken: 'http1', secured: false, by: '' };
  const written = writtenProtocol(PROTOCOL_ANNOTATION, value);
  return typeof written === 'string' ? `annotation ${PROTOCOL_ANNOTATION} ${written}.` : written;
}
