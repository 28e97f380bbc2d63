import assert from 'node:assert/strict';
import { closeSync, fstatSync } from 'node:fs';
import { test } from 'node:test';
import { createShared } from '../native/index.ts';
import { CellBook } from '../publish/cells.ts';
import { CELLS_BYTES, mapSegment } from '../stream/segments.ts';
import { type Counted, countRequest } from '../telemetry/blocks.ts';
import { Cells } from '../telemetry/cells.ts';
import { METHOD, requestsOffset } from '../telemetry/layout.ts';
import { Numbers } from '../telemetry/numbers.ts';

const ROUTES = 10_000;

function counted(method: number, status: number, bytes = 0): Counted {
  return { method, status, requestBytes: bytes, responseBytes: 2 * bytes, grpcStatus: -1 };
}

/** Memory of a slot, its worker's and the controller's cells over it, and a book with ROUTES routes. */
function setup(): { pages: () => number; worker: Cells; book: CellBook; routes: number[]; close: () => void } {
  const fd = createShared('rauta-test', CELLS_BYTES);
  const numbers = new Numbers();
  numbers.slots.push(new Cells((index) => mapSegment(fd, index)));
  const book = new CellBook(numbers.read, { route: 20, endpoint: 50 });
  return {
    // st_blocks counts 512 bytes.
    pages: () => fstatSync(fd).blocks / 8,
    worker: new Cells((index) => mapSegment(fd, index)),
    book,
    routes: Array.from({ length: ROUTES }, (_, i) => book.assign('route', `r${i}`)),
    close: () => closeSync(fd),
  };
}

test('looking at ten thousand unused routes makes memory of their marks only', () => {
  const { pages, book, close } = setup();
  assert.equal(pages(), 0);
  book.other('route');
  // 80 KB of marks, and the block that all of them share when cells run out.
  assert.ok(pages() <= 22, `${pages()} pages`);
  for (let i = 0; i < ROUTES; i++) book.assign('endpoint', `e${i}`);
  book.other('endpoint');
  // Two of them share a mark.
  assert.ok(pages() <= 33, `${pages()} pages`);
  close();
});

test('ten thousand used routes are 2.7 MB, and looking at them adds nothing; what is unusual is paid for by who does it', () => {
  const { pages, worker, book, routes, close } = setup();
  for (const block of routes) countRequest(worker, block, counted(METHOD.GET, 200), 1000);
  const used = pages();
  assert.ok(used * 4096 < 2.7e6, `${used} pages`);
  assert.equal(book.other('route')[requestsOffset(METHOD.GET, 200)], ROUTES - 20);
  assert.ok(pages() - used <= 1, `${pages() - used} pages more`);
  countRequest(worker, routes[5000] as number, counted(METHOD.PATCH, 409), 1000);
  assert.equal(book.other('route')[requestsOffset(METHOD.PATCH, 409)], 1);
  assert.ok(pages() - used <= 2, `${pages() - used} pages more`);
  for (const block of routes) countRequest(worker, block, counted(METHOD.GET, 502), 1000);
  assert.ok((pages() - used) * 4096 < 2.7e6, `${pages() - used} pages more`);
  close();
});
