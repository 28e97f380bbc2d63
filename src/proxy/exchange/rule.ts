// A rule as the data plane uses it: everything that is the same for each of its requests is prepared here.

import { LIMITS } from '../../base/limits.ts';
import type { Action, Filter, Key, RuleEntry, WeightedBackend } from '../../ir/ir.ts';
import { Fragment } from '../../telemetry/fragment.ts';
import { OTHER_ROUTE_BLOCK } from '../../telemetry/layout.ts';
import { CompiledAccess } from '../filter/access.ts';
import { CompiledCors, withoutSaid } from '../filter/cors.ts';
import { compileEdits, type Edits } from '../filter/edits.ts';
import { FieldLines } from '../filter/field-lines.ts';
import { CompiledRedirect } from '../filter/redirect.ts';
import type { Cluster } from '../upstream/cluster.ts';
import { type Picker, splitPicker } from '../upstream/pick/picker.ts';
import { ANSWER_BYTES, Answer, NO_BODY } from './answer.ts';
import type { Decision } from './decision.ts';
import type { TapSource } from './tap.ts';

/** The steps of a rule's chain, in the order in which they may stand. */
export const STEP = {
  /** Who may ask. */
  ACCESS: 0,
  /** What scripts of other origins may read. */
  CORS: 1,
  /** How much content a request may have. */
  CONTENT: 2,
  /** Somebody else has a say. */
  DECIDE: 3,
  /** Somebody else reads what passes. */
  TAP: 4,
  // ---- and one that ends it
  /** To a backend, with the edits of the rule and of the backend. */
  FORWARD: 5,
  REDIRECT: 6,
  RESPOND: 7,
} as const;

export type Step =
  | { readonly kind: typeof STEP.ACCESS; readonly access: CompiledAccess }
  | { readonly kind: typeof STEP.CORS; readonly cors: CompiledCors }
  | { readonly kind: typeof STEP.CONTENT; readonly bytes: number }
  | { readonly kind: typeof STEP.DECIDE; readonly decision: Decision }
  | { readonly kind: typeof STEP.TAP; readonly source: TapSource }
  | { readonly kind: typeof STEP.FORWARD }
  | { readonly kind: typeof STEP.REDIRECT }
  /** `written`: somebody wrote what is answered; else it is how a rule fails. */
  | { readonly kind: typeof STEP.RESPOND; readonly answer: Answer; readonly written: boolean };

/** What a rule's chain has besides its end, made of its entry by who knows how. */
export interface Extras {
  readonly decisions: readonly Decision[];
  readonly taps: readonly TapSource[];
}
export const NO_EXTRAS: Extras = { decisions: [], taps: [] };

// Most rules have one of these, and share it.
const FORWARD: readonly Step[] = [{ kind: STEP.FORWARD }];
const REDIRECT: readonly Step[] = [{ kind: STEP.REDIRECT }];

/** The way of a request through its rule, as one list. */
function chainOf(
  entry: RuleEntry,
  answer: Answer | null,
  cors: CompiledCors | null,
  { decisions, taps }: Extras,
): readonly Step[] {
  const { type } = entry.action;
  const end: readonly Step[] =
    type === 'forward'
      ? FORWARD
      : answer === null || (type === 'redirect' && !editedOf(entry.filters).has('location'))
        ? REDIRECT
        : [{ kind: STEP.RESPOND, answer, written: type !== 'respond' }];
  const access = entry.filters.flatMap((filter) => (filter.type === 'access' ? [new CompiledAccess(filter)] : []));
  const content = entry.filters.flatMap((filter) => (filter.type === 'contentLimit' ? [filter.bytes] : []));
  if (cors === null && access.length + content.length + decisions.length + taps.length === 0) return end;
  return [
    ...access.map((one): Step => ({ kind: STEP.ACCESS, access: one })),
    ...(cors === null ? [] : [{ kind: STEP.CORS, cors }]),
    ...content.map((bytes): Step => ({ kind: STEP.CONTENT, bytes })),
    ...decisions.map((decision): Step => ({ kind: STEP.DECIDE, decision })),
    ...taps.map((source): Step => ({ kind: STEP.TAP, source })),
    ...end,
  ];
}

/** What a key stands for now; rules hold these, so that a cluster changes without any rule being touched. */
export class ClusterRef {
  readonly key: Key;
  current: Cluster | null = null;
  /** Rules that name it. */
  uses = 0;
  /** A list of it. */
  readonly alone: readonly ClusterRef[] = [this];
  #backend = '';
  #json: Fragment | null = null;
  constructor(key: Key) {
    this.key = key;
  }

