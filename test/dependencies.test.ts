import { readFile } from 'node:fs/promises'
import t from 'tap'

interface Locked {
  readonly version?: string
  readonly dev?: boolean
  readonly engines?: { readonly node?: string }
}

const read = async (name: string) =>
  JSON.parse(await readFile(new URL(`../${name}`, import.meta.url), 'utf8'))

/** Whether a range of versions leaves out all of Node 20: npm warns whoever installs the package. */
const isTooNew = (range: string) => {
  const least = range.split('||').map((part) => Number(/(\d+)/.exec(part)?.[1] ?? 0))
  return Math.min(...least) > 20
}

t.test('what users install runs on the oldest Node that is promised', async (t) => {
  const { packages }: { packages: Record<string, Locked> } = await read('package-lock.json')
  const installed = Object.entries(packages).filter(([, { dev }]) => dev !== true)
  t.ok(installed.length > 50, `${installed.length} packages`)

  const tooNew = installed.filter(([, { engines }]) => isTooNew(engines?.node ?? '*'))

  t.strictSame(
    tooNew.map(([name, { version, engines }]) => [name, version, engines?.node]),
    [],
  )
  t.ok(isTooNew('>=22'))
  t.notOk(isTooNew('^20.19.0 || >=22.12.0'))
})
