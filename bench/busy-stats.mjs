// How long stat(2) of known names takes while the drive's JavaScript is busy for half of each second; see README.md.
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { atEnd, detachBelow, endWithUs } from './endings.mjs'
import { startLatentSandbox } from './server/latent-sandbox.mjs'

const cli = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url))
const busy =
  'setInterval(() => { for (const end = Date.now() + 500; Date.now() < end;); }, 1000).unref()'
const ask = `
import os, time
names = [entry.path for entry in os.scandir('d')]
for name in names: os.stat(name)
took, ends = [], time.perf_counter() + 5
while time.perf_counter() < ends:
    for name in names:
        start = time.perf_counter()
        os.stat(name)
        took.append((time.perf_counter() - start) * 1e6)
took.sort()
at = lambda part: round(took[int(len(took) * part)], 1)
print(f'{len(took)} calls in 5 s; microseconds: 50 % {at(.5)}, 99 % {at(.99)}, 99.9 % {at(.999)}, most {round(took[-1])}')
`

const directory = mkdtempSync(join(tmpdir(), 'abfs-bench-'))
atEnd(() => {
  detachBelow(directory)
  rmSync(directory, { recursive: true, force: true })
})

/** Mounts the container in a process that also runs the module `extra`; resolves when it answers. */
async function serve(server, mountpoint, extra) {
  mkdirSync(mountpoint)
  const module = `data:text/javascript,${encodeURIComponent(extra)}`
  const args = ['--import', module, cli, 'mount', 'abfs://data', mountpoint, '--foreground']
  const env = {
    ...server.environment,
    PATH: process.env.PATH,
    HOME: directory,
    XDG_RUNTIME_DIR: directory,
  }
  const flags = ['--attr-ttl', '600']
  const child = spawn(process.execPath, [...args, ...flags], { env, stdio: ['ignore', 2, 'pipe'] })
  endWithUs(child)
  return new Promise((resolve, reject) => {
    child.stderr.on('data', (text) => String(text).includes('mounted') && resolve())
    child.on('exit', (code) => reject(new Error(`the drive ended with ${code}`)))
  })
}

function python(cwd) {
  return new Promise((resolve, reject) => {
    const child = spawn('python3', ['-c', ask], { cwd, stdio: ['ignore', 'inherit', 'inherit'] })
    child.on('close', (code) => (code === 0 ? resolve() : reject(new Error(`python3: ${code}`))))
  })
}

const server = await startLatentSandbox({ directory, latencyMs: 0 })
const source = join(directory, 'source')
mkdirSync(join(source, 'd'), { recursive: true })
for (let i = 0; i < 200; i++) writeFileSync(join(source, 'd', `f${i}`), 'x')
await server.upload(source)
for (const [name, extra] of Object.entries({ idle: '', busy })) {
  const mountpoint = join(directory, name)
  await serve(server, mountpoint, extra)
  process.stdout.write(`${name}: `)
  await python(mountpoint)
}
process.exit()
