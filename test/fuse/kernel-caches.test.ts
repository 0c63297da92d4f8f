import { setTimeout } from 'node:timers/promises'
import t from 'tap'
import { startDrive, type TemporaryDrive } from '../support/temp-drive.ts'
import { dropPages, type MountServer, shell, whyNoMounts } from '../support/temp-mount.ts'

const skip = whyNoMounts()

// One process serves them all: to load it takes longer than most tests.
const drive = skip === false ? await startDrive(t) : undefined

async function emptyDrive(options: {
  readonly listingTtlMs: number
  readonly attrTtlMs?: number
}): Promise<TemporaryDrive> {
  if (drive === undefined) throw new Error('nothing can be mounted here')
  await drive.anew({ attrTtlMs: 1000, ...options })
  return drive
}

t.test(
  'what a listing told is answered by the kernel while JavaScript hangs',
  { skip },
  async (t) => {
    const { mountpoint, whileHanging } = await emptyDrive({
      listingTtlMs: 600_000,
      attrTtlMs: 600_000,
    })
    await shell(`cd ${mountpoint} && mkdir d && seq 300 | sed s,^,d/f, | xargs touch`)
    const ask = `cd ${mountpoint} && stat d/none; seq 300 | sed s,^,d/f, | xargs stat -c '%n %s %a %Z'`
    await shell(`ls -l ${mountpoint}/d`)
    const before = await shell(ask)

    const after = await whileHanging(() => shell(ask))

    t.equal(after, before)
    t.match(after, /No such file/)
    t.equal(after.match(/d\/f\d+ 0 644/g)?.length, 300)
  },
)

t.test(
  'own changes show at once in names and attributes that the kernel keeps',
  { skip },
  async (t) => {
    const { mountpoint } = await emptyDrive({ listingTtlMs: 600_000, attrTtlMs: 600_000 })

    const output = await shell(
      `cd ${mountpoint} && mkdir d && cd d && echo one > a && ls && stat -c %s none; ls && ` +
        'echo second > none && ls && chmod 600 a && stat -c "%a %s" a none && mv a b && ls && ' +
        'rm b && ls && echo more >> none && stat -c %s none && : > none && stat -c %s none && ' +
        'rm none && ls | wc -l',
    )

    t.equal(
      output.replace(/^stat: .*\n/m, ''),
      ['a', 'a', 'a', 'none', '600 4', '644 7', 'b', 'none', 'none', '12', '0', '0', ''].join('\n'),
    )
  },
)

t.test(
  'changes made elsewhere show when the listing is believed no longer',
  { skip },
  async (t) => {
    const { server, mountpoint } = await emptyDrive({ listingTtlMs: 1000, attrTtlMs: 1000 })
    await shell(`cd ${mountpoint} && echo one > a && ls -l && cat a && stat new`)
    server.child.send({ put: 'new', text: 'x' })
    await server.said('stored')
    server.messages.splice(0)
    server.child.send({ put: 'a', text: 'longer' })
    await server.said('stored')

    const output = await shell(`sleep 1.1; cd ${mountpoint} && ls && stat -c %s a && cat a`)

    t.equal(output, 'a\nnew\n6\nlonger')
  },
)

t.test(
  'in directories of its own the drive knows what there is not, while JavaScript hangs',
  { skip },
  async (t) => {
    const { mountpoint, whileHanging } = await emptyDrive({
      listingTtlMs: 600_000,
      attrTtlMs: 600_000,
    })
    await shell(`cd ${mountpoint} && mkdir d && cd d && echo one > a && mv a b && mkdir s`)

    const output = await whileHanging(() =>
      shell(`cd ${mountpoint}/d && stat c; stat s/c; stat s/d/e`),
    )

    t.equal(output.match(/No such file/g)?.length, 3)
  },
)

t.test('names that come and go in such a directory are seen', { skip }, async (t) => {
  const { mountpoint } = await emptyDrive({ listingTtlMs: 600_000, attrTtlMs: 600_000 })
  const named = ['f', 'd', 'l', 'p', 'g', 'é', 'x'.repeat(255)]
  const show = `for i in ${named.join(' ')}; do test -e $i -o -L $i && printf 1 || printf 0; done; echo`

  const output = await shell(
    `cd ${mountpoint} && mkdir m && cd m && ${show}; ` +
      `echo 1 > f; mkdir d; ln -s none l; mkfifo p; echo 1 > é; ${show}; ` +
      `mv f g; mv d ${'x'.repeat(255)}; rm l p; ${show}; ` +
      `echo 2 > f; rm g; mv ${'x'.repeat(255)} d; ${show}; stat ${'x'.repeat(256)}`,
  )

  const [none, made, moved, back, ...rest] = output.split('\n')
  t.same([none, made, moved, back], ['0000000', '1111010', '0000111', '1100010'])
  t.match(rest.join(), /File name too long/)
})

