// What a run of load gives.

export interface Sample {
  readonly requests: number;
  readonly errors: number;
  readonly cpuUs: number;
  readonly p99Us: number;
  /** Share of time that the hypervisor took away, percent. */
  readonly steal: number;
}

export type Counts = Pick<Sample, 'requests' | 'errors' | 'p99Us'>;

/** Runs a load generator; resolves with what it says on its standard output. */
export type Load = (argv: readonly string[]) => Promise<string>;
