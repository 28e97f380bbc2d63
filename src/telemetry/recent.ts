// The ring of recent requests: the last lines as the workers wrote them, parsed only when somebody asks.

/** A parsed access log line; docs/reference/access-log.md names the fields. */
export type RequestLine = Readonly<Record<string, string | number>>;

export interface RequestFilter {
  readonly route?: string;
  /** A status, or a class like `5xx`. */
  readonly status?: string;
  readonly limit: number;
}

export class Recent {
  /** Whole lines, oldest first, as they came; together a little more than the capacity. */
  #chunks: Buffer[] = [];
  #bytes = 0;
  readonly #capacity: number;

  /** Keeps at least the last `capacity` bytes of lines. */
  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** Takes whole lines; looks at none of them. */
  add(lines: Buffer): void {
    this.#chunks.push(lines);
    this.#bytes += lines.length;
    while (this.#bytes - (this.#chunks[0] as Buffer).length >= this.#capacity) {
      this.#bytes -= (this.#chunks.shift() as Buffer).length;
    }
  }

  /** Newest first. */
  list(filter: RequestFilter): RequestLine[] {
    const out: RequestLine[] = [];
    for (let c = this.#chunks.length - 1; c >= 0; c--) {
      const lines = (this.#chunks[c] as Buffer).toString('utf8').split('\n');
      for (let i = lines.length - 1; i >= 0; i--) {
        if (out.length >= filter.limit) return out;
        if (lines[i] === '') continue;
        const line = JSON.parse(lines[i] as string) as RequestLine;
        if (filter.route !== undefined && line['route'] !== filter.route) continue;
        if (filter.status !== undefined && !statusMatches(filter.status, Number(line['status']))) continue;
        out.push(line);
      }
    }
    return out;
  }
}

function statusMatches(wanted: string, status: number): boolean {
  return /^[1-5]xx$/i.test(wanted) ? Math.floor(status / 100) === Number(wanted[0]) : String(status) === wanted;
}

/** `GET /api/users 200 12ms → 10.0.1.42:8080` */
export function describe(line: RequestLine): string {
  const to = line['endpoint'] === undefined ? '' : ` → ${line['endpoint']}`;
  const flags = line['flags'] === '' ? '' : ` ${line['flags']}`;
  return `${line['method']} ${line['path']} ${line['status']} ${Math.round(Number(line['duration_ms']))}ms${to}${flags}`;
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** The line in the combined format of NCSA httpd, UTC. Quotes and control bytes stay escaped as in JSON. */
export function combined(line: RequestLine): string {
  const time = String(line['time']);
  const stamp = `${time.slice(8, 10)}/${MONTHS[Number(time.slice(5, 7)) - 1]}/${time.slice(0, 4)}:${time.slice(11, 19)} +0000`;
  const request = `${text(line['method'])} ${text(line['path'])} ${line['protocol']}`;
  return `${line['client']} - - [${stamp}] "${request}" ${line['status']} ${line['response_bytes']} "-" "${text(line['user_agent'])}"\n`;
}

function text(value: string | number | undefined): string {
  return JSON.stringify(String(value ?? ''))
    .slice(1, -1)
    .replace(
      /[\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g,
      (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
    );
}