t.test(
  'what others put into such a directory shows when it is believed no longer',
  {
    skip,
  },
  async (t) => {
    const { server, mountpoint } = await emptyDrive({ listingTtlMs: 1000, attrTtlMs: 1000 })
    await shell(`cd ${mountpoint} && mkdir d && test ! -e d/new`)
    server.child.send({ put: 'd/new', text: 'x' })
    await server.said('stored')

    t.equal(await shell(`sleep 1.1; cat ${mountpoint}/d/new`), 'x')
  },
)

t.test('with a lifetime of 0 the kernel asks every time', { skip }, async (t) => {
  const { server, mountpoint } = await emptyDrive({ listingTtlMs: 0, attrTtlMs: 0 })
  await shell(`cd ${mountpoint} && echo one > a && ls -l`)
  server.child.send({ put: 'a', text: 'longer' })
  await server.said('stored')

  t.equal(await shell(`cd ${mountpoint} && stat -c %s a && ls && cat a`), '6\na\nlonger')
})

/** How many lookups were taken back until now, and how often names were asked for. */
function asked(server: MountServer) {
  server.messages.splice(0)
  server.child.send('forgotten')
  return server.said('forgotten')
}

/** What Python sees of the files `d/f1` to `d/f300`, in one line of words. */
function askAll(mountpoint: string): string {
  return `cd ${mountpoint} && python3 -c "
import os
for index in range(1, 301):
    path = 'd/f%d' % index
    found = os.stat(path)
    print(path, found.st_size, oct(found.st_mode), found.st_mtime_ns, os.listxattr(path))
    for name in ['user.none', 'security.selinux', 'system.posix_acl_access']:
        try:
            print(os.getxattr(path, name))
        except OSError as error:
            print(error.errno)
"`
}

t.test(
  'files that were read are known with their extended attributes while JavaScript hangs',
  { skip },
  async (t) => {
    const { mountpoint, whileHanging } = await emptyDrive({
      listingTtlMs: 600_000,
      attrTtlMs: 600_000,
    })
    await shell(`cd ${mountpoint} && mkdir d && for i in $(seq 300); do echo $i > d/f$i; done`)
    await shell(`cd ${mountpoint} && ls -l d && cat d/* | wc -c`)
    const before = await shell(askAll(mountpoint))
    await shell(dropPages(`${mountpoint}/d/*`))
    await shell(`cat ${mountpoint}/d/* | wc -c && ls -l ${mountpoint}/d`)
    // Moves the time of access, which the kernel then wants to know.
    const readAll = `cd ${mountpoint} && ls -l d >/dev/null && cat d/* | wc -c`
    await shell(readAll)

    const after = await whileHanging(() => shell(askAll(mountpoint)))

    t.equal(after, before)
    t.equal(after.match(/^d\/f\d+ [234] 0o100644 \d+ \[\]\n61\n95\n95$/gm)?.length, 300)
  },
)

t.test(
  'a directory is known after names came and went in it, while JavaScript hangs',
  { skip },
  async (t) => {
    const { mountpoint, whileHanging } = await emptyDrive({ listingTtlMs: 60_000 })
    const ask = `stat -c '%n %Y %h %a' ${mountpoint} ${mountpoint}/d ${mountpoint}/e`
    await shell(`cd ${mountpoint} && mkdir d e && ls -l . d e && touch d/a d/b`)
    await shell(`cd ${mountpoint}/d && rm a && mkdir sub && rmdir sub && mv b ../e/c`)

    const known = await whileHanging(() => shell(ask))

    t.match(known, /d \d+ 1 755\n.*e \d+ 1 755\n/)
  },
)

t.test('what the kernel has forgotten is heard of when nothing else comes', { skip }, async (t) => {
  const { server, mountpoint } = await emptyDrive({ listingTtlMs: 60_000 })
  await shell(`cd ${mountpoint} && mkdir d && seq 20 | sed s,^,d/f, | xargs touch && ls -l d`)

  const before = await asked(server)

  await shell(`rm -r ${mountpoint}/d`)

  let { count } = before
  while (count < before.count + 21) {
    await setTimeout(20)
    count = (await asked(server)).count
  }
  t.ok(count >= before.count + 21, `${count} lookups were taken back`)
})

