import fc from 'fast-check'
import t from 'tap'
import type { BlobStore } from '../../src/blob/store.ts'
import { FileSystemError } from '../../src/errors.ts'
import type { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'
import { hierarchicalMemory, memoryFileSystem, useAccounts } from '../support/file-system.ts'

// The file system against a plain map of names to texts, while another client changes the account.
// Single files are asked of the service, so every answer is that of the map; listings are compared
// after what is remembered was forgotten, which is what they promise.

const files = ['f', 'g', 'd/f', 'd/g', 'd/e/f', 'other/f']
const directories = ['d', 'd/e', 'other']

const file = fc.constantFrom(...files)
const text = fc.string({ maxLength: 4 })
const directory = fc.constantFrom(...directories)

type Step =
  | readonly ['write' | 'create' | 'elsewhere', string, string]
  | readonly ['remove' | 'gone elsewhere' | 'read' | 'touch', string]
  | readonly ['copy' | 'move', string, string]
  | readonly ['remove tree' | 'list', string]
  | readonly ['copy tree', string]

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.tuple(fc.constantFrom('write' as const, 'create' as const, 'elsewhere' as const), file, text),
  fc.tuple(
    fc.constantFrom(
      'remove' as const,
      'gone elsewhere' as const,
      'read' as const,
      'touch' as const,
    ),
    file,
  ),
  fc.tuple(fc.constantFrom('copy' as const, 'move' as const), file, file),
  fc.tuple(fc.constantFrom('remove tree' as const, 'list' as const), directory),
  fc.tuple(fc.constant('copy tree' as const), directory),
)

/** Files that are changed together or not at all, while another client changes some, too. */
interface TransactionStep {
  readonly kind: 'transaction'
  readonly isKept: boolean
  readonly changes: ReadonlyMap<string, string | undefined>
  readonly elsewhere: readonly (readonly [string, string])[]
}

const transaction: fc.Arbitrary<TransactionStep> = fc.record({
  kind: fc.constant('transaction' as const),
  isKept: fc.boolean(),
  changes: fc
    .array(fc.tuple(file, fc.option(text, { nil: undefined })), { minLength: 1, maxLength: 4 })
    .map((changes) => new Map(changes)),
  elsewhere: fc.array(fc.tuple(file, text), { maxLength: 2 }),
})

const anyStep = fc.oneof({ weight: 5, arbitrary: step }, { weight: 1, arbitrary: transaction })

/** The account that is tested, and what should be in it. */
interface Subject {
  readonly fs: AzureBlobFileSystem
  readonly store: BlobStore
  readonly model: Map<string, string>
}

/** What the step gives, or the code of its error. */
async function answerOf(work: () => Promise<unknown>): Promise<unknown> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof FileSystemError) return error.code
    throw error
  }
}

function below(model: ReadonlyMap<string, string>, name: string): string[] {
  return [...model.keys()].filter((key) => key.startsWith(`${name}/`)).sort()
}

const bytes = (content: string) => new TextEncoder().encode(content)
const at = (name: string) => `box/${name}`

/** Takes one step on both sides; the pair of answers must be the same. */
async function take(subject: Subject, [kind, name, extra = '']: Step): Promise<unknown[]> {
  const { fs, store, model } = subject
  const known = model.has(name)
  switch (kind) {
    case 'write':
      model.set(name, extra)
      return [await answerOf(async () => (await fs.writeText(at(name), extra)).name), at(name)]
    case 'create': {
      if (!known) model.set(name, extra)
      const made = answerOf(() => fs.pipeFile(at(name), bytes(extra), { mode: 'create' }))
      return [(await made) === 'EEXIST', known]
    }
    case 'elsewhere':
      model.set(name, extra)
      await store.put({ container: 'box', name }, bytes(extra))
      return []
    case 'gone elsewhere':
      model.delete(name)
      if (known) await store.delete({ container: 'box', name })
      return []
    case 'remove':
      return [await answerOf(() => fs.rmFile(at(name))), model.delete(name) ? undefined : 'ENOENT']
    case 'read':
      return [await answerOf(() => fs.readText(at(name))), model.get(name) ?? 'ENOENT']
    case 'touch':
      if (!known) model.set(name, '')
      await fs.touch(at(name), { truncate: false })
      return [await fs.readText(at(name)), model.get(name)]
    case 'copy':
    case 'move':
      return moveOrCopy(subject, kind, [name, extra])
    default:
      return takeTree(subject, kind, name)
  }
}

