import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OomKills } from './oom.ts';

function rig(files: Record<string, string>): OomKills {
  return new OomKills((path) => {
    const text = files[path];
    if (text === undefined) throw new Error('ENOENT');
    return text;
  });
}

const events = (kills: number): string => `low 0\nhigh 3\nmax 9\noom 2\noom_kill ${kills}\noom_group_kill 0\n`;

for (const [name, cgroup, path] of [
  ['version 2', '0::/kubepods/pod1/c1\n', '/sys/fs/cgroup/kubepods/pod1/c1/memory.events'],
  ['version 2, the root of a container', '0::/\n', '/sys/fs/cgroup/memory.events'],
  ['version 2, the path is the machine’s', '0::/kubepods/pod1/c1\n', '/sys/fs/cgroup/memory.events'],
  ['version 1', '4:cpu:/\n5:memory:/docker/x\n0::/\n', '/sys/fs/cgroup/memory/docker/x/memory.oom_control'],
  ['none', '', '/proc/vmstat'],
] as const)
  test(`kills are seen once each: ${name}`, () => {
    const files: Record<string, string> = { '/proc/self/cgroup': cgroup, [path]: events(4) };
    if (path !== '/proc/vmstat') files['/proc/vmstat'] = events(100);
    const kills = rig(files);
    assert.equal(kills.any(), false, 'those before us');
    files[path] = events(5);
    if (path !== '/proc/vmstat') files['/proc/vmstat'] = events(200);
    assert.deepEqual([kills.any(), kills.any()], [true, false]);
    delete files[path];
    assert.equal(kills.any(), false, 'it cannot be read now');
    files[path] = events(6);
    assert.equal(kills.any(), true);
  });

test('where there are no counters nothing is claimed', () => {
  assert.equal(rig({}).any(), false);
});
