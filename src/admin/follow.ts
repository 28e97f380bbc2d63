// `/requests?follow`: requests as they end, for as long as the reader stays. One that does not read is told what it
// missed when it does again, and costs no more memory than one batch.

import type { ServerResponse } from 'node:http';
import { LIMITS } from '../base/limits.ts';
import { visible, visibleJson } from '../base/steering.ts';
import { describe, type Following } from '../telemetry/recent.ts';

/** Sends what `following` has, now and then, as text or as JSON lines. */
export function follow(following: Following, response: ServerResponse, asJson: boolean): void {
  response.writeHead(200, {
    'content-type': asJson ? 'application/x-ndjson' : 'text/plain; charset=utf-8',
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  });
  response.flushHeaders();
  let more = false;
  let readMs = performance.now();
  const timer = setInterval(() => {
    const lines = following.next();
    more ||= following.more;
    if (response.writableLength > 0) {
      more ||= lines.length > 0;
      if (performance.now() - readMs > LIMITS.ADMIN_RESPONSE_MS) response.destroy();
      return;
    }
    readMs = performance.now();
    let text = more && !asJson ? '(more requests ended here than are shown)\n' : '';
    more = false;
    for (const line of lines)
      text += asJson ? `${visibleJson(JSON.stringify(line))}\n` : `${visible(describe(line))}\n`;
    if (text !== '') response.write(text);
  }, LIMITS.ADMIN_FOLLOW_MS);
  response.once('close', () => clearInterval(timer));
}
