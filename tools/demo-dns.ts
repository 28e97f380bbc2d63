// The servers of examples/udp: each answers every question by a TXT record with its own port (RFC 1035), over UDP and
// over TCP. Usage: demo-dns.ts PORT..., and `demo-dns.ts ask PORT TIMES` for those who have no dig.

import { createSocket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { createServer } from 'node:net';

const HEADER_BYTES = 12;
/** QR, AA, and RD and RA, as a resolver sets them. */
const FLAGS = 0x8580;
const TXT = 16;
const IN = 1;
/** Points to the name of the question. */
const NAME = 0xc000 | HEADER_BYTES;

/** The answer to a message with one question, or null where it has none that can be read. */
export function answerTo(query: Buffer, text: string): Buffer | null {
  if (query.length < HEADER_BYTES || query.readUInt16BE(4) !== 1) return null;
  let end = HEADER_BYTES;
  while (end < query.length && query[end] !== 0) end += 1 + (query[end] as number);
  end += 5;
  if (end > query.length) return null;
  const answer = Buffer.alloc(13 + text.length);
  answer.writeUInt16BE(NAME, 0);
  answer.writeUInt16BE(TXT, 2);
  answer.writeUInt16BE(IN, 4);
  answer.writeUInt32BE(0, 6);
  answer.writeUInt16BE(1 + text.length, 10);
  answer.writeUInt8(text.length, 12);
  answer.write(text, 13, 'latin1');
  const head = Buffer.from(query.subarray(0, HEADER_BYTES));
  head.writeUInt16BE(FLAGS, 2);
  head.writeUInt16BE(1, 6);
  head.fill(0, 8);
  return Buffer.concat([head, query.subarray(HEADER_BYTES, end), answer]);
}

function serve(port: number, ready: () => void): void {
  const udp = createSocket('udp4');
  udp.on('message', (query, { address, port: from }) => {
    const answer = answerTo(query, String(port));
    if (answer !== null) udp.send(answer, from, address);
  });
  udp.bind(port, '127.0.0.1');
  createServer((socket) => {
    let held = Buffer.alloc(0);
    socket.on('error', () => {});
    socket.on('data', (bytes: Buffer) => {
      held = Buffer.concat([held, bytes]);
      // Over TCP a message has its length in front (section 4.2.2).
      while (held.length >= 2 && held.length >= 2 + held.readUInt16BE(0)) {
        const answer = answerTo(held.subarray(2, 2 + held.readUInt16BE(0)), String(port));
        held = held.subarray(2 + held.readUInt16BE(0));
        if (answer === null) continue;
        const length = Buffer.alloc(2);
        length.writeUInt16BE(answer.length);
        socket.write(Buffer.concat([length, answer]));
      }
    });
  }).listen(port, '127.0.0.1', ready);
}

/** Each question comes from a port of its own; prints the answers. */
async function ask(port: string, times: number): Promise<void> {
  const resolver = new Resolver({ timeout: 1_000, tries: 20 });
  resolver.setServers([`127.0.0.1:${port}`]);
  for (let i = 0; i < times; i++) process.stdout.write(`${await resolver.resolveTxt('where.example')}\n`);
}

const [, , first, port = '', times = '1'] = process.argv;
if (import.meta.main && first === 'ask') await ask(port, Number(times));
else if (import.meta.main) {
  const ports = process.argv.slice(2);
  let listening = 0;
  const ready = (): void => {
    if (++listening === ports.length) process.stdout.write(`demo resolvers listen: ${ports.join(' ')}\n`);
  };
  for (const port of ports) serve(Number(port), ready);
}
