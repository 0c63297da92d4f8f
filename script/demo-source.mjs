// A real tree to copy: packages and the Node binary of this machine, with the names that break tools.
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readdirSync, statSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'

const MiB = 1024 * 1024
const minArchiveBytes = 201 * MiB

/** Names that have to survive: each is given to a copy of a real file. */
const names = [
  'with two  spaces.json',
  'größe – 文件 🚀.json',
  '100%.json',
  '%41 is not A.json',
  '#hash #2.json',
  'a+b=c&d.json',
  'it\'s "quoted".json',
  'question?mark;semicolon.json',
  '.hidden.json',
]

/** Makes the tree in `target`, from what lies in `root` (a clone with its node_modules). */
export function makeSourceTree(root, target) {
  const modules = join(root, 'node_modules')
  mkdirSync(join(target, 'packages'), { recursive: true })
  copyPackages(modules, join(target, 'packages'))
  execFileSync('cp', ['-L', '--preserve=mode,timestamps', process.execPath, join(target, 'node')])
  archivePackages(modules, join(target, 'largest packages.tar'))
  makeOddNames(join(root, 'package.json'), join(target, 'odd names'))
}

/** Packages with many files in deep directories: links, modes and times as installed. */
function copyPackages(modules, target) {
  const chosen = ['@azure/storage-blob', 'zod', 'fastify', '.bin']
  execFileSync('cp', ['-a', ...chosen.map((name) => join(modules, name)), target])
}

/** A tar of the largest packages: real bytes in one file of more than 200 MB. */
function archivePackages(modules, file) {
  const sizes = execFileSync('du', ['-sb', ...listDirectories(modules)], { encoding: 'utf8' })
  const packages = sizes
    .trim()
    .split('\n')
    .map((line) => line.split('\t'))
    .map(([bytes, path]) => ({ bytes: Number(bytes), path }))
    .sort((a, b) => b.bytes - a.bytes)
  const chosen = []
  for (let bytes = 0; bytes < minArchiveBytes; ) {
    const next = packages.shift()
    if (next === undefined) throw new Error('the installed packages are smaller than 201 MiB')
    chosen.push(next.path)
    bytes += next.bytes
  }
  execFileSync('tar', ['-cPf', file, ...chosen])
}

function makeOddNames(original, target) {
  const deep = join(target, ...'a deep path of eleven levels # + % é z'.split(' '))
  mkdirSync(deep, { recursive: true })
  for (const name of names) copyFileSync(original, join(target, name))
  copyFileSync(original, join(deep, 'bottom.json'))
  symlinkSync('100%.json', join(target, 'link to 100%'))
  symlinkSync('nowhere/at all', join(target, 'dangling link'))
  mkdirSync(join(target, 'empty directory'))
}

function listDirectories(directory) {
  return readdirSync(directory)
    .map((name) => join(directory, name))
    .filter(isDirectory)
}

function isDirectory(path) {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
}
