// GatewayClass: which classes are ours, and what we say of them.

import { type KubeObject, objectKey } from '../api/object.ts';
import { Problems } from '../api/problem.ts';
import { type Fields, fields } from '../base/fields.ts';
import type { Condition, GatewayClassStatus } from './conditions.ts';
import { condition } from './conditions.ts';
import type { TranslatorOptions } from './context.ts';
import { generationOf } from './context.ts';
import type { Reader } from './dependencies.ts';
import { type Found, parametersOf } from './parameters.ts';
import { text } from './read.ts';

/** Ascending; a feature stands here only while it is true of what is served (pkg/features of the API). */
const SUPPORTED_FEATURES = [
  'BackendTLSPolicy',
  'BackendTLSPolicySANValidation',
  'GRPCRoute',
  'GRPCRouteNamedRouteRule',
  'Gateway',
  'GatewayAddressEmpty',
  'GatewayBackendClientCertificate',
  'GatewayFrontendClientCertificateValidation',
  'GatewayFrontendClientCertificateValidationInsecureFallback',
  'GatewayHTTPListenerIsolation',
  'GatewayHTTPSListenerDetectMisdirectedRequests',
  'GatewayPort8080',
  // Whether an address can be had is found by opening its socket, and said.
  'GatewayStaticAddresses',
  'HTTPRoute',
  'HTTPRoute303RedirectStatusCode',
  'HTTPRoute307RedirectStatusCode',
  'HTTPRoute308RedirectStatusCode',
  'HTTPRouteBackendProtocolH2C',
  'HTTPRouteBackendProtocolWebSocket',
  'HTTPRouteBackendRequestHeaderModification',
  'HTTPRouteBackendTimeout',
  'HTTPRouteCORS',
  'HTTPRouteDestinationPortMatching',
  'HTTPRouteHostRewrite',
  'HTTPRouteMethodMatching',
  'HTTPRouteNamedRouteRule',
  'HTTPRouteParentRefPort',
  'HTTPRoutePathRedirect',
  'HTTPRoutePathRewrite',
  'HTTPRoutePortRedirect',
  'HTTPRouteQueryParamMatching',
  'HTTPRouteRequestMirror',
  'HTTPRouteRequestMultipleMirrors',
  'HTTPRouteRequestPercentageMirror',
  'HTTPRouteRequestTimeout',
  'HTTPRouteResponseHeaderModification',
  'HTTPRouteRetry',
  'HTTPRouteRetryBackendTimeout',
  'HTTPRouteRetryConnectionError',
  'HTTPRouteSchemeRedirect',
  'ListenerSet',
  'ReferenceGrant',
  'TCPRoute',
  'TLSRoute',
  'TLSRouteModeMixed',
  'TLSRouteModeTerminate',
  'UDPRoute',
] as const;

/** Labels and annotations of a Gateway go to what is made for it, where something is. */
const INFRASTRUCTURE = 'GatewayInfrastructurePropagation';

/** Minor releases whose GatewayClasses have no features in their status, or have them in another form (GEP-2162). */
const WITHOUT_FEATURES = /^v(0\.|1\.[0-2]\.)/;

/** Undefined where the installed definitions know of none: what they do not know is refused with all beside it. */
function supportedFeatures(version: string | undefined, options: TranslatorOptions): { name: string }[] | undefined {
  if (version !== undefined && WITHOUT_FEATURES.test(version)) return undefined;
  const names: string[] = [...SUPPORTED_FEATURES];
  if (options.exposure?.serviceType != null) names.push(INFRASTRUCTURE);
  return names.sort().map((name) => ({ name }));
}

const BUNDLE_ANNOTATION = 'gateway.networking.k8s.io/bundle-version';
/** Minor releases of the API whose resources are understood. */
const SUPPORTED_BUNDLE = /^v1\.6\./;

export interface ClassResult {
  readonly status: GatewayClassStatus | null;
  readonly problems: Problems;
}

export function translateClass(reader: Reader, object: KubeObject, options: TranslatorOptions): ClassResult {
  const problems = new Problems(objectKey('GatewayClass', undefined, object.metadata.name));
  const spec = fields(object.spec);
  if (spec['controllerName'] !== options.controllerName) return { status: null, problems };
  const generation = generationOf(object);
  const conditions: Condition[] = [];
  const parameters = classParameters(reader, spec);
  if (parameters.fault === null) conditions.push(condition('classAccepted', generation));
  else {
    conditions.push(condition('classParameters', generation, parameters.fault));
    problems.error('spec.parametersRef', parameters.fault, parameters.absent);
  }
  const crd = reader.get('CustomResourceDefinition', undefined, 'gatewayclasses.gateway.networking.k8s.io');
  const version = text(fields(crd?.metadata.annotations)[BUNDLE_ANNOTATION]);
  // Decidable only where the API's own definitions can be read.
  if (crd !== undefined) conditions.push(versionCondition(version ?? 'unknown', generation));
  const features = supportedFeatures(version, options);
  return { status: { conditions, ...(features === undefined ? {} : { supportedFeatures: features }) }, problems };
}

function versionCondition(version: string, generation: number): Condition {
  if (SUPPORTED_BUNDLE.test(version)) return condition('versionSupported', generation);
  const message = `The installed Gateway API is ${version}; v1.6 is supported, others are served as far as they agree with it.`;
  return condition('versionUnsupported', generation, message);
}

function classParameters(reader: Reader, spec: Fields): Found {
  return parametersOf(reader, 'GatewayClassParameters', undefined, spec['parametersRef']);
}

export type Claim =
  | { readonly ours: true; readonly parameters: Found }
  | { readonly ours: false; readonly missing: boolean };

/** Whether Gateways of the class are ours. */
export function claimOf(reader: Reader, className: string, options: TranslatorOptions): Claim {
  const object = reader.get('GatewayClass', undefined, className);
  if (object === undefined) {
    return className === options.implicitClass
      ? { ours: true, parameters: { spec: {}, fault: null } }
      : { ours: false, missing: true };
  }
  const spec = fields(object.spec);
  if (spec['controllerName'] !== options.controllerName) return { ours: false, missing: false };
  return { ours: true, parameters: classParameters(reader, spec) };
}
