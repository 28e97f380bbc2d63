// What the shapes of RAUTA's own kinds do not say, in CEL: in their definitions (tools/crds.ts), so that an API server
// checks it, and where files are checked (cel.ts).

/** An expression of CEL that is true of a good value, `self`, and what is said of one that is not. */
export interface CelRule {
  readonly rule: string;
  readonly message: string;
}

/** By path within an object: `spec.rules[].filters[]`, `[]` for each item of a list, `{}` for each value of a map. */
export type CelRules = Readonly<Record<string, readonly CelRule[]>>;

const PARAMETERS: CelRules = {
  'spec.errorResponses': [
    {
      rule: "!has(self.problemDetail) || !has(self.kind) || self.kind == 'ProblemDetail'",
      message: 'problemDetail is for kind ProblemDetail: write kind: ProblemDetail, or leave it out',
    },
  ],
  'spec.clientAddresses': [
    {
      rule: "!has(self.header) || !has(self.source) || self.source == 'Header'",
      message: 'header is for source Header: write source: Header, or leave it out',
    },
    {
      rule: "!has(self.proxies) || !has(self.source) || self.source != 'None'",
      message: 'with source None nobody is believed: leave proxies out, or write source: Proxies',
    },
  ],
  'spec.clientAddresses.proxies.trustedIps[]': [
    { rule: 'isIP(self)', message: 'must be an IPv4 or IPv6 address; ranges go to trustedRanges' },
  ],
  'spec.clientAddresses.proxies.trustedRanges[]': [
    { rule: 'isCIDR(self)', message: 'must be a CIDR range like 10.0.0.0/8; addresses go to trustedIps' },
  ],
};

export const OWN_CEL: Readonly<Record<string, CelRules>> = {
  Backend: {
    'spec.endpoints[]': [
      {
        rule: '[has(self.address), has(self.hostname), has(self.unix)].filter(x, x).size() == 1',
        message: 'exactly one of address, hostname and unix',
      },
      { rule: 'has(self.unix) != has(self.port)', message: 'address and hostname need a port, unix has none' },
    ],
  },
  GatewayClassParameters: PARAMETERS,
  GatewayParameters: PARAMETERS,
  StaticResponseFilter: {
    'spec.body': [{ rule: '!has(self.text) || !has(self.binary)', message: 'at most one of text and binary' }],
  },
};