t.test(
  'a directory of few names is read as it is opened, and what nobody reads is taken back',
  { skip },
  async (t) => {
    const { server, mountpoint } = await emptyDrive({ listingTtlMs: 60_000 })
    await shell(
      `cd ${mountpoint} && mkdir $(seq 40) && for i in $(seq 40); do echo $i > $i/f; done`,
    )
    const before = await asked(server)

    const found = await shell(
      `cd ${mountpoint} && find $(seq 20) -name f -size -4c | sort -V | xargs cat`,
    )
    const read = await asked(server)
    await shell(`python3 -c "
import os
for index in range(21, 41):
    os.close(os.open('${mountpoint}/%d' % index, os.O_RDONLY | os.O_DIRECTORY))
"`)

    t.equal(found, Array.from({ length: 20 }, (_, index) => `${index + 1}\n`).join(''))
    const times = read.listed - before.listed
    t.comment(`names were asked for ${times} times`)
    t.ok(times < 60, 'without offers each directory is asked for twice, with them once')
    let { count } = read
    while (count < read.count + 20) count = (await asked(server)).count
    t.ok(count >= read.count + 20, 'the lookups of what was offered and not read came back')
  },
)

t.test('own changes show at once in what is answered past JavaScript', { skip }, async (t) => {
  const { mountpoint } = await emptyDrive({ listingTtlMs: 600_000, attrTtlMs: 600_000 })

  // Times move by the millisecond.
  const output = await shell(`mkdir ${mountpoint}/d && cd ${mountpoint}/d && python3 -c "
import os, time
def know(*names):
    os.listdir('.')
    for name in names:
        with open(name) as file: file.read()
        os.stat(name), os.listxattr(name)
for name in 'abc':
    with open(name, 'w') as file: file.write(name)
know('a', 'b', 'c')
os.setxattr('a', 'user.colour', b'blue')
print(os.listxattr('a'), os.getxattr('a', 'user.colour'))
os.rename('a', 'moved')
print(os.listxattr('moved'), os.stat('moved').st_size)
os.removexattr('moved', 'user.colour')
print(os.listxattr('moved'))
know('moved', 'b', 'c')
before = os.stat('b').st_ctime_ns
time.sleep(0.002)
os.chmod('b', 0o600)
print(oct(os.stat('b').st_mode), os.stat('b').st_ctime_ns > before)
with open('b', 'a') as file:
    file.write('more')
    file.flush()
    print(os.stat('b').st_size)
know('b', 'c')
print(os.stat('b').st_size)
with open('c') as file:
    os.unlink('c')
    print(os.fstat(file.fileno()).st_nlink)
with open('c', 'w') as file: file.write('another')
print(os.stat('c').st_size, os.stat('c').st_nlink)
know('b', 'c')
with open('b') as file:
    os.replace('c', 'b')
    print(os.fstat(file.fileno()).st_nlink, os.stat('b').st_size)
before = os.stat('.').st_mtime_ns
time.sleep(0.002)
open('d', 'w').close()
print(os.stat('.').st_mtime_ns > before)
os.truncate('d', 7)
print(os.stat('d').st_size)
"`)

  t.strictSame(output.trimEnd().split('\n'), [
    "['user.colour'] b'blue'",
    "['user.colour'] 1",
    '[]',
    '0o100600 True',
    '5',
    '5',
    '0',
    '7 1',
    '0 7',
    'True',
    '7',
  ])
})

t.test(
  'what is answered past JavaScript is no older than the listing that told it',
  { skip },
  async (t) => {
    const { server, mountpoint } = await emptyDrive({ listingTtlMs: 1000, attrTtlMs: 1000 })
    const know = `cd ${mountpoint} && ls -l >/dev/null && cat a && stat -c %s a && python3 -c 'import os; print(os.listxattr("a"))'`
    await shell(`cd ${mountpoint} && echo one > a && ${know}`)
    server.child.send({ put: 'a', text: 'longer', metadata: { colour: 'blue' } })
    await server.said('stored')

    const output = await shell(`sleep 1.1; ${know}`)

    t.equal(output, "longer6\n['user.colour']\n")
  },
)
