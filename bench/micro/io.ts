// What the one interface to the system costs beside the bare call: 100 bytes through a pair of unix sockets, by `Io`
// (handle checked, bounds checked, EINTR handled) and by libc's send and recv with a descriptor and an address.
//   bin/node bench/micro/io.ts [ROUNDS]

import { recv, send } from '../../src/native/ffi.ts';
import { openNative, socketPair } from '../../src/native/index.ts';
import { type Case, report, runPaired } from './paired.ts';

const rounds = Number(process.argv[2] ?? 40);
const BYTES = 100;
const MSG_NOSIGNAL = 0x4000n;

const io = openNative({ arenaBytes: 1 << 20 });
const [a, b] = socketPair(io);
const block = io.alloc(BYTES);
const [fdA, fdB] = [BigInt(io.fdOf(a)), BigInt(io.fdOf(b))];
const address = BigInt(io.arena.base + block);
const bytes = BigInt(BYTES);

const cases: Case[] = [
  {
    name: 'libc',
    run: (operations) => {
      let sum = 0;
      for (let i = 0; i < operations; i++)
        sum += send(fdA, address, bytes, MSG_NOSIGNAL) + recv(fdB, address, bytes, 0n);
      return sum;
    },
  },
  {
    name: 'io',
    base: 'libc',
    run: (operations) => {
      let sum = 0;
      for (let i = 0; i < operations; i++) sum += io.send(a, block, BYTES) + io.recv(b, block, BYTES);
      return sum;
    },
  },
];
const results = runPaired(cases, rounds, 20);
report('io', `bin/node bench/micro/io.ts ${rounds}`, { rounds, what: 'one send and one recv of 100 bytes', results });
