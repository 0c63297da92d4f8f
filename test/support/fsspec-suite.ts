import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Duplex } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { XMLParser } from 'fast-xml-parser'
import type { Test } from 'tap'
import type { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'
import { serveFsspec } from './fsspec-bridge.ts'

const run = promisify(execFile)
const directory = fileURLToPath(new URL('../fsspec', import.meta.url))

/** What pytest counted. */
interface SuiteResult {
  readonly total: number
  readonly passed: number
  readonly skipped: number
  /** `class.test[case]` of each that failed. */
  readonly failures: readonly string[]
  readonly output: string
}

/** A Python that has fsspec and pytest: `ABFS_TEST_PYTHON`, the one that `script/setup` made; else ''. */
export async function pythonWithFsspec(): Promise<string> {
  const made = fileURLToPath(new URL('../../.venv/bin/python', import.meta.url))
  for (const python of [process.env['ABFS_TEST_PYTHON'], made, 'python3']) {
    if (python !== undefined && (await hasPackages(python))) return python
  }
  return ''
}

/** Why the suites cannot run without one. */
export const whyNoPython = 'needs a Python with fsspec and pytest (ABFS_TEST_PYTHON may name it)'

async function hasPackages(python: string): Promise<boolean> {
  return run(python, ['-c', 'import pytest, fsspec.tests.abstract']).then(
    () => true,
    () => false,
  )
}

/** Runs one file of `test/fsspec` by pytest against `fs`; everything happens below `root`. */
async function runFsspec(
  fs: AzureBlobFileSystem,
  options: {
    readonly python: string
    readonly file: string
    readonly root: string
    /** For the report. */
    readonly scratch: string
    /** Characters that the service cannot keep in names. */
    readonly refused?: string
  },
): Promise<SuiteResult> {
  const report = join(options.scratch, `${options.file}.xml`)
  const pytest = ['-m', 'pytest', '-q', '-p', 'no:cacheprovider', `--junitxml=${report}`]
  const child = spawn(options.python, [...pytest, options.file], {
    cwd: directory,
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    env: {
      ...process.env,
      ABFS_BRIDGE_FD: '3',
      ABFS_BRIDGE_ROOT: options.root,
      ABFS_BRIDGE_REFUSED: options.refused ?? '',
      PYTHONDONTWRITEBYTECODE: '1',
    },
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk) => {
      output += chunk
    })
  }
  const channel = child.stdio[3]
  if (!(channel instanceof Duplex)) throw new Error('the child has no bridge')
  await Promise.all([serveFsspec(fs, channel), once(child, 'close')])
  return { ...resultOf(await readFile(report, 'utf8')), output }
}

interface ReportedCase {
  readonly classname: string
  readonly name: string
  readonly failure?: unknown
  readonly error?: unknown
  readonly skipped?: unknown
}

function resultOf(xml: string): Omit<SuiteResult, 'output'> {
  const parser = new XMLParser({
    ignoreAttributes: false,
    attributeNamePrefix: '',
    isArray: (name) => name === 'testcase' || name === 'testsuite',
  })
  const cases: ReportedCase[] = parser.parse(xml).testsuites.testsuite[0].testcase ?? []
  const skipped = cases.filter((one) => 'skipped' in one).length
  const failed = cases.filter((one) => 'failure' in one || 'error' in one)
  const failures = failed.map(({ classname, name }) => `${classname}.${name}`)
  const total = cases.length
  return { total, skipped, passed: total - failed.length - skipped, failures }
}

/** A suite: its file, and how many cases pass and how many are skipped. */
export interface Suite {
  readonly file: string
  readonly passed: number
  readonly skipped?: number
}

/** Runs suites one after the other. Their counts are demanded: none may fail, and none vanish. */
export async function demandSuites(
  t: Test,
  fs: AzureBlobFileSystem,
  options: {
    readonly python: string
    readonly suites: readonly Suite[]
    readonly refused?: string
  },
): Promise<void> {
  const { suites, ...rest } = options
  for (const { file, passed, skipped = 0 } of suites) {
    const result = await runFsspec(fs, { ...rest, file, root: 'box', scratch: t.testdir() })

    const title = `${file}: ${result.passed} of ${result.total} pass, ${result.skipped} are skipped`
    t.strictSame(result.failures, [], title, { output: result.output })
    t.equal(result.passed, passed)
    t.equal(result.skipped, skipped)
  }
}
