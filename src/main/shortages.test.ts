import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../base/limits.ts';
import { Logger } from '../base/log.ts';
import { Cells } from '../telemetry/cells.ts';
import { CELL, limitCell } from '../telemetry/layout.ts';
import { Shortages } from './shortages.ts';

function rig(): { cells: Cells; look: (nowMs: number) => string[] } {
  const cells = Cells.local();
  cells.add(limitCell('DOWNSTREAM_CONNECTIONS'), 5);
  const said: string[] = [];
  const write = (line: string): void => {
    const { level, limit, connections } = JSON.parse(line);
    said.push(`${level} ${limit} ${connections}`);
  };
  const log = Logger.to({ write, now: () => new Date(0) }, { level: 'info', json: true });
  const shortages = new Shortages(cells, log, 23);
  const look = (nowMs: number): string[] => {
    shortages.look(nowMs);
    return said.splice(0);
  };
  return { cells, look };
}

const FULL = 'warn DOWNSTREAM_CONNECTIONS 23';
const OVER = 'info DOWNSTREAM_CONNECTIONS 23';
const MS = LIMITS.SHORTAGE_TOLD_MS;

test('a shortage is a line when it begins, one each minute while it lasts, and one when it is over', () => {
  const { cells, look } = rig();
  assert.deepEqual(look(0), [], 'counted by the worker before this one');
  const reach = (): void => void cells.add(limitCell('DOWNSTREAM_CONNECTIONS'), 1);
  reach();
  assert.deepEqual(look(1_000), [FULL]);
  reach();
  assert.deepEqual(look(2_000), []);
  reach();
  assert.deepEqual(look(1_000 + MS), [FULL]);
  assert.deepEqual(look(1_000 + 2 * MS - 1), []);
  assert.deepEqual(look(1_000 + 2 * MS), [OVER]);
  assert.deepEqual(look(1_000 + 3 * MS), []);
  cells.add(limitCell('ACCEPT_PAUSE_MS'), 1);
  assert.deepEqual(look(1_000 + 3 * MS), ['warn ACCEPT_PAUSE_MS 23']);
});

test('it lasts while nobody new comes and those that are there stay', () => {
  const { cells, look } = rig();
  cells.set(CELL.CONNECTIONS, 23);
  assert.deepEqual(look(0), [], 'full, and nobody was kept waiting');
  cells.add(limitCell('DOWNSTREAM_CONNECTIONS'), 1);
  assert.deepEqual([...look(0), ...look(MS), ...look(2 * MS)], [FULL, FULL, FULL]);
  cells.set(CELL.CONNECTIONS, 22);
  assert.deepEqual([...look(3 * MS - 1), ...look(3 * MS)], [OVER]);
});
