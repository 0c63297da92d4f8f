import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { programVariables } from '../support/program.ts'
import type { Case } from './case.ts'

/** What each call of a case gave; by the case's name. */
export type Results = ReadonlyMap<string, readonly string[]>

/** Why cases cannot be run here; `false` when they can. */
export function whyNoCompiler(): string | false {
  const paths = (process.env['PATH'] ?? '').split(':')
  return paths.some((path) => exists(`${path}/g++`)) ? false : 'g++ is missing'
}

/** Compiles the program that makes system calls into `directory`; its path. */
export async function compileCaller(directory: string): Promise<string> {
  const source = fileURLToPath(new URL('./system-calls.cc', import.meta.url))
  const program = `${directory}/system-calls`
  const flags = ['-std=c++20', '-Wall', '-Wextra', '-Werror', '-D_GNU_SOURCE']
  await run('g++', [...flags, '-o', program, source], '')
  return program
}

/**
 * Makes the calls of `cases` below `directory`, which may be a mount of another process. `keep`
 * leaves what they made, in `c0` and so on.
 */
export async function runCases(
  program: string,
  directory: string,
  cases: readonly Case[],
  { keep = false }: { readonly keep?: boolean } = {},
): Promise<Results> {
  const lines = cases.flatMap(({ name, calls }) => [`# ${name}`, ...calls.map(callOf)])
  const output = await run(program, [directory, ...(keep ? ['keep'] : [])], `${lines.join('\n')}\n`)
  const results = output
    .split('\n')
    .filter((line) => line !== '')
    .map((line): { name: string; results: string[] } => JSON.parse(line))
  return new Map(results.map((each) => [decodeURIComponent(each.name), each.results]))
}

/** A call without the result that it promises. */
export function callOf(call: string): string {
  return call.split(' => ')[0] ?? ''
}

/** The result that a call promises; `undefined` when it only has to be the same everywhere. */
export function promiseOf(call: string): string | undefined {
  return call.split(' => ')[1]
}

function exists(path: string): boolean {
  try {
    readFileSync(path)
    return true
  } catch {
    return false
  }
}

function run(program: string, parameters: readonly string[], input: string): Promise<string> {
  const child = spawn(program, parameters, {
    env: programVariables(),
    stdio: ['pipe', 'pipe', 'inherit'],
    timeout: 600_000,
    killSignal: 'SIGKILL',
  })
  const output: Buffer[] = []
  child.stdout.on('data', (data: Buffer) => output.push(data))
  child.stdin.end(input)
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => {
      if (code === 0) resolve(Buffer.concat(output).toString())
      else reject(new Error(`${program} ended with ${code ?? signal}`))
    })
  })
}
