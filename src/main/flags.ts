// The flags of `rauta serve`: names, values, defaults, and what help and the reference page say of them.

import { LEVELS } from '../base/log.ts';

export interface Flag {
  readonly name: string;
  readonly value: string;
  readonly default: string;
  /** With --kubernetes in a pod, where probes come from outside and endpoints are taken away with a delay. */
  readonly podDefault?: string;
  readonly help: string;
  /** May be given several times. */
  readonly many?: boolean;
  /** Takes no value. */
  readonly bare?: boolean;
}

/** Printed by `rauta serve --help` and checked against docs/reference/flags.md. */
export const FLAGS: readonly Flag[] = [
  {
    name: 'config',
    value: 'PATH',
    default: '',
    help: 'file or folder with resources (YAML or JSON), watched; repeatable',
    many: true,
  },
  {
    name: 'kubernetes',
    value: '',
    default: 'false',
    help: 'resources from a Kubernetes API server (RAUTA_K8S_MODE=true says the same); not with --config',
    bare: true,
  },
  {
    name: 'kubeconfig',
    value: 'FILE',
    default: '',
    help: 'how the API server is reached; without it KUBECONFIG, then the pod it runs in, then ~/.kube/config',
  },
  { name: 'context', value: 'NAME', default: '', help: 'context of the kubeconfig; its current one if none is named' },
  {
    name: 'watch-namespaces',
    value: 'A[,B]',
    default: '',
    help: 'only resources in these namespaces count, and only there rights are needed',
  },
  {
    name: 'backends',
    value: 'off|on|local',
    default: 'off',
    help: 'whether Backend objects of the API server count: any address but those of this machine (on), those too (local)',
  },
  { name: 'api-qps', value: 'N', default: '200', help: 'questions a second to the API server' },
  { name: 'api-burst', value: 'N', default: '400', help: 'questions at once before --api-qps holds' },
  {
    name: 'leader-election',
    value: 'on|off',
    default: 'on',
    help: 'of several replicas only the holder of a lease writes; off: this one always does, and has to be alone',
  },
  {
    name: 'lease',
    value: 'NS/NAME',
    default: '',
    help: 'the lease; rauta in the namespace of the pod or of the context (else default) when none is named',
  },
  {
    name: 'gateway-service',
    value: 'none|ClusterIP|NodePort|LoadBalancer',
    default: 'none',
    help: "type of the Service that is kept for each Gateway, in its namespace; its address is the Gateway's",
  },
  {
    name: 'publish-service',
    value: 'NS/NAME',
    default: '',
    help: 'Service that leads here: its addresses are those of Gateways that name none',
  },
  {
    name: 'admin',
    value: 'HOST:PORT|off',
    default: '127.0.0.1:9090',
    podDefault: '0.0.0.0:9090',
    help: 'admin server: metrics, probes, requests, config',
  },
  { name: 'requests', value: 'HOST:PORT', default: '', help: "a second bind of the admin's read-only pages" },
  {
    name: 'admin-token-file',
    value: 'FILE',
    default: '',
    help: 'token that opens the admin pages on a bind that is not loopback',
  },
  {
    name: 'admin-allowed-hosts',
    value: 'NAME[,NAME]',
    default: '',
    help: 'names besides localhost accepted in the Host field by the admin server',
  },
  {
    name: 'tls-cert',
    value: 'FILE',
    default: '',
    help: 'TLS on RAUTA_BIND_ADDR: its certificate and those that lead to its root (PEM), read again when they change',
  },
  {
    name: 'tls-key',
    value: 'FILE',
    default: '',
    help: 'the private key of --tls-cert (PEM); only root need be able to read it',
  },
  {
    name: 'default-certificate',
    value: 'NS/NAME',
    default: '',
    help: 'Secret whose certificate clients get that name no host of a listener (no SNI, or an unknown one); else they are refused',
  },
  { name: 'workers', value: 'N|auto', default: 'auto', help: 'worker processes; auto is the cores it may use' },
  { name: 'listen', value: 'HOST[,HOST]', default: '0.0.0.0,::', help: 'addresses for Gateways that name none' },
  {
    name: 'address-pool',
    value: 'CIDR[,CIDR]',
    default: '',
    help: 'give each Gateway an address of its own out of these, which must be addresses of this machine',
  },
  {
    name: 'zone',
    value: 'NAME',
    default: '',
    help: 'zone this program is in, for Services that prefer near endpoints; by default that of its node (NODE_NAME)',
  },
  {
    name: 'port-map',
    value: 'A=B[,C=D]',
    default: '',
    help: 'listen on B for listeners of port A, for those who may not bind low ports',
  },
  { name: 'access-log', value: '-|off|PATH', default: '-', help: 'where the access log goes (- is standard output)' },
  { name: 'access-log-format', value: 'json|combined', default: 'json', help: 'format of the access log' },
  { name: 'access-log-query', value: '', default: 'false', help: 'log query strings too', bare: true },
  {
    name: 'gateway-class',
    value: 'NAME',
    default: 'rauta',
    help: 'class that needs no GatewayClass object; with --kubernetes the only class that is served, when given',
  },
  {
    name: 'controller-name',
    value: 'NAME',
    default: 'rauta.io/gateway-controller',
    help: 'GatewayClass.spec.controllerName that is ours',
  },
  { name: 'log-level', value: LEVELS.join('|'), default: 'info', help: 'what goes to the log (standard error)' },
  { name: 'log-format', value: 'json|text', default: '', help: 'json, or text on a terminal' },
  {
    name: 'drain-delay',
    value: 'DURATION',
    default: '0s',
    podDefault: '5s',
    help: 'how long to go on accepting after SIGTERM, while /readyz says 503',
  },
  { name: 'drain-timeout', value: 'DURATION', default: '30s', help: 'how long requests in flight may take to end' },
  {
    name: 'takeover',
    value: 'PATH',
    default: '',
    help: 'unix socket by which a successor takes the listening sockets over',
  },
  {
    name: 'state-file',
    value: 'FILE',
    default: '',
    help: 'what is served is kept there, without private keys, and served after a start until the API server has answered',
  },
  {
    name: 'keys-file',
    value: 'FILE',
    default: '',
    help: 'secrets that replicas share, from which keys of TLS session tickets are derived: base64, a line each, the first issues; read again when it changes',
  },
  {
    name: 'after-takeover',
    value: 'exit|wait',
    default: 'exit',
    podDefault: 'wait',
    help: 'what a program does that handed over: wait for SIGTERM, where one that exits would be started again',
  },
  {
    name: 'client-idle-timeout',
    value: 'DURATION',
    default: '180s',
    help: "how long a client's connection may stay between two requests; longer than a load balancer in front keeps it",
  },
  {
    name: 'stream-idle-timeout',
    value: 'DURATION',
    default: '300s',
    help: 'how long nothing may move of a request, its response or a tunnel; a rule with timeouts of its own is asked instead',
  },
  {
    name: 'body-idle-timeout',
    value: 'DURATION',
    default: '30s',
    help: 'how long a client may pause while it sends the content of a request',
  },
  {
    name: 'half-close',
    value: 'on|off',
    default: 'off',
    help: 'off: a client that sends FIN before it has its answer is gone, its request is cancelled; on: it is still answered',
  },
  {
    name: 'lenient',
    value: '',
    default: 'false',
    help: 'fields and kinds that are not known are warnings, not errors',
    bare: true,
  },
  {
    name: 'user',
    value: 'NAME',
    default: 'nobody',
    help: 'what workers and the controller run as when started by root',
  },
  {
    name: 'trusted-proxies',
    value: 'CIDR[,CIDR]',
    default: '',
    help: 'whose X-Forwarded-*, Forwarded and X-Request-ID are believed',
  },
  {
    name: 'proxy-protocol',
    value: 'CIDR[,CIDR]',
    default: '',
    help: 'load balancers whose connections begin with a PROXY header (v1, v2); the annotation `rauta.io/proxy-protocol` of a Gateway says otherwise for its listeners',
  },
  { name: 'metrics-max-routes', value: 'N', default: '20', help: 'routes with a label of their own in the metrics' },
  {
    name: 'metrics-max-backends',
    value: 'N',
    default: '50',
    help: 'backends with a label of their own in the metrics',
  },
];
