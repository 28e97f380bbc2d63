// Every queue, buffer, table and wait of RAUTA has its limit here, with its unit in its name; those of HTTP/2 are in
// http2-limits.ts, those of what is asked of an API server in cluster-limits.ts.
// Reaching one is counted (`rauta_limit_reached_total{limit}`) and has a clear answer (docs/reference/limits.md).

import { ClusterLimits } from './cluster-limits.ts';

const KB = 1024;
const MB = 1024 * KB;

// A class: of an object literal with more than 128 properties V8 makes a hash table, in which every look costs.
class Limits extends ClusterLimits {
  // --- memory of one worker
  /** Address space reserved for buffers that C sees; pages are touched only when used. */
  readonly ARENA_BYTES = 1024 * MB;
  /** Freed memory of the arena that stays resident for reuse; more goes back to the system. */
  readonly ARENA_IDLE_BYTES = 16 * MB;

  // --- reactor
  /** Longest wait for events shortly after others, while ticks may be pending. */
  readonly REACTOR_WAIT_MS = 5;
  /** Time after which a row of busy turns lets Node's own loop make a pass. */
  readonly REACTOR_PASS_US = 1_000;
  /** Longest wait when nothing is due; a timer that is due later is looked at again then. */
  readonly REACTOR_SLEEP_MS = 60_000;
  /** Idle time after which TCP keepalive probes a silent peer, their distance, and how many stay unanswered. */
  readonly TCP_KEEPALIVE_IDLE_S = 60;
  readonly TCP_KEEPALIVE_INTERVAL_S = 15;
  readonly TCP_KEEPALIVE_PROBES = 4;
  /** A connection to a backend is probed once it has lived so long (at most), so many told so in one step. */
  readonly TCP_KEEPALIVE_FROM_MS = 15_000;
  readonly TCP_KEEPALIVE_AT_ONCE = 256;
  /** Descriptors in one message between processes. */
  readonly MESSAGE_DESCRIPTORS = 64;

  // --- reactor fairness
  /** Events handled in one turn before timers and the other loop get their chance. */
  readonly EVENTS_PER_TURN = 128;
  /** Bytes one connection may move in one turn before it waits for the next. */
  readonly BYTES_PER_TURN = 256 * KB;
  /**
   * Pieces of work that one connection may cause in one turn, about a microsecond each: a chunk is one, a head 32 and
   * one more for each field, long chunk lines and trailers count by their bytes. What is left waits for the next turn.
   */
  readonly WORK_PER_TURN = 512;
  /**
   * The same of all connections of clients together: of those that were not read yet in this turn, and of those that
   * have more to say than their share. Each has the least, a request, whatever others had.
   */
  readonly WORK_OF_TURN = 1_024;
  readonly WORK_OF_BACKLOG = 1_024;
  readonly WORK_LEAST = 48;
  /**
   * Of a revision, in pieces of some ten microseconds: to compile a match of a rule, to put it into a router, to make
   * an endpoint. A larger revision is made beside what is in use, so much a turn, and takes its place at once.
   */
  readonly REVISION_WORK_PER_TURN = 100;
  /** Of the keeper's frames, whose entries are read as they come, a hundred in a millisecond. */
  readonly STREAM_BYTES_PER_TURN = 32 * KB;
  /** Connections accepted from one listening socket in one turn. */
  readonly ACCEPTS_PER_TURN = 32;

  // --- HTTP heads
  readonly HEAD_BYTES = 64 * KB;
  /** Of a request's head, in which pieces of a cookie are one, and of any trailer section. */
  readonly FIELDS = 100;
  /** Of a response's head: some applications set more than a hundred cookies. */
  readonly RESPONSE_FIELDS = 256;
  readonly URI_BYTES = 16 * KB;
  /** Chunk size line including extensions (RFC 9112 section 7.1). */
  readonly CHUNK_LINE_BYTES = 4 * KB;
  readonly TRAILER_BYTES = 16 * KB;
  readonly METHOD_BYTES = 32;
  /** Options in the Connection fields of one head (each is looked for among all fields). */
  readonly CONNECTION_OPTIONS = 32;
  /** Interim (1xx) responses relayed for one request. */
  readonly INTERIM_RESPONSES = 16;
  /** Empty lines skipped before a request line (RFC 9112 section 2.2). */
  readonly LEADING_EMPTY_LINES = 4;

