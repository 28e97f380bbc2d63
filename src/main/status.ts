// `rauta status`: what a running program says of itself.

import { type StatusReport, statusLines } from '../admin/status.ts';
import { EXIT } from '../base/errors.ts';
import { visibleJson } from '../base/steering.ts';
import { type Given, isSet, usageError } from '../cli/arguments.ts';
import { askAdmin } from './ask-admin.ts';
import { print } from './printing.ts';

export async function runStatus({ flags, operands }: Given): Promise<number> {
  if (operands[0] !== undefined) throw usageError(`unexpected argument '${operands[0]}'; leave out ${operands[0]}`);
  const report = (await askAdmin('/status', flags)) as StatusReport;
  const lines = isSet(flags, 'json')
    ? [visibleJson(JSON.stringify(report, null, 2))]
    : statusLines(report, isSet(flags, 'quiet'));
  if (lines.length > 0) print(`${lines.join('\n')}\n`);
  return report.healthy ? EXIT.ok : EXIT.configuration;
}
