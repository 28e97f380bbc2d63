// Label selectors (metav1.LabelSelector): read once, with everything that is wrong named; an invalid one selects
// nothing.

import { fields, isFields } from '../base/fields.ts';
import type { Report } from './http-match.ts';
import { anyText, list, shown } from './read.ts';

type Labels = Readonly<Record<string, unknown>>;

export interface Selector {
  /** ANDed, with each other and with the requirements: none at all select everything. */
  readonly labels: readonly (readonly [key: string, value: string])[];
  readonly requirements: readonly Requirement[];
}

interface Requirement {
  readonly key: string;
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
  readonly values: readonly string[];
}

/** Whether each operator takes values (metav1.LabelSelectorRequirement). */
const TAKES_VALUES: ReadonlyMap<unknown, boolean> = new Map([
  ['In', true],
  ['NotIn', true],
  ['Exists', false],
  ['DoesNotExist', false],
]);

/**
 * Of a label's name, and of its value when there is one (apimachinery, validation.IsQualifiedName, IsValidLabelValue).
 */
const NAME = /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const PREFIX = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const PREFIX_LENGTH = 253;

/** Null when something is wrong with it: what, is reported. */
export function parseSelector(value: unknown, field: string, report: Report): Selector | null {
  let valid = true;
  const wrong = (at: string, message: string): void => {
    valid = false;
    report(at, message);
  };
  const spec = fields(value);
  if (!isFields(value)) wrong(field, `${shown(value)} is not a label selector.`);
  const labels = Object.entries(fields(spec['matchLabels'])).map(([key, given]): [string, string] => {
    const at = `${field}.matchLabels[${key}]`;
    if (!isKey(key)) wrong(at, `${shown(key)} is not the key of a label.`);
    return [key, labelValue(given, at, wrong)];
  });
  const requirements = list(spec['matchExpressions']).map((item, i) =>
    requirement(item, `${field}.matchExpressions[${i}]`, wrong),
  );
  return valid ? { labels, requirements } : null;
}

function requirement(value: unknown, field: string, wrong: Report): Requirement {
  const { key, operator, values } = fields(value);
  const name = anyText(key) ?? '';
  if (!isKey(name)) wrong(`${field}.key`, `${shown(key)} is not the key of a label.`);
  const takes = TAKES_VALUES.get(operator);
  const given = list(values);
  if (takes === undefined) {
    wrong(`${field}.operator`, `${shown(operator)} is not one of ${[...TAKES_VALUES.keys()].join(', ')}.`);
  } else if (takes && given.length === 0) wrong(`${field}.values`, `${operator} needs at least one value.`);
  else if (!takes && given.length > 0) wrong(`${field}.values`, `${operator} takes no values.`);
  return {
    key: name,
    operator: operator as Requirement['operator'],
    values: given.map((one, i) => labelValue(one, `${field}.values[${i}]`, wrong)),
  };
}

function labelValue(given: unknown, field: string, wrong: Report): string {
  const value = anyText(given);
  if (value === undefined || (value !== '' && !NAME.test(value))) {
    wrong(field, `${shown(given)} is not the value of a label.`);
  }
  return value ?? '';
}

function isKey(key: string): boolean {
  const slash = key.indexOf('/');
  if (slash === -1) return NAME.test(key);
  const prefix = key.slice(0, slash);
  return prefix.length <= PREFIX_LENGTH && PREFIX.test(prefix) && NAME.test(key.slice(slash + 1));
}

export function selects({ labels, requirements }: Selector, of: Labels): boolean {
  return (
    labels.every(([key, value]) => of[key] === value) && requirements.every((one) => meets(one, anyText(of[one.key])))
  );
}

function meets({ operator, values }: Requirement, value: string | undefined): boolean {
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
  }
}
