// An explanation as a table that a person reads.

import { addressText } from '../base/ip.ts';
import type { BackendPart, Explanation } from './explanation.ts';

const WIDTH = 11;

/** Lines without their ends. */
export function explanationText(told: Explanation): string[] {
  const { outcome, flag, socket, listener, rule, filters, location } = told;
  const lines: string[] = [];
  const row = (name: string, ...values: readonly string[]): void => {
    values.forEach((value, i) => {
      if (value !== '') lines.push(`${(i === 0 ? name : '').padEnd(WIDTH)}${value}`);
    });
  };
  row('outcome', flag === '' ? outcome : `${outcome} [${flag}]`);
  if (socket !== null) row('socket', addressText(socket.address, socket.port));
  if (listener !== null) {
    const { gateway, name, hostname, protocol, port } = listener;
    row('listener', `${gateway} ${name} (${protocol} ${hostname}:${port})`);
  }
  if (rule !== null) {
    row('rule', `${rule.kind} ${rule.route} rule ${rule.index}${rule.name === '' ? '' : ` (${rule.name})`}`);
    row('match', rule.match);
    row('timeouts', rule.timeouts);
    row('retry', rule.retry);
  }
  row('filters', ...filters);
  if (location !== null) row('location', location);
  for (const backend of told.backends) row('backend', ...backendLines(backend));
  for (const { rule: name, match, why } of told.misses) row('not', `${name}: ${match}`, `  because ${why.join('; ')}`);
  for (const { object, why } of told.keptOut) row('kept out', object, `  ${why}`);
  row('wrong', ...told.problems);
  row('note', ...told.notes);
  return lines;
}

function backendLines(backend: BackendPart): string[] {
  const { protocol, tls, balancer, share, broken } = backend;
  const how = [protocol, tls, balancer].filter((part) => part !== '').join(', ');
  return [
    `${backend.backend}: ${Math.round(share * 1000) / 10} %${how === '' ? '' : ` (${how})`}`,
    broken === '' ? '' : `  ${broken}`,
    ...backend.filters.map((filter) => `  ${filter}`),
    ...(broken === '' ? backend.sent.map((line) => `  > ${line}`) : []),
    ...backend.endpoints.map(({ id, address, port, zone, state, turn, load }) => {
      const where = port === 0 ? address : addressText(address, port);
      const facts = [id === where ? '' : id, zone === '' ? '' : `zone ${zone}`, state, load].filter(
        (part) => part !== '',
      );
      return `  ${turn === '' ? '-' : turn === 'next' ? '=>' : '~>'} ${where} (${facts.join(', ')})`;
    }),
  ];
}
