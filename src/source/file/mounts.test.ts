import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mountedBelow, mountPoints } from './mounts.ts';

test('points of mounts, as the kernel writes them', () => {
  const text = `22 1 0:20 / / rw,relatime - ext4 /dev/root rw
23 22 8:1 /a/b /etc/rauta/a\\040b.yaml ro - ext4 /dev/sda rw
24 22 8:1 / /etc/\xc3\xa4\\134 ro - ext4 /dev/sda rw
`;
  assert.deepEqual(mountPoints(text), ['/', '/etc/rauta/a b.yaml', '/etc/ä\\']);
  assert.deepEqual(mountPoints(''), []);
});

test('those below the paths of the configuration, in their words', () => {
  assert.deepEqual([...mountedBelow(['/proc'])], ['/proc']);
  assert.deepEqual([...mountedBelow(['/pro', '/proc/self/nothing'])], []);
});