async function moveOrCopy(
  { fs, model }: Subject,
  kind: 'copy' | 'move',
  [from, to]: readonly [string, string],
): Promise<unknown[]> {
  const content = model.get(from)
  fs.invalidateCache()
  const code = await answerOf(async () => {
    await (kind === 'copy' ? fs.cpFile(at(from), at(to)) : fs.mv(at(from), at(to)))
  })
  if (content !== undefined) {
    if (kind === 'move') model.delete(from)
    model.set(to, content)
  }
  return [code, content === undefined ? 'ENOENT' : undefined]
}

async function takeTree(
  { fs, model }: Subject,
  kind: 'remove tree' | 'list' | 'copy tree',
  name: string,
): Promise<unknown[]> {
  fs.invalidateCache()
  const inside = below(model, name)
  if (kind === 'remove tree') {
    const answer = await answerOf(() => fs.rm(at(name), { recursive: true }))
    for (const key of inside) model.delete(key)
    // Without files the directory may be there, as a marker, or not.
    return [typeof answer !== 'string' || (inside.length === 0 && answer === 'ENOENT'), true]
  }
  if (kind === 'copy tree') {
    if (inside.length === 0) return []
    const result = await fs.copy(at(name), at('copies/'), { recursive: true })
    const parent = name.slice(0, name.lastIndexOf('/') + 1)
    for (const key of inside) model.set(`copies/${key.slice(parent.length)}`, model.get(key) ?? '')
    return [result.files, inside.length]
  }
  const found = await fs.find(at(name))
  return [found.map((entry) => entry.name), inside.map(at)]
}

/** Nothing shows before the end; then all of it does, over what others wrote meanwhile, or nothing. */
async function takeTogether(subject: Subject, step: TransactionStep): Promise<unknown[]> {
  const { fs, store, model } = subject
  fs.invalidateCache()
  const changes = [...step.changes].filter(
    ([name, content]) => content !== undefined || model.has(name),
  )
  let [before, during]: unknown[] = []
  const work = fs.transaction(async (tx) => {
    for (const [name, content] of changes) {
      if (content === undefined) await tx.rmFile(at(name))
      else await tx.writeText(at(name), content)
    }
    for (const [name, content] of step.elsewhere) {
      await store.put({ container: 'box', name }, bytes(content))
      model.set(name, content)
    }
    before = sortedText(Object.fromEntries(model))
    during = sortedText(await stateOf(fs))
    if (!step.isKept) throw new FileSystemError('EINTR', 'test')
  })
  const answer = await answerOf(() => work)
  if (step.isKept) {
    for (const [name, content] of changes) {
      if (content === undefined) model.delete(name)
      else model.set(name, content)
    }
  }
  return [
    [answer, during],
    [step.isKept ? undefined : 'EINTR', before],
  ]
}

function sortedText(state: Readonly<Record<string, string>>): string {
  return JSON.stringify(Object.entries(state).sort())
}

/** The map, as the account has it: by listing, and by content. */
async function stateOf(fs: AzureBlobFileSystem): Promise<Record<string, string>> {
  fs.invalidateCache()
  const contents = await fs.cat('box', { recursive: true })
  const decoder = new TextDecoder()
  return Object.fromEntries(
    [...contents].map(([name, content]) => [name.slice('box/'.length), decoder.decode(content)]),
  )
}

async function demandAgreement(steps: readonly (Step | TransactionStep)[]): Promise<void> {
  const { fs, store } = await memoryFileSystem()
  const model = new Map<string, string>()
  for (const one of steps) {
    const subject = { fs, store, model }
    const [actual, expected] =
      'kind' in one ? await takeTogether(subject, one) : await take(subject, one)
    if (JSON.stringify(actual) !== JSON.stringify(expected)) {
      throw new Error(
        `${JSON.stringify(one)}: ${JSON.stringify(actual)}, not ${JSON.stringify(expected)}`,
      )
    }
  }
  const state = Object.entries(await stateOf(fs)).sort()
  const wanted = [...model].sort()
  if (JSON.stringify(state) === JSON.stringify(wanted)) return
  throw new Error(`${JSON.stringify(state)}, not ${JSON.stringify(wanted)}`)
}

for (const kind of ['flat', 'hierarchical'] as const) {
  t.test(`a ${kind} account holds what a map would`, async (t) => {
    if (kind === 'hierarchical') useAccounts(hierarchicalMemory)
    const seed = Date.now() & 0x7fffffff
    t.comment(`seed ${seed}`)

    const run = await fc.check(
      fc.asyncProperty(fc.array(anyStep, { maxLength: 25 }), demandAgreement),
      { seed, numRuns: 200 },
    )

    const why = run.errorInstance instanceof Error ? run.errorInstance.message : ''
    t.notOk(run.failed, `seed ${seed}: ${JSON.stringify(run.counterexample)} ${why}`)
  })
}
