import type { Test } from 'tap'
import { startDrive, temporaryDirectory } from '../support/temp-drive.ts'
import type { Case } from './case.ts'
import type { Difference } from './differences.ts'
import { callOf, compileCaller, promiseOf, type Results, runCases } from './run-cases.ts'

/**
 * Runs `cases` on a local file system and on a drive. Fails when the local one breaks a promise of
 * a case, when the drive differs in a way that no difference explains, and when a difference
 * explains nothing. Says how many cases are equal, and how many each difference explains.
 */
export async function compareWithDrive(
  t: Test,
  cases: readonly Case[],
  differences: readonly Difference[],
): Promise<void> {
  const local = await temporaryDirectory(t)
  const { mountpoint } = await startDrive(t)
  const program = await compileCaller(local)

  const expected = await runCases(program, local, cases)
  const given = await runCases(program, mountpoint, cases)

  t.equal(new Set(cases.map(({ name }) => name)).size, cases.length, 'names are unique')
  t.equal(expected.size, cases.length, 'every case ran on the local file system')
  t.equal(given.size, cases.length, 'every case ran on the drive')
  const broken = cases.flatMap((each) => brokenPromises(each, expected))
  t.strictSame(broken, [], 'the local file system does what the cases say')
  const found = cases.flatMap((each) => differing(each, expected, given))
  const unlisted = found.filter((each) => !differences.some((listed) => explains(listed, each)))
  t.strictSame(unlisted.map(describe), [], 'all differences are on the list')
  const needless = differences.filter((listed) => !found.some((each) => explains(listed, each)))
  t.strictSame(needless, [], 'every difference on the list is there')
  const different = casesOf(found)
  t.comment(`${cases.length} cases, ${cases.length - different} equal, ${different} different:`)
  for (const listed of differences) {
    const explained = casesOf(found.filter((each) => explains(listed, each)))
    t.comment(`${explained} cases: ${listed.reason}`)
  }
}

interface Found {
  readonly name: string
  readonly call: string
  readonly local: string | undefined
  readonly drive: string | undefined
}

function differing({ name, calls }: Case, expected: Results, given: Results): Found[] {
  return calls
    .map((call, index) => ({
      name,
      call: callOf(call),
      local: expected.get(name)?.[index],
      drive: given.get(name)?.[index],
    }))
    .filter(({ local, drive }) => local !== drive)
}

function casesOf(found: readonly Found[]): number {
  return new Set(found.map(({ name }) => name)).size
}

function explains(listed: Difference, { name, call, drive }: Found): boolean {
  if (!listed.cases.test(name)) return false
  return (listed.calls?.test(call) ?? true) && (listed.drive?.test(drive ?? '') ?? true)
}

function describe({ name, call, local, drive }: Found): string {
  return `${name}: ${call}: local ${local}, drive ${drive}`.slice(0, 300)
}

function brokenPromises({ name, calls }: Case, expected: Results): string[] {
  return calls
    .map((call, index) => ({ call, result: expected.get(name)?.[index] }))
    .filter(({ call, result }) => promiseOf(call) !== undefined && promiseOf(call) !== result)
    .map(({ call, result }) => `${name}: ${call}, but ${result}`.slice(0, 300))
}