  // --- connections and buffers of one worker
  /** And never more than 8 of 17 files that the process may open: backends need as many, who is refused the rest. */
  readonly DOWNSTREAM_CONNECTIONS = 65_536;
  /** Connections waiting to be accepted, per listening socket (the kernel's somaxconn may be lower). */
  readonly BACKLOG = 4_096;
  /** Bytes queued towards one slow reader before its writer is no longer read. */
  readonly FLOW_BYTES = 192 * KB;
  /** One read from a socket. */
  readonly READ_BYTES = 128 * KB;
  /** Room in front of what was read, for a rewritten head. */
  readonly READ_HEADROOM_BYTES = 4 * KB;
  /** Small writes to one connection gathered for one send: any head with what filters add to it. */
  readonly CORK_BYTES = 256 * KB;
  /**
   * Memory of one request under way: what its log line says, and the request as it goes on, so far as it is kept to be
   * sent again.
   */
  readonly EXCHANGE_BYTES = 8 * KB;
  /** Bytes in one pipe, through which long content passes from socket to socket within the kernel. */
  readonly PIPE_BYTES = 256 * KB;
  /** Pipes of one worker, lent while bytes are in them; without, bytes are copied. A user has 64 MB (pipe(7)). */
  readonly PIPES = 64;
  /** Content is passed through a pipe once so much came at a time, and while so much is still to come. */
  readonly SPLICE_FROM_BYTES = 16 * KB;
  /** Of BYTES_PER_TURN what the kernel moves takes a part, until all connections moved so much in a turn. */
  readonly SPLICED_FOR_COPIED = 4;
  readonly SPLICED_PER_TURN = 8 * MB;
  /** A PROXY header, with what is said in it besides addresses. */
  readonly PROXY_HEADER_BYTES = 4 * KB;
  /** Ended exchanges kept for reuse. */
  readonly EXCHANGES_POOLED = 1_024;
  /** Connections above DOWNSTREAM_CONNECTIONS that are still taken, to be answered 503. */
  readonly OVERLOAD_CONNECTIONS = 1_024;
  readonly UPSTREAM_CONNECTIONS_PER_ENDPOINT = 1_152;
  /** Of these, and of the places for requests that wait, those that no client with many requests there gets. */
  readonly UPSTREAM_RESERVED_PER_ENDPOINT = 128;
  /** A connection of a client with more requests at an endpoint has many. */
  readonly UPSTREAM_FEW_REQUESTS = 8;
  readonly UPSTREAM_IDLE_PER_ENDPOINT = 256;
  /** Sessions of layer 4 at one endpoint, each with a connection of its own; more are refused. */
  readonly SESSIONS_PER_ENDPOINT = 32_768;
  /** Requests waiting for an upstream connection, per endpoint. */
  readonly UPSTREAM_PENDING_PER_ENDPOINT = 1_024;
  /** Attempts for one request: the first and its retries. */
  readonly UPSTREAM_ATTEMPTS = 3;
  /** Origins of which a rule remembers whether they may read what it answers, and what it says then. */
  readonly CORS_ORIGINS = 256;
  /** Bytes of an Origin field that is answered; a longer one is nobody's. */
  readonly CORS_ORIGIN_BYTES = 512;
  /** What backends are told of a client's certificate; of a larger one, nothing. */
  readonly CLIENT_CERTIFICATE_BYTES = 16 * KB;
  /** Addresses of clients whose text is kept for their next connections. */
  readonly CLIENT_NAMES = 1_024;
  /** Endpoints that one request may try, while they refuse its connection. */
  readonly UPSTREAM_TRIED = 16;
  /** Requests of one worker that wait for a decision of somebody else; more are answered 503. */
  readonly DECISIONS_PENDING = 1_024;
  /** Content that is held for who decides about a request: what HTTPExternalAuthFilter.forwardBody may ask for. */
  readonly DECISION_BODY_BYTES = 65_535;
  /** Content of the answer of an authorization server that reaches a client; longer ones are left away. */
  readonly EXTERNAL_AUTH_ANSWER_BYTES = 32 * KB;
  /** Copies of requests under way from one worker; more are left away (docs/reference/gateway-api.md). */
  readonly MIRRORS = 256;
  /** Time for the answer to a copy of a request. */
  readonly MIRROR_MS = 30_000;
  /** Bytes on their way to a second reader of bodies (a mirror, say); one that is slower is left behind. */
  readonly TAP_BYTES = 64 * KB;

