import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../../base/limits.ts';
import { FlowGrants } from './grants.ts';

function taken(grants: FlowGrants, nowMs: number, pressed: boolean): number {
  let n = 0;
  while (grants.take(nowMs, pressed)) n++;
  return n;
}

test('as many flows may begin at once as in a second; less while clients send more than can be read', () => {
  const grants = new FlowGrants();
  const [most, pressed] = [LIMITS.UDP_NEW_FLOWS_PER_SECOND, LIMITS.UDP_NEW_FLOWS_PRESSED];
  assert.equal(taken(grants, 1_000, false), most);
  assert.equal(taken(grants, 1_000, false), 0);
  assert.equal(taken(grants, 1_500, false), most / 2);
  assert.equal(taken(grants, 2_500, true), pressed);
  assert.equal(taken(grants, 2_750, true), pressed / 4);
  assert.equal(taken(grants, 9_000, false), most, 'and no more for having waited');
});
