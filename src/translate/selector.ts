// Label selectors (metav1.LabelSelector): an empty one selects everything, an invalid one nothing.

import { fields } from '../base/fields.ts';
import { anyText, list, text } from './read.ts';

export type Labels = Readonly<Record<string, unknown>>;

export function selects(selector: unknown, labels: Labels): boolean {
  const spec = fields(selector);
  for (const [name, value] of Object.entries(fields(spec['matchLabels']))) if (labels[name] !== value) return false;
  return list(spec['matchExpressions']).every((expression) => matches(fields(expression), labels));
}

function matches(expression: Labels, labels: Labels): boolean {
  const key = text(expression['key']);
  if (key === undefined) return false;
  const value = anyText(labels[key]);
  const values = list(expression['values']);
  switch (expression['operator']) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    default:
      return false;
  }
}