  // --- datagrams of one worker
  /** Datagrams, or runs of them, read or written by one call, and of one listener in one turn. */
  readonly UDP_BATCH = 64;
  /** What waits in one socket, as far as the system allows it (net.core.rmem_max); more is lost. */
  readonly UDP_SOCKET_BYTES = 4 * MB;
  /** Seconds in which a port that a flow had is no other flow's: an answer that comes so late finds nobody. */
  readonly UDP_PORT_REST_S = 10;
  /** Flows: a client's address and port, and the address it asked. The longest at rest makes room for another. */
  readonly UDP_FLOWS = 16_384;
  /** Of them for one client's address; beyond, its own that rested longest makes room. */
  readonly UDP_FLOWS_PER_CLIENT = 8_192;
  /**
   * New flows a second, and at once; the datagrams that would begin more are dropped, so that those of flows that there
   * are go on.
   */
  readonly UDP_NEW_FLOWS_PER_SECOND = 16_384;
  /** The same while a listener's socket is never found empty. */
  readonly UDP_NEW_FLOWS_PRESSED = 1_024;
  /** Answers to who has sent nothing since the first, beside one for each question: it may not be who asked. */
  readonly UDP_ANSWER_BYTES = 16 * KB;
  /** A flow in which no datagram moves, unless its route says otherwise. */
  readonly UDP_IDLE_MS = 60_000;
  /** Answers are still waited for so long when the worker or the listener leaves. */
  readonly UDP_LEAVE_MS = 2_000;
  /** An endpoint that refused a datagram gets no new flows for so long, while there are others. */
  readonly UDP_REFUSED_MS = 10_000;

  /** Private keys whose points are computed ahead of a start's translation, by a thread that fewer are not worth. */
  readonly POINTS_AHEAD = 32_768;
  readonly POINTS_LEAST = 256;

  // --- TLS of one worker
  /** A certificate with those that lead to its root: more than this, clients that use OpenSSL do not take. */
  readonly TLS_CHAIN_BYTES = 100 * KB;
  /** A private key; those of RSA with 16,384 bits take 9 KB. */
  readonly TLS_KEY_BYTES = 32 * KB;
  /** Authorities and lists of revoked certificates of one Gateway's port or one policy, together. */
  readonly TLS_TRUST_BYTES = 8 * MB;
  /** A certificate, OCSP response or name handed to OpenSSL at once; longer ones get a place of their own. */
  readonly TLS_OBJECT_BYTES = 256 * KB;
  /** What certificates cost that are made ready for handshakes; the least recently used are made anew when needed. */
  readonly TLS_PARSED_BYTES = 8 * MB;
  /** Names of authorities that clients are asked for certificates of, all in one message; of more, none is named. */
  readonly TLS_AUTHORITY_NAMES_BYTES = 14 * KB;
  /** An OCSP response that is shown; clients of TLS 1.2 that use OpenSSL take no longer one. */
  readonly TLS_STAPLE_BYTES = 16_000;
  /** Texts of OpenSSL's errors that are kept. */
  readonly TLS_ERROR_TEXTS = 512;
  /** A ClientHello, with the heads of its records apart. */
  readonly TLS_HELLO_BYTES = 32 * KB;
  /** Bytes of a connection that are read at once: no more than OpenSSL's own buffer holds, a record with its frame. */
  readonly TLS_READ_BYTES = 16 * KB + 261;
  /** Records at once that say nothing (new keys, say): whoever sends more is gone. Of a handshake, in one turn. */
  readonly TLS_SILENT_BYTES = 64 * KB;
  /** Handshakes with clients that are under way at once; whoever comes beyond is refused. */
  readonly TLS_HANDSHAKES = 2_048;
  /** Handshakes that clients begin in one turn, and those with all backends that go on; others wait for the next. */
  readonly TLS_HANDSHAKES_PER_TURN = 4;
  /** What log lines say of TLS connections, kept by text. */
  readonly TLS_FACTS = 4_096;
  /** Keys of tickets that are accepted at once. */
  readonly TLS_TICKET_KEYS = 8;
  /** Sessions with backends that are kept for the next connection, one for each endpoint. */
  readonly TLS_SESSIONS = 4_096;
  /** A session is taken up for so long; then a backend's certificate is looked at again. */
  readonly TLS_SESSION_MS = 3_600_000;
  /** A client's whose certificate was asked for: then that is looked at again, whether it has ended meanwhile. */
  readonly TLS_CLIENT_SESSION_MS = 600_000;
  /** How long a key issues tickets; it is accepted for as long again. */
  readonly TLS_TICKET_ROTATION_MS = 12 * 3_600_000;
  /** How often the leader looks whether the Secret of --keys-secret is as it should be. */
  readonly KEYS_SECRET_LOOK_MS = 300_000;
  /** And after something went wrong. */
  readonly KEYS_SECRET_RETRY_MS = 15_000;

