// The limits of HTTP/2, on both sides of the proxy: part of LIMITS (limits.ts).

const KB = 1024;
const MB = 1024 * KB;

export class Http2Limits {
  /** Streams that a client may have open on one connection (SETTINGS_MAX_CONCURRENT_STREAMS); more are refused. */
  readonly HTTP2_STREAMS = 128;
  /** Content of all streams of one connection that may be on its way, or wait here. */
  readonly HTTP2_CONNECTION_WINDOW_BYTES = 1 * MB;
  /** The same of one stream, at first; it doubles while nothing has to wait. */
  readonly HTTP2_STREAM_WINDOW_BYTES = 128 * KB;
  readonly HTTP2_STREAM_WINDOW_MAX_BYTES = 1 * MB;
  /** By so much the windows of all streams of one connection may have grown together. */
  readonly HTTP2_GROWN_WINDOWS_BYTES = 16 * MB;
  /**
   * What clients of a worker sent and backends do not take, beyond what windows of connections count; of what is left
   * of it a connection may have one share. Of more its own window is filled, and its other streams wait.
   */
  readonly HTTP2_HELD_BYTES = 128 * MB;
  readonly HTTP2_HELD_SHARES = 8;
  /** Frames of one connection gathered for one write, which comes at the end of the turn at the latest. */
  readonly HTTP2_BATCH_BYTES = 64 * KB;
  /** Frames that a peer does not take: heads and answers of all its streams; content waits in them. */
  readonly HTTP2_QUEUE_BYTES = 1 * MB;
  /** HPACK's dynamic table of each direction of a connection, as RFC 7541 section 4.1 counts it. */
  readonly HTTP2_HEADER_TABLE_BYTES = 4 * KB;
  /** Heads that a worker keeps since they came twice; a block with the lines that it stands for has so many bytes. */
  readonly HTTP2_REPEATED_HEADS = 8;
  readonly HTTP2_REPEATED_BYTES = 4 * KB;
  /** CONTINUATION frames of one field section; all of it is four times HEAD_BYTES at the most. */
  readonly HTTP2_CONTINUATIONS = 16;
  /** Priorities kept of streams that a client has not opened yet (RFC 9218 section 7.1). */
  readonly HTTP2_PRIORITIES = 16;
  /** Of so many frames that wait for a client, one is of its least urgent response (RFC 9218). */
  readonly HTTP2_URGENT_FRAMES = 16;
  /**
   * Frames that lead to nothing (SETTINGS, PING, WINDOW_UPDATE, PRIORITY, empty and unknown ones) that a peer may send
   * at once; so many more a second, and for each stream that ended in order.
   */
  readonly HTTP2_CONTROL_FRAMES = 4_096;
  readonly HTTP2_CONTROL_FRAMES_PER_SECOND = 512;
  readonly HTTP2_CONTROL_FRAMES_PER_STREAM = 8;
  /**
   * And for each frame of content that it got: windows are opened anew for what was taken, by some clients every 4 KB
   * (Go), and PINGs find out how large they should be (gRPC). Those of less than HTTP2_DRIBBLE_BYTES count only where
   * the window left room for more.
   */
  readonly HTTP2_CONTROL_FRAMES_PER_CONTENT = 10;
  readonly HTTP2_DRIBBLE_BYTES = 1_024;
  /**
   * Streams that a peer may have reset before they were over, by itself or by its faults, beyond those that ended in
   * order; so many more a second. A client's reset of what it has waited for so long (HTTP2_RAPID_MS) is none: of calls
   * whose time is over, say.
   */
  readonly HTTP2_RESETS = 256;
  readonly HTTP2_RAPID_MS = 1_000;
  readonly HTTP2_RESETS_PER_SECOND = 32;
  /**
   * Streams beyond HTTP2_STREAMS that a client may have opened before it acknowledged that number; each is refused,
   * which costs it nothing else. Later ones count as four that were reset.
   */
  readonly HTTP2_EARLY_STREAMS = 1_024;
  /** Exchanges that share one connection to a backend, where it allows as many. */
  readonly UPSTREAM_STREAMS = 128;
  /** A backend that has requests and says nothing for so long is asked for a sign of life, and given so long for it. */
  readonly UPSTREAM_PING_QUIET_MS = 15_000;
  readonly UPSTREAM_PING_MS = 10_000;
  /**
   * One that answered, and has said nothing of a response since, is asked again after so long: servers of gRPC end a
   * connection that asks a third time within five minutes of the last.
   */
  readonly UPSTREAM_PING_AGAIN_MS = 310_000;
  /** Methods of gRPC that are counted by name, of all workers together, and the longest name as a path. */
  readonly GRPC_METHODS = 50;
  readonly GRPC_METHOD_BYTES = 248;
  /** SETTINGS have to be acknowledged within this time. */
  readonly HTTP2_SETTINGS_MS = 10_000;
}
