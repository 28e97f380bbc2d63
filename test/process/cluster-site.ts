// A fake API server with the site of ../kubernetes/site.ts in it, whose Service is a backend of this process.

import type { TestContext } from 'node:test';
import { defineKinds, FakeApi } from '../kubernetes/fake-api.ts';
import { site } from '../kubernetes/site.ts';
import { backend, freePort } from './support.ts';

export interface ClusterSite {
  readonly api: FakeApi;
  /** Of the API server. */
  readonly url: string;
  /** Of the Gateway. */
  readonly port: number;
  readonly app: { readonly port: number };
}

export async function clusterSite(t: TestContext): Promise<ClusterSite> {
  const app = await backend('app');
  const port = await freePort();
  const api = new FakeApi();
  defineKinds(api);
  const url = await api.listen();
  t.after(() => api.close());
  site(api, port, app.port);
  return { api, url, port, app };
}