  // --- waits (milliseconds)
  readonly HEAD_MS = 10_000;
  readonly BODY_PROGRESS_MS = 30_000;
  /** A client's connection between two requests (--client-idle-timeout): longer than load balancers keep one. */
  readonly IDLE_MS = 180_000;
  /** With the handshake where TLS is spoken. */
  readonly UPSTREAM_CONNECT_MS = 5_000;
  /**
   * From an attempt at an endpoint that is passed over, since no connection to it stood within UPSTREAM_CONNECT_MS, to
   * the next one. It counts endpoints that are passed over.
   */
  readonly UPSTREAM_SILENT_MS = 1_000;
  /** Waiting for one of an endpoint's connections to become free; also what ends a route that leads to itself. */
  readonly UPSTREAM_PENDING_MS = 10_000;
  /** After a backend left a connection without a word, what must not be sent twice goes by new ones so long. */
  readonly UPSTREAM_ABRUPT_MS = 10_000;
  /** Shorter than the 60 s after which most servers close an idle connection. */
  readonly UPSTREAM_IDLE_MS = 55_000;
  /**
   * Of the requests that a worker has under way at a cluster, so many in a hundred may be there again because the
   * rule's `retry` took an answer for a failure; and always as many as the second number.
   */
  readonly RETRY_BUDGET_PERCENT = 20;
  readonly RETRY_BUDGET_LEAST = 3;
  /** Longest pause before a request is sent again. */
  readonly RETRY_BACKOFF_MAX_MS = 10_000;
  /** Whoever decides about a request may take this long. */
  readonly DECISION_MS = 5_000;
  /** Time for all of the content that is held for who decides. */
  readonly DECISION_BODY_MS = 30_000;
  /** An authorization server has this long, all attempts at it together; less than DECISION_MS. */
  readonly EXTERNAL_AUTH_MS = 4_000;
  /** What secured a cluster that left is kept so long, and of so many: longer than decisions take. */
  readonly RETIRED_TLS_MS = 60_000;
  readonly RETIRED_TLS = 1_024;
  /** A call of gRPC that is being answered is reset so long after its own deadline, unless its ends have ended it. */
  readonly GRPC_DEADLINE_GRACE_MS = 1_000;
  /** A request and its response in which no byte moves either way. */
  readonly STREAM_IDLE_MS = 300_000;
  /**
   * A request that goes on only when its client does something, takes what is there for it, say, ends after so long
   * when others wait for its endpoint's connections; and the bytes that have to move for it not to count as that.
   */
  readonly STALLED_MS = 5_000;
  readonly STALLED_BYTES = 1 * KB;
  /** Such requests that are looked at for one that waits. */
  readonly STALLED_LOOKS = 64;
  /**
   * A session of layer 4 in which no byte moves either way, unless its route says otherwise; it is looked at four times
   * meanwhile, so that it may take a quarter more.
   */
  readonly SESSION_IDLE_MS = 3_600_000;
  /** How long sessions of layer 4 go on when their listener is taken away. */
  readonly SESSION_DRAIN_MS = 60_000;
  /** How long idle connections may still send a request when the worker leaves. */
  readonly DRAIN_IDLE_MS = 1_000;
  /** Who answers the PING with which it was told to leave may have sent requests behind that. */
  readonly DRAIN_PONG_MS = 50;
  /** How long workers have to say what they ended when the times of a drain are over. */
  readonly DRAIN_GRACE_MS = 1_000;
  /** Accepting pauses so long when the process has no descriptor left. */
  readonly ACCEPT_PAUSE_MS = 100;
  readonly LINGER_MS = 2_000;
  readonly LINGER_BYTES = 1 * MB;

