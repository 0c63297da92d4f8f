import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const execute = promisify(execFile)
const workerOf = (file) => fileURLToPath(new URL(`../workers/${file}`, import.meta.url))
const howToInstall = 'bench/README.md, "Peers", tells how to install it'

/** A package of Python, by the interpreter of the virtual environment in the directory. */
function inPython(name, directory) {
  const python = join(directory, 'venv/bin/python')
  const script = `import ${name}, importlib.metadata as m; print(m.version('${name}'))`
  return {
    name,
    slow: name === 'adlfs',
    version: async () => (await execute(python, ['-c', script])).stdout.trim(),
    command: [python, workerOf(`peer_${name}.py`)],
  }
}

/** A package of npm. */
function inNode(name, directory) {
  const manifest = join(directory, 'node_modules', name, 'package.json')
  return {
    name,
    slow: true,
    version: async () => JSON.parse(readFileSync(manifest, 'utf8')).version,
    command: [process.execPath, '--expose-gc', workerOf(`${name}.mjs`)],
  }
}

/**
 * The peers that `directory` has, each with the `command` of its worker and whether it is `slow`: then it does a
 * tenth or less of what others do. Prints their versions, and what is missing.
 */
export async function peersIn(directory) {
  if (directory === undefined) {
    console.log('without adlfs, obstore, opendal and files-sdk: no --peers DIRECTORY')
    return []
  }
  const known = ['adlfs', 'obstore', 'opendal'].map((name) => inPython(name, directory))
  known.push(inNode('files-sdk', directory))
  const found = []
  for (const peer of known) {
    try {
      console.log(`${peer.name} ${await peer.version()}`)
      found.push(peer)
    } catch (error) {
      const reason = existsSync(directory)
        ? error.message.trim().split('\n').at(-1)
        : 'no directory'
      console.log(`without ${peer.name}: ${reason}; ${howToInstall}`)
    }
  }
  return found
}
