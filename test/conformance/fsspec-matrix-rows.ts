import type { TransferOptions } from '../../src/filesystem/transfer-run.ts'

// What lands where when trees are copied, downloaded and uploaded, after fsspec's scenarios. `src`
// and `dst` are directories; `dst` holds a dummy file, so that it exists on a flat namespace.

/** One path or several, as a call takes them. */
export type Paths = string | readonly string[]

/** One call, and the files that are in `dst` after it. */
export interface TransferRow {
  readonly title: string
  readonly source: Paths
  readonly target: Paths
  readonly options?: TransferOptions
  readonly expected: readonly string[]
}

/** A tree with one nested directory. */
export const bulk = [
  'file1',
  'file2',
  'subdir/subfile1',
  'subdir/subfile2',
  'subdir/nesteddir/nestedfile',
]
const twoSubdirs = ['subdir0', 'subdir1'].flatMap((name) =>
  ['subfile1', 'subfile2', 'nesteddir/nestedfile'].map((file) => `${name}/${file}`),
)
const globTree = ['file1', 'file2', ...twoSubdirs]
const flat = twoSubdirs.filter((name) => !name.includes('nesteddir'))
/** What is in `subdir` of {@link bulk}. */
export const subdirFiles = ['subfile1', 'subfile2', 'nesteddir/nestedfile']
const twins = ['subdir.txt', 'subdir/subfile.txt']
export const recursive = { recursive: true }
/** Names below a prefix. */
export function below(prefix: string, names: readonly string[]): string[] {
  return names.map((name) => prefix + name)
}

const rows: TransferRow[] = [
  ...['dst', 'dst/'].flatMap((target) => [
    row(`1a file to the existing directory ${target}`, 'src/file2', target, ['file2']),
    row(`1a nested file to ${target}`, 'src/subdir/subfile1', target, ['subfile1']),
    row(`2a list to ${target}`, ['src/file1', 'src/file2', 'src/subdir/subfile1'], target, [
      'file1',
      'file2',
      'subfile1',
    ]),
  ]),
  row('1b file to a new directory', 'src/subdir/subfile1', 'dst/newdir/', ['newdir/subfile1']),
  row('1c file to a new name', 'src/subdir/subfile1', 'dst/newfile', ['newfile']),
  row('1d file to a new name in a new directory', 'src/subdir/subfile1', 'dst/new/newfile', [
    'new/newfile',
  ]),
  row('1e directory without recursive', 'src/subdir', 'dst', []),
  row('1e directory with slash without recursive', 'src/subdir/', 'dst/', []),
  row(
    '1e directory to an existing one',
    'src/subdir',
    'dst',
    below('subdir/', subdirFiles),
    recursive,
  ),
  row('1e contents to an existing directory', 'src/subdir/', 'dst/', subdirFiles, recursive),
  row('1e directory to depth 1', 'src/subdir', 'dst', ['subdir/subfile1', 'subdir/subfile2'], {
    recursive: true,
    maxDepth: 1,
  }),
  row('1e contents to depth 1', 'src/subdir/', 'dst/', ['subfile1', 'subfile2'], {
    recursive: true,
    maxDepth: 1,
  }),
  row(
    '1f directory to a new one',
    'src/subdir',
    'dst/newdir',
    below('newdir/', subdirFiles),
    recursive,
  ),
  row(
    '1f contents to a new one',
    'src/subdir/',
    'dst/newdir/',
    below('newdir/', subdirFiles),
    recursive,
  ),
  row('1f directory to a new one without recursive', 'src/subdir', 'dst/newdir', []),
  ...['dst', 'dst/', 'dst/newdir', 'dst/newdir/'].flatMap((target) => {
    const prefix = target.includes('newdir') ? 'newdir/' : ''
    const two = below(prefix, ['subfile1', 'subfile2'])
    const all = below(prefix, subdirFiles)
    return [
      row(`1g pattern to ${target}`, 'src/subdir/*', target, two),
      row(`1g recursive pattern to ${target}`, 'src/subdir/*', target, all, recursive),
      row(`1g ** to ${target}`, 'src/subdir/**', target, all),
      row(`1g recursive pattern of depth 1 to ${target}`, 'src/subdir/*', target, two, {
        recursive: true,
        maxDepth: 1,
      }),
      row(`1g ** of depth 1 to ${target}`, 'src/subdir/**', target, two, { maxDepth: 1 }),
    ]
  }),
  row('2b list to a new directory', ['src/file1', 'src/subdir/subfile1'], 'dst/newdir/', [
    'newdir/file1',
    'newdir/subfile1',
  ]),
  row('2c list to an absent target', ['src/file1', 'src/file2'], 'dst/newdir', [
    'newdir/file1',
    'newdir/file2',
  ]),
  row('4 list to list', ['src/file2', 'src/file1'], ['dst/a', 'dst/b/c'], ['a', 'b/c']),
]

