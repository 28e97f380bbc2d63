// The limits of what is asked of, and written into, a Kubernetes API server: part of LIMITS (limits.ts).

import { Http2Limits } from './http2-limits.ts';

const MB = 1024 * 1024;

export class ClusterLimits extends Http2Limits {
  // --- Kubernetes API server
  readonly KUBERNETES_CONNECT_MS = 10_000;
  /** One question and its whole answer. */
  readonly KUBERNETES_REQUEST_MS = 30_000;
  readonly KUBERNETES_KEEPALIVE_MS = 30_000;
  /** Questions at once, watches and the lease apart. */
  readonly KUBERNETES_IN_FLIGHT = 16;
  /** Of an answer; a page of 500 objects of the largest size that Kubernetes stores would not fit, ordinary ones do. */
  readonly KUBERNETES_ANSWER_BYTES = 128 * MB;
  /** One event of a watch: Kubernetes stores objects of up to 1.5 MB. */
  readonly KUBERNETES_EVENT_BYTES = 16 * MB;
  /** How long files with tokens and certificates are believed before they are read again. */
  readonly KUBERNETES_CREDENTIAL_MS = 60_000;
  /** A plugin's credential is replaced so long before it ends. */
  readonly KUBERNETES_CREDENTIAL_EARLY_MS = 10_000;
  /** How long a credential plugin may take, and what it may print. */
  readonly KUBERNETES_PLUGIN_MS = 30_000;
  readonly KUBERNETES_PLUGIN_BYTES = 1 * MB;
  /** How often, about, kinds that are not installed are looked for; one that goes is missing so long before it does. */
  readonly KUBERNETES_MISSING_MS = 10_000;
  /**
   * A server that holds definitions and does not serve their kinds yet is asked this often, about; at a start so long.
   */
  readonly KUBERNETES_BEHIND_LOOK_MS = 1_000;
  readonly KUBERNETES_BEHIND_MS = 60_000;
  /** Kinds that cannot be read or followed for so long are spoken of. */
  readonly KUBERNETES_UNFOLLOWED_MS = 5_000;
  /** A Secret that cannot be read for so long holds a start up no longer; looked at this often. */
  readonly KUBERNETES_UNREAD_MS = 30_000;
  readonly KUBERNETES_UNREAD_LOOK_MS = 1_000;
  /** Secrets (or ConfigMaps) of one namespace that have a watch each; more of them share one. */
  readonly KUBERNETES_NAMED = 10;
  /** Objects of one page of a LIST. */
  readonly KUBERNETES_PAGE = 500;
  /** A watch is asked to end after once to twice this long. */
  readonly KUBERNETES_WATCH_S = 300;
  /** A watch on which no byte came for this long is taken for dead: bookmarks come every minute. */
  readonly KUBERNETES_IDLE_MS = 120_000;
  /** A stream of initial events that has not come to its end in this time is given up for a LIST. */
  readonly KUBERNETES_FILL_MS = 60_000;
  /** A watch that ends sooner counts as a failure when nothing came. */
  readonly KUBERNETES_SHORT_WATCH_MS = 1_000;
  /** Tries to go on from a version, each answered with an error, before everything is fetched anew. */
  readonly KUBERNETES_RESUMES = 4;
  /** Fetching everything anew sooner than this after the last time waits longer each time. */
  readonly KUBERNETES_RELIST_MS = 30_000;
  /** The wait after a failure: up to this at first, then twice as long each time, up to the second. */
  readonly KUBERNETES_RETRY_MIN_MS = 200;
  readonly KUBERNETES_RETRY_MAX_MS = 30_000;

  // --- leadership and statuses
  /** Entries in the status of a policy (PolicyStatus), and in that of a route or XBackend: the API takes no more. */
  readonly POLICY_ANCESTORS = 16;
  readonly STATUS_PARENTS = 32;
  /** After the last renewal that others have seen the lease may be taken (client-go's timings, these three). */
  readonly LEASE_MS = 15_000;
  /** Who leads writes no longer than this after the start of its last renewal. */
  readonly LEASE_RENEW_MS = 10_000;
  readonly LEASE_RETRY_MS = 2_000;
  /** Tries for the lease that failed in a row, and are spoken of. */
  readonly LEASE_FAILURES_TOLD = 3;
  /** Statuses of one object are written at most this often; what changes in between is written together. */
  readonly STATUS_INTERVAL_MS = 250;
  readonly STATUS_WRITES_AT_ONCE = 8;
  /** After which what the server refuses (4xx) is tried again though nothing changed, twice as long each time. */
  readonly STATUS_REFUSED_MS = 30_000;
  readonly STATUS_REFUSED_MAX_MS = 600_000;
  /** Conflicts of one write that are solved on fresh copies before it waits. */
  readonly STATUS_CONFLICTS = 5;
  /** How often what others took away of one status is put back before it is left to them. */
  readonly STATUS_REASSERTIONS = 3;
  /** After this long that count begins anew. */
  readonly STATUS_FORGET_MS = 600_000;
  /** A Service that had no endpoint at two looks so far apart is told of. */
  readonly ENDPOINTS_MISSING_MS = 10_000;
  /** Events of one kind about one object are told once in this time, and so many in all. */
  readonly EVENT_REPEAT_MS = 600_000;
  readonly EVENTS = 200;
  /** Events under way at once, of the questions that may be (KUBERNETES_IN_FLIGHT). */
  readonly EVENTS_AT_ONCE = 2;
  /** Addresses of one Gateway's status, the most that the API takes; and endpoints of one EndpointSlice. */
  readonly STATUS_ADDRESSES = 16;
  readonly SLICE_ENDPOINTS = 1_000;
  /** Ports of the Service that is kept for a Gateway: an EndpointSlice takes no more. */
  readonly EXPOSED_PORTS = 100;
}