  // --- routing and balancing
  /** Size of a user's compiled regular expression: a match costs at most this times the bytes matched. */
  readonly REGEX_INSTRUCTIONS = 512;
  /** States that one regular expression keeps for speed (its lazily built automaton); ordinary ones need half. */
  readonly REGEX_CACHE_BYTES = 16 * KB;
  /** A path that is rewritten by what a regular expression captured of it; a longer one is answered 414. */
  readonly REWRITE_EXPRESSION_BYTES = 2 * KB;
  /** While fewer than so many percent of the endpoints that are near can be used, those that are far are as well. */
  readonly NEAR_PERCENT = 50;
  /** Largest Maglev table (NSDI 2016, section 5.3: 65,537 serves hundreds of backends within 1 %). */
  readonly MAGLEV_ENTRIES = 65_537;

  // --- keeper
  /** Files that the keeper needs to have open at least, and those for each worker: channel, counters, ring, sockets. */
  readonly KEEPER_DESCRIPTORS = 48;
  readonly KEEPER_DESCRIPTORS_PER_WORKER = 6;
  /** A worker that makes no turn for so long is killed and replaced. */
  readonly HEARTBEAT_STALL_MS = 5_000;
  /** CPU seconds without a heartbeat after which the kernel ends a worker, also when nobody watches it any more. */
  readonly WORKER_CPU_STALL_S = 10;
  /**
   * A controller that says nothing for so long is: thirty times the CPU that a change of 10,000 routes keeps it from
   * it.
   */
  readonly CONTROLLER_STALL_MS = 120_000;
  /** It is given twice as long after each time, up to this: what is only slow gets done in the end. */
  readonly CONTROLLER_STALL_MAX_MS = 600_000;
  /** A worker that has not loaded its code after so long is killed and started again. */
  readonly CHILD_START_MS = 60_000;
  /** Starts in a row, soon ended, after which a program that never served gives up. */
  readonly START_ATTEMPTS = 5;
  /** How often a worker or the controller shows that it is alive while nothing happens. */
  readonly HEARTBEAT_MS = 1_000;
  /** What a worker runs out of is told of so often while it lasts, and is over when it did not happen for so long. */
  readonly SHORTAGE_TOLD_MS = 60_000;
  /** Two signals to stop within this are one. */
  readonly STOP_AGAIN_MS = 200;
  /** A supervisor's watchdog is told no more often, however little it waits. */
  readonly WATCHDOG_LEAST_MS = 10;
  readonly QUARANTINE_WINDOW_MS = 10_000;
  readonly QUARANTINE_DEATHS = 2;
  /** Revisions that can be undone. */
  readonly QUARANTINE_HISTORY = 16;