const edges: [string, boolean, number | undefined, readonly string[]][] = [
  ['*', false, undefined, ['file1', 'file2']],
  ['*', true, undefined, globTree],
  ['*', true, 1, ['file1', 'file2']],
  ['*', true, 2, ['file1', 'file2', ...flat]],
  ['*1', false, undefined, ['file1']],
  ['*1', true, undefined, ['file1', ...below('subdir1/', subdirFiles)]],
  ['*1', true, 2, ['file1', 'subdir1/subfile1', 'subdir1/subfile2']],
  ['**', false, undefined, globTree],
  ['**', true, undefined, globTree],
  ['**', true, 1, ['file1', 'file2']],
  // A match at depth 2 is a directory, of which one more level is taken.
  ['**', true, 2, globTree],
  ['**', false, 2, ['file1', 'file2', ...flat]],
  ['**/*1', false, undefined, ['file1', 'subdir0/subfile1', 'subdir1/subfile1']],
  ['**/*1', true, undefined, ['file1', 'subdir0/subfile1', ...below('subdir1/', subdirFiles)]],
  ['**/*1', true, 1, ['file1']],
  ['**/*1', true, 2, ['file1', 'subdir0/subfile1', 'subdir1/subfile1', 'subdir1/subfile2']],
  ['**/*1', false, 2, ['file1', 'subdir0/subfile1', 'subdir1/subfile1']],
  ['**/subdir0', false, undefined, []],
  ['**/subdir0', true, undefined, subdirFiles],
  ['**/subdir0/nested*', false, 2, []],
  ['**/subdir0/nested*', true, 2, ['nestedfile']],
  ['subdir[1-2]', false, undefined, []],
  ['subdir[1-2]', true, undefined, subdirFiles],
  ['subdir[1-2]', true, 2, ['subfile1', 'subfile2']],
  ['subdir[0-1]', false, undefined, []],
  ['subdir[0-1]', true, undefined, twoSubdirs],
  ['subdir[0-1]/*fil[e]*', false, undefined, flat],
  ['subdir[0-1]/*fil[e]*', true, undefined, flat],
]

const edgeRows = edges.flatMap(([pattern, isRecursive, maxDepth, expected]) =>
  ['dst', 'dst/', 'dst/newdir', 'dst/newdir/'].map((target) => {
    const prefix = target.includes('newdir') ? 'newdir/' : ''
    const options = { recursive: isRecursive, maxDepth }
    const title = `1i ${pattern} recursive ${isRecursive} depth ${maxDepth} to ${target}`
    return row(title, `src/${pattern}`, target, below(prefix, expected), options)
  }),
)

const twinRows = [
  row(
    '3 a directory is not its twin by prefix',
    'src/subdir',
    'dst',
    ['subdir/subfile.txt'],
    recursive,
  ),
  row('3 a pattern takes both twins', 'src/subdir*', 'dst', twins, recursive),
]

function row(
  title: string,
  source: Paths,
  target: Paths,
  expected: readonly string[],
  options: TransferOptions = {},
): TransferRow {
  return { title, source, target, expected, options }
}

/** Every row, with the files that are in `src`. */
export const transferRows: readonly (readonly [readonly string[], readonly TransferRow[]])[] = [
  [bulk, rows],
  [globTree, edgeRows],
  [twins, twinRows],
]