  /** `"backend":"ns/name:80"`: one for all rules that call it the same, which mostly they do. */
  jsonOf(backend: string): Fragment {
    if (this.#json === null || this.#backend !== backend) {
      this.#json = Fragment.members({ backend });
      this.#backend = backend;
    }
    return this.#json;
  }
}

const NO_CLUSTERS: readonly ClusterRef[] = [];

/** The same in as little memory as it takes: most rules name one cluster, many the same. */
function kept(clusters: readonly ClusterRef[]): readonly ClusterRef[] {
  const [first] = clusters;
  if (first === undefined) return NO_CLUSTERS;
  return clusters.length === 1 ? first.alone : clusters.slice();
}

/** The telemetry cells of a route, assigned by a CellsEntry. */
export class RouteCells {
  route: number = OTHER_ROUTE_BLOCK;
  uses = 0;
}

export class CompiledBackend {
  /** `"backend":"ns/name:80"` */
  readonly json: Fragment;
  /** null: an invalid reference. */
  readonly cluster: ClusterRef | null;
  readonly edits: Edits | null;
  /** What is added to its responses, with what scripts of other origins may do. */
  readonly crossOrigin: CrossOrigin | null;

  constructor(
    backend: WeightedBackend,
    cluster: ClusterRef | null,
    filters: readonly Filter[],
    cors: CompiledCors | null,
  ) {
    this.json = cluster === null ? Fragment.members({ backend: backend.backend }) : cluster.jsonOf(backend.backend);
    this.cluster = cluster;
    this.edits = checkedEdits(compileEdits(filters, backend.filters));
    this.crossOrigin = cors === null ? null : new CrossOrigin(cors, this.edits?.responseLines ?? null);
  }
}

function corsOf(filters: readonly Filter[]): CompiledCors | null {
  const found = filters.find((filter) => filter.type === 'cors');
  return found === undefined ? null : new CompiledCors(found.cors);
}

/** Response lines by what scripts of an origin may do, made when it is first seen. */
class CrossOrigin {
  readonly #cors: CompiledCors;
  readonly #lines: FieldLines | null;
  readonly #byKey = new Map<string, FieldLines>();

