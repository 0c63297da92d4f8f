import { spawnSync } from 'node:child_process'
import t from 'tap'
import { conformanceCases } from '../../src/conformance/index.ts'
import { hierarchicalMemory, memoryFileSystem, useAccounts } from '../support/file-system.ts'

t.equal(new Set(conformanceCases.map(({ title }) => title)).size, conformanceCases.length)

for (const kind of ['flat', 'hierarchical'] as const) {
  t.test(`a ${kind} account does all of it`, async (t) => {
    if (kind === 'hierarchical') useAccounts(hierarchicalMemory)
    const { fs } = await memoryFileSystem()
    for (const [index, { title, run }] of conformanceCases.entries()) {
      t.test(title, () => run(fs, `box/case-${index}`))
    }
  })
}

t.test('a file system that does not do it is found out', async (t) => {
  const { fs } = await memoryFileSystem()
  const broken = new Proxy(fs, {
    get(target, name) {
      if (name === 'catFile') return async () => new Uint8Array([1])
      if (name === 'find' || name === 'glob')
        return async () => [{ name: 'x', type: 'file', size: 0 }]
      const value = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  const passed: string[] = []
  for (const [index, { title, run }] of conformanceCases.entries()) {
    await run(broken, `box/broken-${index}`).then(
      () => passed.push(title),
      (error) => t.type(error, Error),
    )
  }

  t.ok(passed.length <= 5, passed.join('; '))
})

t.test("Node's own runner takes the cases as they are", async (t) => {
  const worker = new URL('../support/conformance-worker.ts', import.meta.url).pathname
  const args = [...process.execArgv, '--test-reporter=tap', worker]
  const env = { ...process.env, NODE_TEST_CONTEXT: '', TAP: '' }
  const run = spawnSync(process.execPath, args, { env, encoding: 'utf8', timeout: 60_000 })

  t.equal(run.status, 0, run.stderr)
  t.match(run.stdout, `# pass ${conformanceCases.length}`)
})