  // --- revisions
  /** A revision closes when nothing changed for so long (the first, behind as long a quiet, sooner), or after MAX. */
  readonly REVISION_QUIET_MS = 3;
  readonly REVISION_ALONE_MS = 1;
  readonly REVISION_MAX_MS = 10;
  /** Changes that a controller of a cluster makes to a world of its own at its start, where it serves less. */
  readonly PRACTICE_CHANGES = 50;
  // --- addresses of Gateways
  /** Addresses used of one range of --address-pool. */
  readonly ADDRESS_POOL_RANGE = 65_536;
  /** A dead process is replaced at once, then after 100 ms, 200 ms ... */
  readonly RESTART_MIN_MS = 100;
  readonly RESTART_MAX_MS = 10_000;
  /** A process that lived this long is no longer suspected. */
  readonly RESTART_STABLE_MS = 30_000;
  readonly STORM_WINDOW_MS = 60_000;
  readonly STORM_DEATHS = 5;
  /** Filling the compile cache before the first start of a version. */
  readonly COMPILE_MS = 30_000;
  /** A spare worker is started this long after the others serve. */
  readonly SPARE_DELAY_MS = 1_000;
  /** The controller may take this long to write what is left in the log rings. */
  readonly FLUSH_MS = 2_000;
  /** The access log, the token file or an admin port that could not be opened is tried again after this long. */
  readonly OPEN_RETRY_MS = 2_000;
  /** How often the files of --tls-cert and --tls-key are looked at; a change counts once it stays for as long. */
  readonly TLS_FILES_MS = 1_000;
  /** --keys-file: a larger one is not read. */
  readonly KEYS_FILE_BYTES = 16 * KB;
  /** --state-file: a larger one is neither written nor read. */
  readonly STATE_FILE_BYTES = 256 * MB;
  /** It is written this long after a change is served, and not again before the other has passed. */
  readonly STATE_FILE_DELAY_MS = 1_000;
  readonly STATE_FILE_INTERVAL_MS = 10_000;
  /** A program that serves what is in it, but for HTTPS, is not ready for this long: keys most likely come. */
  readonly STATE_FILE_READY_MS = 10_000;
  /** Opening a socket that could not be opened is tried again after this long. */
  readonly SOCKET_RETRY_MS = 2_000;
  /** A listening socket that is to go takes no new handshake for this long, so that those under way end first. */
  readonly SOCKET_SETTLE_MS = 250;
  /** How long a running program may take to hand its sockets to the one that takes over. */
  readonly TAKEOVER_WAIT_MS = 5_000;
  /** Revisions that workers have not acked yet whose times are remembered (`rauta_propagation_seconds`). */
  readonly PROPAGATION_REVISIONS = 64;

  // --- configuration from files
  readonly CONFIG_FILE_BYTES = 64 * MB;
  readonly CONFIG_FILE_DOCUMENTS = 50_000;
  readonly CONFIG_FILES = 100_000;
  /** Below all paths of --config together. */
  readonly CONFIG_FOLDERS = 10_000;
  readonly CONFIG_FOLDER_DEPTH = 32;
  /** Files that are mounted one by one and watched themselves; of more, changes are found by looking. */
  readonly CONFIG_MOUNTED_FILES = 1_000;
  /** A plain document may be so long: a List of ten thousand objects as kubectl writes it. */
  readonly YAML_PLAIN_CHARS = 16 * MB;
  /** Words and marks of any other one; more is refused before it takes memory and time. */
  readonly YAML_TOKENS = 1_000_000;
  /** Collections within each other. */
  readonly YAML_DEPTH = 200;
  /** Nodes that all aliases of one YAML document together may stand for. */
  readonly YAML_ALIAS_NODES = 100_000;
  /** Complaints kept of one object. */
  readonly OBJECT_PROBLEMS = 100;
  /** Complaints kept of one file. */
  readonly CONFIG_FILE_PROBLEMS = 1_000;

  // --- names of Backends
  /** A TTL of 0 is taken for this. */
  readonly DNS_TTL_MIN_S = 1;
  readonly DNS_TTL_MAX_S = 300;
  /** How long an answer without a TTL (the hosts file, no such address) is believed. */
  readonly DNS_NO_TTL_S = 30;
  /** A name that failed is tried again after 1 s, 2 s ... */
  readonly DNS_RETRY_MAX_S = 30;
  /** One try at one name server, and tries at all of them. */
  readonly DNS_TRY_MS = 1_000;
  readonly DNS_TRIES = 2;
  /** One question, whatever the servers do; a name has one for IPv4 and one for IPv6. */
  readonly DNS_QUESTION_MS = 5_000;
  /** Questions at once; names that failed last may have half of them, so that they never hold the others up. */
  readonly DNS_QUESTIONS = 512;
  /** Search domains of resolv.conf. */
  readonly DNS_SEARCH = 16;
  /** /etc/hosts and /etc/resolv.conf; larger ones count as empty. */
  readonly HOSTS_FILE_BYTES = 16 * MB;
  readonly RESOLV_CONF_BYTES = 64 * KB;
  readonly DNS_ADDRESSES = 256;
  /** The first configuration waits this long for its names. */
  readonly DNS_FIRST_WAIT_MS = 2_000;

