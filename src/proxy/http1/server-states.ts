// Where a client's connection of HTTP/1 is.

/** Between two requests. */
export const IDLE = 0;
/** A part of a head is here. */
export const HEAD = 1;
/** An exchange has the request; its content is being read. */
export const BODY = 2;
/** The request is complete, its exchange under way; nothing is read. */
export const WAIT = 3;
/** Answered; the client has yet to take the answer. */
export const FLUSH = 4;
/** The protocol was switched: bytes, both ways. */
export const TUNNEL = 5;
export const CLOSED = 6;
/** Another protocol goes on with its transport. */
export const LEFT = 7;
