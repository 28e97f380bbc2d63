// The same with others, measured on 2026-11-21 on a machine of this kind (2 cores, everything on it) in the same kind
// of cluster, one run each: times differ by a third for no reason, counts and memory are firmer. Envoy Gateway 1.9.0
// with Envoy 1.40.0 and its chart's defaults, both planes apart; Traefik 3.7.9 in one process, updates every 2 s.

/** [Envoy Gateway, Traefik] by table and row. */
export const PEERS: Readonly<Record<string, Readonly<Record<string, readonly [number | string, number | string]>>>> = {
  attached: {
    'created in, s': [6.4, 4.03],
    'attachedRoutes right, s after the last create': [17, 15.53],
    'all Accepted, s after the last create': [17.37, 15.53],
    'attachedRoutes 0, s after the last delete': [0.43, 0.04],
    'Gateway writes while creating': [91, 5],
    'Gateway writes while deleting': [83, 38],
    'route writes while creating': [1000, 1000],
    'route writes while deleting': [0, 0],
  },
  probe: {
    'routes made': ['815 in 200 s', '30 in 60 s'],
    'create to 200, ms, mean': [233.5, 1995.4],
    'create to 200, ms, p50': [227, 1998],
    'create to 200, ms, p99': [515.1, 2224.7],
    'create to 200, ms, max': [771.4, 2224.7],
    'answers neither 404 nor 200 before the first 200': [173, 0],
    'errors after the first 200': [0, 0],
  },
  change: {
    'errors, 20 changes 500 ms apart': [17, 0],
    'errors, 20 changes 50 ms apart': [11, 0],
    "visible after the update's return, 500 ms apart, ms, mean": [21.3, '662 (7 of 20)'],
    "visible after the update's return, 500 ms apart, ms, max": [42.8, 2084.5],
  },
  scale: {
    routes: [5000, 5000],
    'objects created in, s': [212.84, 136.26],
    'traffic right, s after the last create': [42.45, 7.07],
    'at rest, cores of the controller': [0.001, 0],
    'at rest, cores of the worker': [0.039, 0],
    'in churn, cores of the controller': [1.164, '1.716 (both)'],
    'in churn, cores of the worker': [0.221, '1.716 (both)'],
    'in churn, RSS of the controller, MB': ['763 (max)', '436 (both, max)'],
    'in churn, RSS of the worker, MB': ['762 (max)', '436 (both, max)'],
    'endpoint change visible in churn, ms, mean': [4964.7, 3536.4],
    'endpoint change visible in churn, ms, p99': [8309.8, 4447.4],
    'new route in churn to 200, ms, mean': [6173, 3722.5],
    'new route in churn to 200, ms, max': [9893.7, 4459.8],
    'errors in churn': [0, 0],
    series: [1245017, 50139],
  },
};