  // --- config stream
  /** One message of a worker, or of a program that wants to take over. */
  readonly WORKER_FRAME_BYTES = 64 * KB;
  /** A text in a message: a reason, a key. */
  readonly STREAM_TEXT_CHARACTERS = 4_096;
  /** Queued for one slow process; past it that one is given everything afresh when it reads again. */
  readonly STREAM_QUEUE_BYTES = 64 * MB;
  /** One entry: a rule of the largest object that Kubernetes stores (1.5 MB), a Service of 50,000 endpoints. */
  readonly FRAME_BYTES = 16 * MB;
  /** Rules that are looked at for why none took a request, and how many of them are told (explain.md). */
  readonly EXPLAIN_RULES = 5_000;
  readonly EXPLAIN_MISSES = 5;
  /** Warnings that an object's condition tells in full. */
  readonly WARNINGS_TOLD = 8;
  /** Bytes of a request that is explained, with what filters add to it. */
  readonly EXPLAIN_BYTES = 1 * MB;
  /** Lines of each part of what a start shows on a terminal, and of the admin's front page; requests on that. */
  readonly SUMMARY_LINES = 12;
  readonly FRONT_LINES = 50;
  readonly FRONT_REQUESTS = 10;
  /** How often, at most, objects of files without effect are looked for, and among how many: of more they are not. */
  readonly EFFECTS_TELL_MS = 2_000;
  readonly EFFECTS_OBJECTS = 20_000;
  /** Names that one message lists. */
  readonly NAMES_LISTED = 8;
  /** Revisions that wait to be served before they are told of. */
  readonly REVISIONS_PENDING = 16;
  /** A certificate is told of so long before its end. Looked is so often, first so late; changes gather so long. */
  readonly CERTIFICATE_EXPIRING_MS = 30 * 86_400_000;
  readonly CERTIFICATE_LOOK_MS = 3_600_000;
  readonly CERTIFICATE_FIRST_MS = 1_000;
  readonly CERTIFICATE_TELL_MS = 5_000;
  /** Certificates of issuers that are kept as they were read. */
  readonly ISSUERS_KEPT = 1_024;
  /** Certificates whose end stands in the metrics, those that end first. */
  readonly CERTIFICATES_EXPOSED = 20;
  /** Changes are told of once in this time. */
  readonly CHANGES_LOGGED_MS = 1_000;
  /** What is wrong with objects together is logged once it is so after this long. */
  readonly PROBLEMS_SETTLE_MS = 500;
  /** Problems of one change that are logged one by one; the rest stand at /config/problems. */
  readonly PROBLEMS_LOGGED = 20;

  // --- admin server
  /** Time that a running program has to answer a command, and how much of a refusal is shown. */
  readonly ADMIN_WAIT_MS = 10_000;
  readonly ADMIN_SAID_BYTES = 1 * KB;
  readonly ADMIN_CONNECTIONS = 256;
  /** A request, head and body, has to come within this. */
  readonly ADMIN_REQUEST_MS = 10_000;
  /** And its answer has to be taken within this. */
  readonly ADMIN_RESPONSE_MS = 60_000;
  /** Requests of one connection that wait for the answer before them; with one more it is closed. */
  readonly ADMIN_PIPELINED = 16;
  /** Answers that readers have not taken yet, all readers together (one alone may be larger). */
  readonly ADMIN_BUFFER_BYTES = 64 * MB;
  /** An answer up to this size is given even then. */
  readonly ADMIN_SMALL_BYTES = 64 * KB;
  /** Answers still being read are given to others who ask for the same, up to this age. */
  readonly ADMIN_SHARED_MS = 1_000;
  /** How often those who follow /requests are sent what is new, and how many may. */
  readonly ADMIN_FOLLOW_MS = 250;
  readonly ADMIN_FOLLOWERS = 8;
  /** Of each worker's lines, what is looked at for one of them at a time; of more only the newest. */
  readonly ADMIN_FOLLOW_BYTES = 256 * KB;
  /** File of --admin-token-file. */
  readonly ADMIN_TOKEN_BYTES = 4 * KB;
  /** Files of --tls-cert and --tls-key, each. */
  readonly TLS_FILE_BYTES = 256 * KB;
  /** Body of a PUT, and how much is read and thrown away of one that is larger. */
  readonly ADMIN_BODY_BYTES = 64;
  readonly ADMIN_DISCARDED_BYTES = 64 * KB;
  /** Bytes of a question about its health, by gRPC. */
  readonly ADMIN_HEALTH_BYTES = 256;

