import assert from 'node:assert/strict';
import { test } from 'node:test';
import { namedBy, ServerNames } from './names.ts';

test('exact before wildcard, long before short, and any at last', () => {
  const names = new ServerNames<string>();
  for (const hostname of ['a.b.example', '*.b.example', '*.example', '*']) names.add(hostname, hostname);
  const cases: [string, string][] = [
    ['a.b.example', 'a.b.example'],
    ['x.b.example', '*.b.example'],
    ['y.x.b.example', '*.b.example'],
    ['b.example', '*.example'],
    ['example', '*'],
    ['.example', '*'],
    ['', '*'],
    ['other', '*'],
  ];
  for (const [name, found] of cases) assert.equal(names.find(name), found, name);
});

test('nobody is found where nobody takes it', () => {
  const names = new ServerNames<number>();
  names.add('a.example', 1);
  names.add('*.b.example', 2);
  for (const name of ['', 'b.example', 'x.a.example', 'a.example.evil']) assert.equal(names.find(name), null, name);
});

test('a certificate is for a name by that name, or by a wildcard of one label', () => {
  const hosts = ['a.example', '*.b.example', '*.a.example'];
  assert.equal(namedBy(hosts, 'a.example'), 'exact');
  assert.equal(namedBy(hosts, 'x.b.example'), 'wildcard');
  for (const name of ['b.example', 'x.y.b.example', '.b.example', 'example', '', 'c.example']) {
    assert.equal(namedBy(hosts, name), null, name);
  }
});
