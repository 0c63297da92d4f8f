import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const execute = promisify(execFile)
const dataLoader = fileURLToPath(new URL('../workers/data-loader.py', import.meta.url))

/** A shell line in a process of its own: the drive is never touched by who serves or measures it. */
async function shell(script, cwd) {
  const options = { cwd, maxBuffer: 2 ** 26, timeout: 600_000 }
  const { stdout } = await execute('bash', ['-ec', script], options)
  return stdout
}

/** fio's sum over jobs: operations and bytes a second of `kind`. */
async function fio(mountpoint, args) {
  const fixed = ['--name=job', '--group_reporting', '--output-format=json', '--fallocate=none']
  const { stdout } = await execute('fio', [...fixed, ...args], {
    cwd: mountpoint,
    maxBuffer: 2 ** 26,
  })
  const [{ read, write }] = JSON.parse(stdout.slice(stdout.indexOf('{'))).jobs
  const kind = read.io_bytes > 0 ? read : write
  return {
    perSecond: kind.iops,
    asked: kind.io_bytes,
    p99Ms: (kind.clat_ns.percentile?.['99.000000'] ?? 0) / 1e6,
  }
}

/** The files of the repository that is cloned. */
export function namesInRepository(files) {
  return Array.from({ length: files }, (_, i) => `d${i % 20}/f${i}`)
}

const dropKernelCaches = 'sync; echo 3 > /proc/sys/vm/drop_caches'

/**
 * What is measured; `needs` names what of the input it works on; `reads` needs no server that keeps what it is sent. `copied` names a directory that is copied to `copy-TOKEN` before; `work` is timed and
 * may return figures of its own; `writesBack`: the drive takes part a second time, with `--write-back`; `warm` runs before it in the same mount; `changes` names what it writes,
 * to be waited for.
 */
export function rowsOf(sizes) {
  const { sizeMiB, files, directories, cloneFiles, editMiB, hugeMiB, setFiles, readsOnly } = sizes
  const big = `big-${sizeMiB}`
  const edited = `edited-${editMiB}`
  // Where there is one: readers that fetch a file whole never come to its end.
  const random = readsOnly
    ? { name: 'huge/directory-000000/file-00000000', title: `${hugeMiB} MiB` }
    : { name: big, title: `${sizeMiB} MiB` }
  const randomRow = (jobs, count) => ({
    needs: [readsOnly ? 'huge' : 'big'],
    title: `cold random 4 KiB in ${random.title}, ${jobs} jobs`,
    reads: true,
    work: (at) =>
      fio(at, [
        ...[`--filename=${random.name}`, '--readonly', '--rw=randread', '--bs=4k'],
        ...[`--numjobs=${jobs}`, `--number_ios=${count}`, '--invalidate=0', '--randrepeat=1'],
        // rclone fails some of them in a file that its cache does not hold.
        ...['--runtime=20', '--continue_on_error=io'],
      ]),
  })
  const listing = (count, needs) => ({
    needs: [needs],
    work: (at) => shell(`ls -l ${needs} > /dev/null`, at),
    title: `ls -l of ${count}`,
  })
  const epoch = (order, workers, ...seed) => ({
    needs: ['set'],
    title: `${setFiles} files of 100 KB ${order}, ${workers} ${workers === 1 ? 'worker' : 'workers'}, cold`,
    work: async (at) =>
      JSON.parse(await shell(`python3 ${dataLoader} set ${[workers, ...seed].join(' ')}`, at)),
  })
  const warm = ({ title, work, ...row }) => ({
    ...row,
    title: `${title}, warm`,
    local: true,
    warm: work,
    work,
  })
  const cold = ({ title, ...row }) => ({ ...row, title: `${title}, cold` })
  const tenThousand = listing('10,000', 'list-10000')
  const hundredThousand = listing('100,000', 'list-100000')
  const cat = (name) => `dd if=${name} of=/dev/null bs=1M status=none`
  return [
    {
      title: `cold sequential read, ${sizeMiB} MiB`,
      needs: ['big'],
      reads: true,
      work: (at) => shell(cat(big), at),
    },
    {
      title: `cold sequential read, 4 files of ${sizeMiB / 4} MiB`,
      needs: ['parts'],
      reads: true,
      work: (at) => shell(`for i in 0 1 2 3; do ${cat('part-$i')} & done; wait`, at),
      tellsMemory: true,
    },
    {
      title: `warm read, ${sizeMiB} MiB`,
      needs: ['big'],
      local: true,
      passthrough: true,
      reads: true,
      // The disk takes a moment longer than the reader, and reads what was just written slower the first time.
      warm: (at) =>
        shell(`${cat(big)}; sleep 2; ${dropKernelCaches}; ${cat(big)}; ${dropKernelCaches}`, at),
      work: (at) => shell(cat(big), at),
    },
    randomRow(4, 300),
    randomRow(16, 300),
    epoch('in order', 8),
    epoch('shuffled', 8, 7),
    epoch('in order', 1),
    {
      title: 'first byte of a large file',
      needs: ['big'],
      reads: true,
      work: (at) => shell(`head -c 1 ${big} > /dev/null`, at),
    },
    {
      title: `durable sequential write, ${sizeMiB} MiB`,
      changes: () => ['written'],
      work: (at) =>
        shell(`dd if=/dev/zero of=written bs=1M count=${sizeMiB} conv=fsync status=none`, at),
    },
    {
      title: `durable create of ${files} files of 10 KiB, 8 jobs`,
      writesBack: true,
      changes: ({ token }) =>
        Array.from({ length: 8 }, (_, job) => `made-${token}/${job}/${Math.floor(files / 8) - 1}`),
      work: (at, { token }) => {
        const each = `for ((i = 0; i < ${Math.floor(files / 8)}; i++)); do head -c 10240 /dev/zero > $0/$i; done`
        const job = `mkdir -p $0; ${each}`
        return shell(`seq 0 7 | xargs -P 8 -I{} bash -ec '${job}' made-${token}/{}`, at)
      },
    },
    cold(tenThousand),
    warm(tenThousand),
    cold(hundredThousand),
    warm(hundredThousand),
    {
      title: `find over ${directories} directories`,
      needs: ['tree'],
      work: (at) => shell('find tree -type f | wc -l', at),
    },
    {
      title: 'mv of a directory of 1,000 files',
      needs: ['thousand'],
      copied: 'thousand',
      work: (at, { token }) => shell(`mv copy-${token} moved-${token}`, at),
    },
    {
      title: 'rm -r of 1,000 files',
      needs: ['thousand'],
      copied: 'thousand',
      writesBack: true,
      work: (at, { token }) => shell(`rm -r copy-${token}`, at),
    },
    {
      title: `git clone of ${cloneFiles} files`,
      needs: ['repository'],
      writesBack: true,
      changes: ({ token }) => namesInRepository(cloneFiles).map((name) => `clone-${token}/${name}`),
      work: (at, { repository, token }) =>
        shell(`git clone -q ${repository} clone-${token} && git -C clone-${token} status -s`, at),
    },
    {
      title: `4 KiB edit in ${editMiB} MiB, durable`,
      needs: ['edited'],
      changes: () => [edited],
      work: (at) =>
        shell(
          `dd if=/dev/urandom of=${edited} bs=4k count=1 seek=5000 conv=notrunc,fsync status=none`,
          at,
        ),
    },
  ]
}
