// The server's half of a WebSocket's handshake (RFC 6455 section 4.2.2), written from the RFC alone.

import { createHash } from 'node:crypto';

/** What answers the key in `head`, a request's; '' where there is none. */
export function acceptOf(head: string): string {
  const key = /\r\nsec-websocket-key: *([^\r]*)/i.exec(head)?.[1];
  if (key === undefined) return '';
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
}

/** The 101 that answers `head`; `more` are further lines. */
export function switched(head: string, more = ''): string {
  return (
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
    `Sec-WebSocket-Accept: ${acceptOf(head)}\r\n${more}\r\n`
  );
}
