/** Drives that show metadata of modes, owners and times without writing any, or neither. */
import t from 'tap'
import { runAbfs, startCliSandbox, temporaryDirectory, whyNoCli } from '../support/cli.ts'
import { startDrive } from '../support/cli-drive.ts'
import { shell, whyNoMounts } from '../support/temp-mount.ts'

t.test('drives by --posix-attrs', { skip: whyNoCli() || whyNoMounts() }, async (t) => {
  const { client } = await startCliSandbox(t, '--engine', 'abfs')
  const env = { ...client, XDG_STATE_HOME: await temporaryDirectory(t) }
  const mounted = (...flags: string[]) => startDrive(t, ['--attr-ttl', '0', ...flags], { env })
  const metadataOf = async (name: string) => {
    const { stdout } = await runAbfs(['stat', '--json', `abfs://data/${name}`], { env })
    return (JSON.parse(stdout) as { readonly metadata?: unknown }).metadata
  }
  const local = await temporaryDirectory(t)
  await shell(`cd '${local}' && mkdir tree && echo run > tree/script && chmod 750 tree/script &&
    chown 7:8 tree/script && touch -d '2020-01-02 03:04:05.678Z' tree/script && ln -s script tree/link`)
  const usual = await mounted()
  await shell(`cp -a '${local}/tree' '${usual.directory}/owned'`)
  const known = await metadataOf('owned/script')
  t.match(known, { permissions: '33256', posix_owner: '7' })

  const look = "stat -c '%n %A %u %g %s' script link"
  for (const use of ['read', 'off'] as const) {
    const { directory, end } = await mounted('--posix-attrs', use, '--file-mode', '640')
    const run = (commands: string) => shell(`cd '${directory}' && ${commands}`)
    const owner = `${process.getuid?.()} ${process.getgid?.()}`

    const shown = await run(`cd owned && ${look}`)
    if (use === 'read') {
      t.match(shown, 'script -rwxr-x--- 7 8 4')
      t.match(shown, /link l\S+ \d+ \d+ 6/)
    } else {
      t.match(shown, `script -rw-r----- ${owner} 4`)
      t.match(shown, `link -rw-r----- ${owner} 6`)
    }
    await run(
      'chmod 777 owned/script && chown 1:1 owned/script && touch -d 2001-01-01 owned/script',
    )
    t.strictSame(await metadataOf('owned/script'), known, 'nothing is set')

    await run(`mkdir ${use} && cp -rp --no-preserve=links '${local}/tree/script' ${use}/copied`)
    await run(
      `tar -C '${local}' -cf '${local}/t.tar' tree/script && tar -C ${use} -xpf '${local}/t.tar'`,
    )
    await run(`rsync -a '${local}/tree/script' ${use}/synced`)
    for (const name of ['copied', 'tree/script', 'synced']) {
      t.strictSame((await metadataOf(`${use}/${name}`)) ?? {}, {}, `${name} has none`)
      t.match(await run(`stat -c '%A %u %g' ${use}/${name}`), `-rw-r----- ${owner}`)
    }
    await run(`git init -q ${use}/repository && cd ${use}/repository && echo x > f &&
      git add f && git -c user.name=n -c user.email=e commit -qm first && git status --porcelain`)
    t.match(await run(`git -C ${use}/repository config core.fileMode`), 'false', 'git finds out')
    const links = await run(`git -C ${use}/repository config core.symlinks || true`)
    t.equal(links.trim(), use === 'off' ? 'false' : '')

    await run('echo again > owned/script')
    const { modtime, ...rest } = (await metadataOf('owned/script')) as Record<string, string>
    const { modtime: former, ...others } = known as Record<string, string>
    t.strictSame(rest, others, 'an edit leaves them')
    t.ok(BigInt(modtime ?? 0) > BigInt(former ?? 0), 'but the time')
    await shell(`cp -p '${local}/tree/script' '${usual.directory}/owned/script'`)
    if (use === 'off') t.match(await run('ln -s a b 2>&1 || true'), /not permitted/)
    else t.equal(await run('ln -s a b && readlink b && rm b'), 'a\n')
    t.equal(await end(), 0)
  }
  t.equal(await usual.end(), 0)

  const wrong = await runAbfs(['mount', 'abfs://data', '/mnt', '--posix-attrs', 'none'])
  t.equal(wrong.code, 2)
  t.match(wrong.stderr, /--posix-attrs must be off, read or write, not 'none'/)
  const planned = ['mount', 'abfs://data', local, '--posix-attrs=read', '--plan', '--json']
  const { stdout } = await runAbfs(planned, { env })
  const { settings } = JSON.parse(stdout) as { readonly settings: readonly unknown[] }
  const [setting] = settings.filter((each) => (each as { name: string }).name === 'posixAttrs')
  t.strictSame(setting, { name: 'posixAttrs', value: 'read', origin: '--posix-attrs' })
})
