// What the other side sent is nothing that the protocol allows. The stream ends, and it is the other side's fault: an
// exception of any other kind is a bug of this side and never taken for the peer's.

export class ProtocolError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ProtocolError';
  }
}
