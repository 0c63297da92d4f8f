import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import t from 'tap'
import { MiB } from '../../src/byte-range.ts'
import { cgroupMemoryBytes } from '../../src/cli/drive/cgroup-memory.ts'
import type { Teardown } from '../support/vfs-mount.ts'

/** A directory that stands for `/`, with these files. */
function rootWith(t: Teardown, files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(tmpdir(), 'abfs-cgroup-'))
  t.teardown(() => rmSync(root, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true })
    writeFileSync(join(root, name), text)
  }
  return root
}

const unified = {
  'proc/self/cgroup': '0::/pods/pod/main\n',
  'proc/self/mountinfo':
    '22 1 0:20 / / rw - ext4 /dev/sda rw\n29 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup rw,nsdelegate\n',
}
const first = {
  'proc/self/cgroup': '9:cpu,cpuacct:/x\n4:memory:/pods/main\n1:name=systemd:/x\n0::/\n',
  'proc/self/mountinfo':
    '30 22 0:1 / /cg/cpu rw - cgroup cgroup rw,cpu,cpuacct\n32 22 0:2 / /cg/memory rw - cgroup cgroup rw,memory\n41 22 0:3 / /cg/unified rw - cgroup2 cgroup2 rw\n',
}
const none = Number.POSITIVE_INFINITY

t.test('of version 2 the least limit holds: of the group, or of any above it', async (t) => {
  const group = 'sys/fs/cgroup/pods/pod/main/memory'
  const limits = (max: string, high: string): Record<string, string> => ({
    ...unified,
    [`${group}.max`]: `${max}\n`,
    [`${group}.high`]: `${high}\n`,
  })
  t.equal(cgroupMemoryBytes(rootWith(t, limits('max', 'max'))), none)
  t.equal(cgroupMemoryBytes(rootWith(t, limits(`${512 * MiB}`, 'max'))), 512 * MiB)
  t.equal(cgroupMemoryBytes(rootWith(t, limits(`${512 * MiB}`, `${300 * MiB}`))), 300 * MiB)
  const above = { 'sys/fs/cgroup/pods/memory.max': `${200 * MiB}\n` }
  t.equal(cgroupMemoryBytes(rootWith(t, { ...limits('max', `${300 * MiB}`), ...above })), 200 * MiB)
  t.equal(cgroupMemoryBytes(rootWith(t, { ...unified, ...above })), 200 * MiB, 'none of its own')
})

t.test('of version 1 too, where version 2 is mounted beside it', async (t) => {
  const root = rootWith(t, {
    ...first,
    'cg/memory/memory.limit_in_bytes': '9223372036854771712\n',
    'cg/memory/pods/memory.limit_in_bytes': `${256 * MiB}\n`,
    'cg/memory/pods/main/memory.limit_in_bytes': `${512 * MiB}\n`,
    'cg/cpu/x/memory.limit_in_bytes': '1\n',
    'cg/unified/memory.max': 'max\n',
  })
  t.equal(cgroupMemoryBytes(root), 256 * MiB)
})

t.test('in a container, whose mount begins at a group', async (t) => {
  const mountinfo = '29 22 0:26 /docker/abc /sys/fs/cgro\\040up rw - cgroup2 cgroup rw,nsdelegate\n'
  for (const path of ['/docker/abc', '/docker/abc/in', '/../../other']) {
    const root = rootWith(t, {
      'proc/self/cgroup': `0::${path}\n`,
      'proc/self/mountinfo': mountinfo,
      'sys/fs/cgro up/memory.max': `${64 * MiB}\n`,
    })
    t.equal(cgroupMemoryBytes(root), 64 * MiB, path)
  }
})

t.test('what is not there, cannot be read or says nothing is no limit', async (t) => {
  const group = 'sys/fs/cgroup/pods/pod/main'
  t.equal(cgroupMemoryBytes(rootWith(t, {})), none)
  t.equal(cgroupMemoryBytes(rootWith(t, { 'proc/self/cgroup': unified['proc/self/cgroup'] })), none)
  t.equal(cgroupMemoryBytes(rootWith(t, { ...unified, [`${group}/memory.max`]: 'garbage' })), none)
  // A directory of that name can be opened by nobody, root included.
  const unreadable = { ...unified, [`${group}/memory.max/x`]: '1', [`${group}/memory.high`]: '7' }
  t.equal(cgroupMemoryBytes(rootWith(t, unreadable)), 7)
  t.equal(cgroupMemoryBytes(rootWith(t, { ...unified, 'proc/self/cgroup': 'garbage\n:::' })), none)
})
