import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { constants } from 'node:os'
import t from 'tap'
import { whyNo } from '../support/program.ts'
import { shell, startMount, whyNoMounts } from '../support/temp-mount.ts'

const skip = whyNoMounts()

t.test(
  'a call that gets no answer fails with ETIMEDOUT, and its work is cancelled',
  { skip },
  async (t) => {
    const { server, mountpoint } = await startMount(t, { timeoutMs: 400 })

    // On a slow machine calls before the read may be late as well.
    const late = () =>
      server.messages.find((each) => each.kind === 'fault' && each.operation === 'fuse.read')
    let output = ''
    while (late() === undefined) output = await shell(`cat ${mountpoint}/stuck`)

    t.match(output, /timed out/)
    t.match(late(), { message: /ETIMEDOUT.*--timeout/ })
    const hello = await shell(`until cat ${mountpoint}/hello 2>/dev/null; do :; done`)
    t.equal(hello, 'hello, world\n', 'the drive serves on')
    await shell(`umount ${mountpoint}`)
    t.ok((await server.said('closed')).abortedReads > 0)
  },
)

t.test(
  'while JavaScript is blocked for ever, every call ends at the deadline',
  { skip },
  async (t) => {
    const { server, mountpoint } = await startMount(t, { timeoutMs: 1000 })
    server.child.send('block')
    await server.said('blocked')

    // More than there are slots for requests: none may be left unread.
    const calls = Array.from({ length: 40 }, (_, index) => `stat ${mountpoint}/new-${index} &`)
    const output = await shell(`${calls.join(' ')} wait`)

    t.equal(output.match(/timed out/g)?.length, 40)
  },
)

t.test('a client is killed at once, whatever it waits for', { skip }, async (t) => {
  const { server, mountpoint } = await startMount(t, { timeoutMs: 0 })
  const reader = spawn('cat', [`${mountpoint}/stuck`], { stdio: 'ignore' })
  await shell('sleep 0.3')
  server.child.send('block')
  await server.said('blocked')
  const asker = spawn('stat', [`${mountpoint}/new`], { stdio: 'ignore' })
  await shell('sleep 0.3')

  reader.kill('SIGKILL')
  asker.kill('SIGKILL')

  const ends = await Promise.race([
    Promise.all([once(reader, 'exit'), once(asker, 'exit')]),
    shell('sleep 10; echo alive'),
  ])
  t.strictSame(ends, [
    [null, 'SIGKILL'],
    [null, 'SIGKILL'],
  ])
})

t.test(
  'many clients are killed at once, whichever reader took their calls',
  { skip },
  async (t) => {
    const { server, mountpoint } = await startMount(t, { timeoutMs: 0 })
    server.child.send('block')
    await server.said('blocked')
    const askers = Array.from({ length: 16 }, (_, index) =>
      spawn('stat', [`${mountpoint}/new-${index}`], { stdio: 'ignore' }),
    )
    await shell('sleep 0.5')

    for (const asker of askers) asker.kill('SIGKILL')

    const ends = await Promise.race([
      Promise.all(askers.map((asker) => once(asker, 'exit'))),
      shell('sleep 10; echo alive'),
    ])
    t.strictSame(
      ends,
      askers.map(() => [null, 'SIGKILL']),
    )
  },
)

t.test(
  'a caller that the daemon cannot see is interrupted by any signal, in calls that change nothing',
  { skip: skip || whyNo('unshare') },
  async (t) => {
    const options = { timeoutMs: 0, directIo: true }
    const { server, mountpoint } = await startMount(t, options, { ownProcesses: true })
    const interrupted = `-1 ${constants.errno.EINTR}\n`
    const met = (call: string): Promise<string> =>
      shell(
        `timeout -k 20 20 python3 -c "
import ctypes, os, signal
signal.signal(signal.SIGALRM, lambda *_: None)
signal.siginterrupt(signal.SIGALRM, True)
libc = ctypes.CDLL(None, use_errno=True)
def tick():
    # Again and again: the first may come before the call.
    signal.setitimer(signal.ITIMER_REAL, 0.2, 0.2)
${call}
print(result, ctypes.get_errno(), flush=True)
os._exit(0)
"`,
      )

    const read = `
file = os.open('${mountpoint}/stuck', os.O_RDONLY)
tick()
result = libc.read(file, ctypes.create_string_buffer(9), 9)`
    t.equal(await met(read), interrupted, 'by JavaScript')
    server.child.send('block')
    await server.said('blocked')
    const access = `tick(); result = libc.access(b'${mountpoint}/d', 0)`
    t.equal(await met(access), interrupted, 'by native code, while JavaScript hangs')
  },
)

t.test(
  'a signal that a program handles ends none of its calls, even while JavaScript hangs',
  { skip },
  async (t) => {
    const { server, mountpoint } = await startMount(t, { timeoutMs: 2500 })
    const signals = t.testdir()
    const output = shell(
      `timeout -k 20 60 python3 -c "
import ctypes, os, signal, time
file = os.open('${mountpoint}/hello', os.O_RDWR)
os.close(os.open('${signals}/open', os.O_CREAT))
while not os.path.exists('${signals}/hanging'): time.sleep(0.05)
signal.signal(signal.SIGALRM, lambda *_: None)
signal.siginterrupt(signal.SIGALRM, True)
signal.setitimer(signal.ITIMER_REAL, 0.2, 0.2)
libc = ctypes.CDLL(None, use_errno=True)
calls = [lambda: libc.write(file, b'x', 1), lambda: libc.access(b'${mountpoint}/d', 0), lambda: libc.close(file)]
results = [(call(), ctypes.get_errno()) for call in calls]
signal.setitimer(signal.ITIMER_REAL, 0)
print(*results)
"`,
    )
    await shell(`until [ -e ${signals}/open ]; do sleep 0.05; done`)
    server.child.send('block')
    await server.said('blocked')
    await writeFile(`${signals}/hanging`, '')

    const late = `(-1, ${constants.errno.ETIMEDOUT})`
    t.equal(await output, `${late} ${late} ${late}\n`)
  },
)

t.test(
  'the mount of a daemon that was killed is cleaned up by the next one',
  { skip },
  async (t) => {
    const { server, mountpoint } = await startMount(t)
    server.child.kill('SIGKILL')
    await server.exit()
    t.match(await shell(`ls ${mountpoint}`), /not connected/)

    const { server: second } = await startMount(t, { mountpoint })

    t.equal((await second.said('mounted')).detachedDead, true)
    t.equal(await shell(`cat ${mountpoint}/hello`), 'hello, world\n')
  },
)