  /** Lines of the log that a process keeps for a reader of standard error who does not read; more are dropped. */
  readonly STDERR_BUFFER_BYTES = 256 * KB;
  // --- telemetry (per worker slot)
  readonly LOG_RING_BYTES = 8 * MB;
  readonly LOG_RECORD_BYTES = 16 * KB;
  /** Of each worker's newest log lines, what /requests looks at. */
  readonly RECENT_BYTES = 1 * MB;
  /** Taken out of one ring, and written, at a time. */
  readonly LOG_BATCH_BYTES = 512 * KB;
  /** Lines that wait in one ring because nobody takes them; past it the oldest are dropped. */
  readonly LOG_WAITING_BYTES = 6 * MB;
  /** Outcomes (protocol, status, flags) whose text a worker keeps for its next log line. */
  readonly LOG_OUTCOMES = 1_024;
  /** Between two looks at the rings, and the least, where so many lines come that a ring would be full before. */
  readonly LOG_PAUSE_MS = 100;
  readonly LOG_BUSY_PAUSE_MS = 20;
  // --- memory of a process
  /** Half of V8's young generation, at most: it doubles while much survives, and never shrinks by itself. */
  readonly KEEPER_YOUNG_MB = 2;
  readonly CONTROLLER_YOUNG_MB = 4;
  readonly WORKER_YOUNG_MB = 2;
  /** The same of `rauta check`, which ends before the memory would matter. */
  readonly CHECK_YOUNG_MB = 32;
  /** Bytecode that V8 may draw together into one function of a worker (main/inlining.ts); its own bound is 920. */
  readonly WORKER_INLINED_BYTES = 6_000;
  /** An allocation so large is pages of its own; so much may stay free at the end of a heap. */
  readonly ALLOCATOR_PAGES_BYTES = 128 * KB;
  /** Texts of a configuration that equal ones are replaced by (base/tight.ts), and the longest of them. */
  readonly SHARED_TEXTS = 4_096;
  readonly SHARED_TEXT_CHARS = 128;
  /** Likewise whole statuses of routes, most of which say the same; and the longest of them, as JSON. */
  readonly SHARED_VALUES = 256;
  readonly SHARED_VALUE_CHARS = 4_096;
  /** What is kept of the stream lies in pieces so large (stream/frames.ts). */
  readonly KEPT_SLAB_BYTES = 64 * KB;
  /** Values at each place of a kind that its rules in CEL are known to hold for, and the longest of them as JSON. */
  readonly CEL_VALUES_KNOWN = 4_096;
  readonly CEL_VALUE_CHARS = 256;
  /** So many entries, of one revision or of many, are followed by giving memory back after so long a quiet. */
  readonly LARGE_REVISION_ENTRIES = 500;
  readonly GIVE_BACK_QUIET_MS = 1_500;
  /** Until a worker that served somebody is asked again whether it did meanwhile. */
  readonly GIVE_BACK_RETRY_MS = 10_000;
  /** Pages that the C library has no use for go back to the system this often. */
  readonly GIVE_BACK_PAGES_MS = 30_000;
  /** Cells mapped at a time. */
  readonly CELLS_PER_SEGMENT = 131_072;
  /** Segments in the memory of a worker slot, which is that long from the start; pages nobody wrote to cost nothing. */
  readonly SEGMENTS = 256;
}

export const LIMITS = new Limits();

export type LimitName = keyof typeof LIMITS;
