// Every metric there is: the exposition is made from this table, docs/reference/metrics.md is checked against it.

export interface Metric {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
}

function metric(name: string, type: Metric['type'], help: string, ...labels: string[]): Metric {
  return { name, type, help, labels };
}

export const METRICS = {
  requests: metric('rauta_requests_total', 'counter', 'Requests answered.', 'route', 'kind', 'method', 'code'),
  duration: metric(
    'rauta_request_duration_seconds',
    'histogram',
    'First byte of a request until the last of its answer.',
    'route',
    'kind',
  ),
  requestBytes: metric('rauta_request_bytes_total', 'counter', 'Bytes of request bodies.', 'route', 'kind'),
  responseBytes: metric('rauta_response_bytes_total', 'counter', 'Bytes of response bodies.', 'route', 'kind'),
  backendRequests: metric(
    'rauta_backend_requests_total',
    'counter',
    'Requests sent to an endpoint.',
    'backend',
    'pod',
    'zone',
  ),
  backendErrors: metric('rauta_backend_errors_total', 'counter', 'Failures of a backend by kind.', 'backend', 'kind'),
  faults: metric(
    'rauta_faults_total',
    'counter',
    'Requests that RAUTA ended itself, by cause and response flag.',
    'kind',
    'source',
    'flag',
  ),
  connections: metric('rauta_connections', 'gauge', 'Open client connections.'),
  connectionsTotal: metric('rauta_connections_total', 'counter', 'Client connections accepted.'),
  tunnels: metric('rauta_tunnels', 'gauge', 'Connections that speak another protocol since a 101.', 'kind'),
  requestsActive: metric('rauta_requests_active', 'gauge', 'Requests being answered.'),
  bytes: metric('rauta_bytes_total', 'counter', 'Bytes over sockets, heads included.', 'direction'),
  upstreamConnections: metric('rauta_upstream_connections', 'gauge', 'Open connections to backends.', 'state'),
  upstreamConnects: metric('rauta_upstream_connects_total', 'counter', 'Connections opened to backends.'),
  upstreamConnectFailures: metric(
    'rauta_upstream_connect_failures_total',
    'counter',
    'Connections to backends that failed to open.',
  ),
  upstreamReused: metric('rauta_upstream_reused_total', 'counter', 'Requests sent on a pooled connection.'),
  upstreamRetries: metric('rauta_upstream_retries_total', 'counter', 'Attempts after the first.'),
  mirrors: metric(
    'rauta_mirrored_requests_total',
    'counter',
    'Copies of requests: sent; dropped before (broken off, too large, too many); failed, sent or not.',
    'result',
  ),
  limits: metric(
    'rauta_limit_reached_total',
    'counter',
    'Times a limit was reached (docs/reference/limits.md).',
    'limit',
  ),
  tlsCertificates: metric(
    'rauta_tls_certificates',
    'gauge',
    'Certificates that listeners show: valid, expiring (within 30 days), expired, not_yet_valid.',
    'state',
  ),
  tlsOcsp: metric(
    'rauta_tls_ocsp',
    'gauge',
    'Certificates that listeners show, by the OCSP response that is shown with them: none, good, expired (not shown).',
    'state',
  ),
  tlsCertificateEnd: metric(
    'rauta_tls_certificate_not_after_seconds',
    'gauge',
    'Unix time at which a certificate ends; of those 20 that end first.',
    'certificate',
  ),
  tlsHandshakes: metric(
    'rauta_tls_handshakes_total',
    'counter',
    'TLS handshakes by what became of them; version and resumed are empty for those that did not end well.',
    'side',
    'version',
    'resumed',
    'result',
  ),
  http2Streams: metric('rauta_http2_streams', 'gauge', 'Open streams of HTTP/2 connections, by side.', 'side'),
  http2Resets: metric(
    'rauta_http2_resets_total',
    'counter',
    'Streams of HTTP/2 that were reset, by us or by the other end, by code.',
    'side',
    'code',
  ),
  http2Goaways: metric(
    'rauta_http2_goaways_total',
    'counter',
    'GOAWAY frames of HTTP/2 connections, sent or received, by code. Floods: rauta_limit_reached_total.',
    'side',
    'code',
  ),
  logLines: metric('rauta_access_log_lines_total', 'counter', 'Access log lines written by workers.'),
  logDropped: metric(
    'rauta_access_log_dropped_total',
    'counter',
    'Access log lines that went nowhere: no room in the ring, nobody who took them, or no lines.',
  ),
  configRevision: metric('rauta_config_revision', 'gauge', 'Newest revision made from the resources.'),
  configAcked: metric('rauta_config_revision_acked', 'gauge', 'Newest revision that every live worker serves.'),
  configProblems: metric(
    'rauta_config_problems',
    'gauge',
    'Problems in the resources, as listed at /config/problems.',
    'severity',
  ),
  configObjects: metric('rauta_config_objects', 'gauge', 'Resources read, by kind.', 'kind'),
  configQuarantined: metric(
    'rauta_config_quarantined',
    'gauge',
    '1 while the newest revision is held back because workers died of it; the one before is served.',
  ),
  configRefused: metric('rauta_config_refused_total', 'counter', 'Revisions that a worker refused.'),
  workers: metric('rauta_workers', 'gauge', 'Worker slots by state.', 'state'),
  workerRestarts: metric(
    'rauta_worker_restarts_total',
    'counter',
    'Workers replaced, by cause: exit, stalled (no progress), violation (of the protocol).',
    'cause',
  ),
  controllerRestarts: metric(
    'rauta_controller_restarts_total',
    'counter',
    'Controllers replaced, by cause; traffic went on.',
    'cause',
  ),
  workerCpu: metric('rauta_worker_cpu_seconds_total', 'counter', 'CPU used by the workers of a slot.', 'worker'),
  workerRss: metric('rauta_worker_resident_memory_bytes', 'gauge', 'Resident memory of a worker.', 'worker'),
  workerArena: metric('rauta_worker_arena_bytes', 'gauge', 'Buffer memory a worker holds.', 'worker'),
  workerTurns: metric('rauta_worker_turns_total', 'counter', 'Event loop turns that handled something.', 'worker'),
  restartStorm: metric('rauta_worker_restart_storm', 'gauge', '1 while workers die faster than they are replaced.'),
  kubernetesRequests: metric(
    'rauta_kubernetes_requests_total',
    'counter',
    'Questions to the API server since the controller started; code 0: no answer.',
    'verb',
    'kind',
    'code',
  ),
  kubernetesSynced: metric('rauta_kubernetes_synced', 'gauge', '1 when all objects of a kind have been read.', 'kind'),
  kubernetesRelists: metric(
    'rauta_kubernetes_relists_total',
    'counter',
    'Times that a kind was read anew as a whole since the controller started, by cause.',
    'kind',
    'cause',
  ),
  leader: metric('rauta_leader', 'gauge', '1 while this program is the one that writes to the API server.'),
  statusWrites: metric(
    'rauta_status_writes_total',
    'counter',
    'Statuses written since the controller started: ok, conflict (and done again), refused, failed, left to others.',
    'kind',
    'result',
  ),
  generatedWrites: metric(
    'rauta_generated_writes_total',
    'counter',
    'Services and EndpointSlices of Gateways: ok, removed, conflict, refused, failed, left to others.',
    'kind',
    'result',
  ),
  eventsDropped: metric(
    'rauta_kubernetes_events_dropped_total',
    'counter',
    'Events that were not told because there were too many, since the controller started.',
  ),
  cpu: metric('process_cpu_seconds_total', 'counter', 'CPU used by the controller.'),
  rss: metric('process_resident_memory_bytes', 'gauge', 'Resident memory of the controller.'),
  start: metric('process_start_time_seconds', 'gauge', 'Unix time at which the controller started.'),
} as const satisfies Record<string, Metric>;
