import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { run } from '../measure.mjs'
import { contendersOf, emptied, whole } from './contenders.mjs'

const cli = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))
export const startTitle = 'start to the end of one line'
/** Some of a row's work is enough of clients that take a millisecond and more for a request. */
const slowRanges = 10

function readRow(server, kind, setup) {
  const { ours, peer, rclone } = contendersOf(server, setup)
  const { sizeMiB, sizeBytes } = setup
  const options = { path: 'data/big', sizeBytes, warm: 'data/warm', warmBytes: 64 * 2 ** 20 }
  const abfs = ours('abfs', 'read', options)
  return {
    title: `read ${sizeMiB} MiB, ${kind}`,
    server,
    contenders: [
      ours('socket', 'read', options),
      abfs,
      ours('sdk', 'read', options),
      ...setup.libraries.map((library) => peer(library, 'read', options)),
      whole(abfs),
      rclone(['cat', ':azureblob:data/big']),
    ],
  }
}

function rangesRow(server, kind, setup) {
  const { ours, peer } = contendersOf(server, setup)
  const count = kind === 'sandbox' ? 1000 : 20_000
  const options = { path: 'data/big', sizeBytes: setup.sizeBytes, count, width: 16 }
  const part = { ...options, count: count / slowRanges }
  return {
    title: `4 KiB ranges, 16 in flight, ${kind}`,
    server,
    contenders: [
      ...['socket', 'abfs', 'sdk'].map((name) => ours(name, 'ranges', options)),
      ...setup.libraries.map((library) => ({
        ...peer(library, 'ranges', library.slow ? part : options),
        scale: library.slow ? slowRanges : 1,
      })),
    ],
  }
}

function uploadRow(server, setup) {
  const { ours, peer, rclone } = contendersOf(server, setup)
  const file = join(setup.directory, 'source')
  const options = { file, path: 'data/up' }
  const abfs = ours('abfs', 'upload', options)
  const plain = ours('abfs', 'upload', { ...options, integrity: 'none' })
  const copy = ['copyto', '--ignore-times']
  const last = [file, ':azureblob:data/up-rclone']
  return {
    title: `upload ${setup.sizeMiB} MiB from a file`,
    server,
    contenders: [
      abfs,
      { ...plain, name: 'abfs, no checksum' },
      ours('sdk', 'upload', options),
      ...setup.libraries.map((library) => peer(library, 'upload', options)),
      whole(abfs),
      rclone([...copy, ...last]),
      {
        ...rclone([...copy, '--azureblob-disable-checksum', ...last]),
        name: 'rclone, no checksum',
      },
    ],
  }
}

const treeTitle = (setup, way) => `${setup.files} files of 10 KiB ${way}`
const treeCopy = ['copy', '--ignore-times', '--transfers', '32', '--checkers', '32']

/** The bound of trees, which speaks plain HTTP alone. */
function boundOf(server, { ours }, job, options) {
  if (server.caFile !== undefined) return []
  return [{ ...ours('small-files', job, options), name: 'socket' }]
}

function putRow(server, setup) {
  const of = contendersOf(server, setup)
  const up = join(setup.directory, 'tree')
  // The slash: what is in the directory, also where the destination exists.
  const put = of.ours('abfs', 'put', { directory: `${up}/`, path: 'data/tree-abfs' })
  const to = (name) => ({ directory: up, path: `data/tree-${name}` })
  return {
    title: treeTitle(setup, 'up'),
    server,
    contenders: [
      ...boundOf(server, of, 'put', to('socket')),
      put,
      of.ours('sdk', 'put', to('sdk')),
      ...setup.libraries.map((library) => of.peer(library, 'put', to(library.name))),
      whole(put),
      of.rclone([...treeCopy, up, ':azureblob:data/tree-rclone']),
    ],
  }
}

function getRow(server, setup) {
  const of = contendersOf(server, setup)
  const down = join(setup.directory, 'down')
  const options = { path: 'data/tree', directory: down }
  const get = of.ours('abfs', 'get', options)
  return {
    title: treeTitle(setup, 'down'),
    server,
    contenders: [
      ...boundOf(server, of, 'get', { ...options, source: join(setup.directory, 'tree') }),
      get,
      of.ours('sdk', 'get', options),
      ...setup.libraries.map((library) => of.peer(library, 'get', options)),
      whole(get),
      of.rclone([...treeCopy, ':azureblob:data/tree', down]),
    ].map((contender) => emptied(down, contender)),
  }
}

function listRow(server, setup) {
  const { ours, peer, rclone } = contendersOf(server, setup)
  const { blobs, fewBlobs } = setup
  const abfs = ours('abfs', 'stream', { path: 'data/many' })
  const scaled = (contender) => ({ ...contender, scale: blobs / fewBlobs })
  const bound = (job, name) => ({ ...ours('list-floor', job, { prefix: 'many/' }), name })
  return {
    title: `list ${blobs} blobs`,
    server,
    contenders: [
      bound('bytes', 'bare bytes'),
      bound('names', 'bare names'),
      abfs,
      { ...ours('abfs', 'keep', { path: 'data/many' }), name: 'abfs, all kept' },
      scaled(ours('sdk', 'stream', { prefix: `${setup.few}/` })),
      ...setup.libraries.map((library) =>
        library.slow
          ? scaled(peer(library, 'list', { path: `data/${setup.few}` }))
          : peer(library, 'list', { path: 'data/many' }),
      ),
      whole(abfs),
      rclone(['lsf', '-R', '--files-only', '--fast-list', ':azureblob:data/many']),
    ],
  }
}

/** Commands as a client of a connector runs them, over TLS: the environment is that of a sandbox. */
function startRow(server, { directory }) {
  const env = { ...server.environment, PATH: process.env.PATH, HOME: directory }
  const command = (name, args) => ({ name, work: () => run(process.execPath, args, { env }) })
  return {
    title: startTitle,
    server,
    contenders: [
      command('node -e 0', ['-e', '0']),
      command('abfs --version', [cli, '--version']),
      command('abfs --help', [cli, '--help']),
      command('abfs ls', [cli, 'ls']),
      command('abfs ls abfs://data', [cli, 'ls', 'abfs://data']),
    ],
  }
}

/** What is measured: `setup` has the sizes, where the input is, and `libraries`, the peers to run beside. */
export function rowsOf({ plain, tls, sandbox = plain }, setup) {
  const kind = tls === undefined ? 'sandbox' : 'plain'
  return [
    readRow(plain, kind, setup),
    ...(tls === undefined ? [] : [readRow(tls, 'TLS', setup)]),
    rangesRow(plain, kind, setup),
    ...(tls === undefined ? [] : [rangesRow(tls, 'TLS', setup)]),
    uploadRow(plain, setup),
    putRow(plain, setup),
    getRow(plain, setup),
    listRow(plain, setup),
    startRow(sandbox, setup),
  ]
}