  constructor(cors: CompiledCors, lines: FieldLines | null) {
    this.#cors = cors;
    this.#lines = lines;
    checkedSize(this.#made('x'.repeat(LIMITS.CORS_ORIGIN_BYTES)).http1.size);
  }

  #made(origin: string): FieldLines {
    const said = this.#cors.lines(origin);
    return new FieldLines([...(this.#lines === null ? [] : withoutSaid(this.#lines, said).lines), ...said]);
  }

  /** `origin`: CompiledCors.originOf. */
  linesFor(origin: string): FieldLines {
    const key = this.#cors.answerKey(origin);
    let lines = this.#byKey.get(key);
    if (lines === undefined) {
      lines = this.#made(origin);
      if (this.#byKey.size >= LIMITS.CORS_ORIGINS) this.#byKey.clear();
      this.#byKey.set(key, lines);
    }
    return lines;
  }
}

export class CompiledRule {
  readonly entry: RuleEntry;
  #json: Fragment | null = null;
  readonly cells: RouteCells;
  readonly chain: readonly Step[];
  /** Calls of gRPC-Web are translated. */
  readonly grpcWeb: boolean;
  /** Backends are told of clients as ingress-nginx tells them. */
  readonly ofIngress: boolean;
  /** Runs of slashes in the path go on. */
  readonly keepsSlashes: boolean;
  /** Of REDIRECT (which adds Location) and RESPOND, else null. */
  readonly answer: Answer | null;
  readonly redirect: CompiledRedirect | null;
  readonly cors: CompiledCors | null;
  /** What is added to answers that no backend gave, besides their own fields. */
  readonly crossOrigin: CrossOrigin | null;
  /** 0 is none. */
  readonly requestTimeoutMs: number;
  readonly backendTimeoutMs: number;
  readonly idleTimeoutMs: number;
  /**
   * Somebody has said how long a request may take, or that it may take for ever: no other limit of time is put on it.
   */
  readonly timed: boolean;
  readonly clusters: readonly ClusterRef[];
  readonly #backends: readonly CompiledBackend[];
  /** null when there is one backend, and it gets everything. */
  readonly #split: Picker | null;

  /** Throws when a filter or the redirect cannot be compiled. */
  constructor(entry: RuleEntry, cells: RouteCells, clusterOf: (key: Key) => ClusterRef, extras: Extras = NO_EXTRAS) {
    const action = entry.action;
    this.entry = entry;
    this.cells = cells;
    this.grpcWeb = entry.routeKind === 'GRPCRoute' || entry.filters.some(({ type }) => type === 'grpcWeb');
    this.ofIngress = entry.routeKind === 'Ingress';
    this.keepsSlashes = keepsSlashes(entry);
    this.requestTimeoutMs = entry.timeouts.requestMs ?? 0;
    this.backendTimeoutMs = entry.timeouts.backendMs ?? 0;
    this.idleTimeoutMs = entry.timeouts.idleMs ?? 0;
    this.timed = entry.timeouts.requestMs !== null || entry.timeouts.backendMs !== null;
    this.redirect = action.type === 'redirect' ? new CompiledRedirect(action.redirect) : null;
    this.answer = action.type === 'forward' ? null : answerOf(action, entry.filters);
    this.cors = corsOf(entry.filters);
    this.crossOrigin = this.cors === null ? null : new CrossOrigin(this.cors, null);
    this.chain = chainOf(entry, this.answer, this.cors, extras);
    const backends = action.type === 'forward' ? action.backends : [];
    this.#backends = backends.map(
      (b) => new CompiledBackend(b, b.cluster === null ? null : clusterOf(b.cluster), entry.filters, this.cors),
    );
    const besides = entry.filters.flatMap((f) =>
      (f.type === 'mirror' || f.type === 'externalAuth') && f.cluster !== null ? clusterOf(f.cluster) : [],
    );
    this.clusters = kept([...this.#backends.flatMap((b) => b.cluster ?? []), ...besides]);
    const alone = backends.length === 1 && (backends[0] as WeightedBackend).weight > 0;
    this.#split = alone ? null : splitPicker(backends.map((b) => b.weight));
  }

  /**
   * `"route":"ns/name","rule":"0"`, made when a request first takes the rule: most of ten thousand are rarely taken.
   */
  get json(): Fragment {
    if (this.#json !== null) return this.#json;
    const { route, name, index } = this.entry;
    this.#json = Fragment.members({ route, rule: name === '' ? String(index) : name });
    return this.#json;
  }

  /** The backend that the next request goes to; null when none may get any. */
  pick(): CompiledBackend | null {
    if (this.#split === null) return this.#backends[0] as CompiledBackend;
    const index = this.#split.pick(0);
    return index < 0 ? null : (this.#backends[index] as CompiledBackend);
  }
}

/** What expressions are for is the path that was matched. */
function keepsSlashes({ action, filters }: RuleEntry): boolean {
  const captured = (filter: Filter): boolean => filter.type === 'rewrite' && filter.path?.type === 'ReplaceExpression';
  return action.type === 'forward' && filters.some(({ type }) => type === 'keepSlashes') && !filters.some(captured);
}

/** What a rule says that asks no backend, with what its filters add to responses. */
function answerOf(action: Exclude<Action, { readonly type: 'forward' }>, filters: readonly Filter[]): Answer {
  const lines = checkedEdits(compileEdits(filters, []))?.responseLines ?? null;
  if (action.type !== 'static') {
    return new Answer(action.type === 'redirect' ? action.redirect.status : action.status, lines, NO_BODY, false);
  }
  const edited = editedOf(filters);
  const own = action.headers.filter(({ name }) => !edited.has(name.toLowerCase()));
  const fields = new FieldLines([...own, ...(lines?.lines ?? [])]);
  return new Answer(action.status, fields, Buffer.from(action.body, 'base64'), false);
}

/** Fields (lower case) that a filter sets or removes: it does so to what is answered here, too. */
function editedOf(filters: readonly Filter[]): ReadonlySet<string> {
  const names = filters.flatMap((filter) =>
    filter.type === 'responseHeaders' ? [...filter.edits.set.map(({ name }) => name), ...filter.edits.remove] : [],
  );
  return new Set(names.map((name) => name.toLowerCase()));
}

/** A response head is written in one piece: what filters add must fit there besides the largest head. */
function checkedEdits(edits: Edits | null): Edits | null {
  checkedSize(edits?.responseLines?.http1.size ?? 0);
  return edits;
}

function checkedSize(size: number): void {
  if (size > ANSWER_BYTES) throw new Error(`response header filters add ${size} bytes, more than ${ANSWER_BYTES}`);
}
