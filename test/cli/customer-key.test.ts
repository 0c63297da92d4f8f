/** A drive, and commands, with a key of the customer's. */
import { createHash, randomBytes } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { runAbfs, startCliSandbox, temporaryDirectory, whyNoCli } from '../support/cli.ts'
import { startDrive } from '../support/cli-drive.ts'
import { shell, temporaryMountpoint, whyNoMounts } from '../support/temp-mount.ts'

t.test('a drive with a key', { skip: whyNoCli() || whyNoMounts() }, async (t) => {
  const { client } = await startCliSandbox(t, '--engine', 'abfs')
  const state = await temporaryDirectory(t)
  const env = { ...client, XDG_STATE_HOME: state }
  const key = randomBytes(32)
  const shown = [key.toString('base64'), key.toString('hex')]
  const keyFile = join(await temporaryDirectory(t), 'key')
  await writeFile(keyFile, key.toString('base64'), { mode: 0o600 })
  const keyed = { ...env, ABFS_ENCRYPTION_KEY_FILE: keyFile }
  const sum = createHash('sha256').update(key).digest('base64')
  const written: (() => string)[] = []
  const mounted = async (variables: typeof env, ...flags: string[]) => {
    const usual = ['--attr-ttl', '0', '--log-level', 'trace']
    const drive = await startDrive(t, [...usual, ...flags], { env: variables })
    written.push(() => drive.output.stdout + drive.output.stderr)
    return drive
  }
  const cache = await temporaryDirectory(t)

  await t.test('keeps what local file systems keep, for who mounts it again', async (t) => {
    const first = await mounted(env, '--encryption-key-file', keyFile, '--cache-dir', cache)
    await shell(`cd '${first.directory}' && mkdir -p empty tree/inner && echo content > tree/file &&
      echo run > tree/script && chmod 750 tree/script && touch -d '2020-01-02 03:04:05Z' tree/script &&
      ln -s script tree/link && head -c 12000000 /dev/urandom > large && sha256sum < large > sum &&
      mv large moved && echo more >> tree/file && mv tree grove && mv sum grove/sum`)
    const { pid } = first.daemon
    const told = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
    for (const secret of shown) t.notOk(told.includes(secret))
    t.equal(await first.end(), 0)

    const again = await mounted(keyed, '--cache-dir', cache)
    const run = (commands: string) => shell(`cd '${again.directory}' && ${commands}`)
    t.equal(await run('ls && ls grove'), 'empty\ngrove\nmoved\nfile\ninner\nlink\nscript\nsum\n')
    t.equal(await run("stat -c '%A %F' empty"), 'drwxr-xr-x directory\n')
    t.match(await run("stat -c '%A %Y' grove/script"), /^-rwxr-x--- 1577934245\n/)
    t.equal(await run('readlink grove/link && cat grove/link'), 'script\nrun\n')
    t.equal(await run('cat grove/file'), 'content\nmore\n')
    t.match(await run('sha256sum < moved | diff - grove/sum && echo same'), 'same')
    t.equal(await run('find . -type d | sort'), '.\n./empty\n./grove\n./grove/inner\n')
    t.match(again.output.stderr, /what is read is not kept in --cache-dir/)
    t.equal(await again.end(), 0)
    t.strictSame(bytesBelow(cache), 0, 'nothing of it is kept in plain text')
  })

  await t.test('shows nothing of it to who has none, who is told what to do', async (t) => {
    const drive = await mounted(env)
    const said = await shell(`cat '${drive.directory}/grove/file' 2>&1 || true`)
    t.match(said, /Permission denied/)
    t.equal(await drive.end(), 0)
    const { code, stderr } = await runAbfs(['cat', 'abfs://data/grove/file'], { env })
    t.not(code, 0)
    t.match(stderr, /EACCES: .*give that key .*--encryption-key-file/)
    t.match(stderr, 'abfs://data/grove/file')
    t.match(stderr, /^hint: .*--encryption-key-file FILE/m)
    t.notMatch(stderr, 'connector check', 'no other caller would get further')
  })

  await t.test('says which key it wants, where there is another or one too many', async (t) => {
    const other = randomBytes(32).toString('base64')
    const wrong = { ...env, ABFS_ENCRYPTION_KEY: other }
    for (const argv of [
      ['cat', 'abfs://data/grove/file'],
      ['stat', 'abfs://data/grove/file'],
      ['cp', 'abfs://data/grove/file', 'abfs://data/grove/copy'],
    ]) {
      const refused = await runAbfs(argv, { env: wrong })
      t.not(refused.code, 0, argv.join(' '))
      t.match(refused.stderr, /EACCES: .*encrypted with another key/)
      t.match(refused.stderr, /^hint: .*the key that it was written with: --encryption-key-file/m)
      t.notOk(refused.stderr.includes(other))
    }
    await runAbfs(['cp', '-', 'abfs://data/plain'], { env, input: 'plain' })
    const plain = await runAbfs(['cat', 'abfs://data/plain'], { env: keyed })
    t.match(plain.stderr, /EACCES: .*with no key of the customer's/)
    t.match(plain.stderr, /^hint: leave out --encryption-key-file/m)
    await runAbfs(['rm', 'abfs://data/plain'], { env })
  })

  await t.test('commands take it from the environment', async (t) => {
    const { stdout } = await runAbfs(['cat', 'abfs://data/grove/file'], { env: keyed })
    t.equal(stdout, 'content\nmore\n')
    const own = { ...env, ABFS_ENCRYPTION_KEY: key.toString('base64') }
    const listed = await runAbfs(['ls', '-l', 'abfs://data/grove'], { env: own })
    t.match(listed.stdout, /rwxr-x---.*script/)
    t.equal(listed.code, 0)
  })

  await t.test('a daemon has a key of the environment by a channel, not in its own', async (t) => {
    const directory = await temporaryMountpoint(t)
    const own = { ...env, ABFS_ENCRYPTION_KEY: key.toString('base64') }
    const started = await runAbfs(['mount', 'abfs://data', directory], { env: own })
    t.equal(started.code, 0, started.stderr)
    t.equal(await shell(`cat '${directory}/grove/file'`), 'content\nmore\n')
    const { stdout } = await runAbfs(['status', '--json'], { env })
    const drives = JSON.parse(stdout) as { readonly pid: number; readonly directory: string }[]
    const drive = drives.find((each) => each.directory === directory)
    const environ = readFileSync(`/proc/${drive?.pid}/environ`, 'latin1')
    t.match(environ, `XDG_STATE_HOME=${state}`, 'it is the daemon')
    t.notMatch(environ, 'ABFS_ENCRYPTION_KEY')
    for (const secret of shown) t.notOk((environ + stdout).includes(secret))
    const alone = await runAbfs(['mount', 'abfs://data', directory, '--serve-launcher'], { env })
    t.match(alone.stderr, /EIO: .*ended before it had said/, 'it does not go on without a key')
    t.equal((await runAbfs(['unmount', directory], { env })).code, 0)
  })

  await t.test('a plan says that there is one, and not which', async (t) => {
    const directory = await temporaryMountpoint(t)
    const argv = ['mount', '--plan', '--json', 'abfs://data', directory]
    const { stdout } = await runAbfs(argv, { env: keyed })
    const { settings } = JSON.parse(stdout) as { readonly settings: readonly object[] }
    const origin = 'ABFS_ENCRYPTION_KEY_FILE'
    t.match(
      settings.find((each) => 'name' in each && each.name === 'encryptionKey'),
      { value: 'given', origin },
    )
    for (const secret of [...shown, sum]) t.notOk(stdout.includes(secret))
  })

  await t.test('what is no key, is open to others or contradicts is refused', async (t) => {
    const directory = await temporaryMountpoint(t)
    const mount = async (...flags: string[]) =>
      runAbfs(['mount', 'abfs://data', directory, '--foreground', ...flags], { env })
    const withKey = ['--encryption-key-file', keyFile]
    const both = await mount(...withKey, '--encryption-scope', 'one')
    t.equal(both.code, 2)
    t.match(both.stderr, /--encryption-scope and a key .* exclude each other/)
    const short = join(state, 'short')
    await writeFile(short, 'hunter2', { mode: 0o600 })
    const refused = await mount('--encryption-key-file', short)
    t.match(refused.stderr, /--encryption-key-file.*AES-256 key: 32 bytes/)
    t.notMatch(refused.stderr, 'hunter2')
    await chmod(keyFile, 0o644)
    const open = await mount(...withKey)
    t.match(open.stderr, /mode 644, open to others: chmod 600/)
    await chmod(keyFile, 0o600)
  })

  for (const secret of shown) {
    for (const text of written) t.notOk(text().includes(secret), 'no log has it')
    t.notOk(textBelow(state).includes(secret), 'no file of the drive has it')
  }
})

/** Every file below `directory`. */
function filesBelow(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((each) => each.isFile())
    .map((each) => join(each.parentPath, each.name))
}

function bytesBelow(directory: string): number {
  return filesBelow(directory).reduce((sum, file) => sum + readFileSync(file).byteLength, 0)
}

function textBelow(directory: string): string {
  return filesBelow(directory)
    .map((file) => readFileSync(file, 'latin1'))
    .join('\n')
}
