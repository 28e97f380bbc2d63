// What `rauta version` and /version say.

import { readFileSync } from 'node:fs';

export interface VersionInfo {
  readonly version: string;
  readonly gatewayApi: string;
  readonly node: string;
  readonly arch: string;
}

const GATEWAY_API_VERSION = 'v1.6.1';

export function versionInfo(): VersionInfo {
  const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  return { version: manifest.version, gatewayApi: GATEWAY_API_VERSION, node: process.version, arch: process.arch };
}
