/** Programs that people run on a drive, beside git, sqlite3 and rsync of test/posix/tools.test.ts. */
import t from 'tap'
import { whyNo } from '../support/program.ts'
import { startDrive, temporaryDirectory } from '../support/temp-drive.ts'
import { shell, whyNoMounts } from '../support/temp-mount.ts'

const skip = whyNoMounts()

t.test('npm ci installs a package that runs', { skip: skip || whyNo('npm') }, async (t) => {
  const local = await temporaryDirectory(t)
  const { mountpoint } = await startDrive(t)
  const library = `mkdir -p lib bin/sub && cd lib && echo 'exports.n = 41' > index.js && echo '#!/usr/bin/env node
console.log(require("lib").n + 1)' > cli.js && echo '{"name":"lib","version":"1.0.0","bin":{"answer":"cli.js"}}' > package.json && npm pack --silent --pack-destination ..`
  t.equal(await shell(`cd ${local} && (${library}) && ls *.tgz`), 'lib-1.0.0.tgz\nlib-1.0.0.tgz\n')
  const project = `mkdir ${mountpoint}/p && cd ${mountpoint}/p && cp ${local}/*.tgz . && echo '{"name":"p","version":"1.0.0","dependencies":{"lib":"file:lib-1.0.0.tgz"}}' > package.json`
  const npm = 'npm --offline --silent --no-audit --no-fund --cache ./cache'
  t.equal(await shell(`${project} && ${npm} install && rm -r node_modules && ${npm} ci`), '')
  t.equal(await shell(`cd ${mountpoint}/p && node_modules/.bin/answer`), '42\n')
})

t.test(
  'a Python environment on the drive installs a package and imports it',
  {
    skip: skip || whyNo('python3'),
  },
  async (t) => {
    const { mountpoint } = await startDrive(t)
    const source = `mkdir -p src/hello && cd src && echo 'word = "hello"' > hello/__init__.py && printf '[project]\nname = "hello"\nversion = "1.0"\n[tool.setuptools]\npackages = ["hello"]\n[build-system]\nrequires = []\nbuild-backend = "setuptools.build_meta"\n' > pyproject.toml`
    const make = `cd ${mountpoint} && (${source}) && python3 -m venv --without-pip --system-site-packages env`
    t.equal(await shell(make), '')
    const install = `cd ${mountpoint} && python3 -c "import shutil, sysconfig, glob; shutil.copytree('src/hello', glob.glob('env/lib/python3*/site-packages')[0] + '/hello')"`
    t.equal(await shell(install), '')
    t.equal(
      await shell(`cd / && ${mountpoint}/env/bin/python -c 'import hello; print(hello.word)'`),
      'hello\n',
    )
  },
)

t.test('tar, cp -a and find agree on a tree with modes, times and links', { skip }, async (t) => {
  const local = await temporaryDirectory(t)
  const drive = await startDrive(t)
  const tree = `mkdir -p a/b 'c d' && echo 1 > a/b/one && echo 2 > 'c d/two ü' && ln -s ../a/b/one 'c d/link' && chmod 640 a/b/one && touch -d '2001-02-03 04:05:06.789' a/b/one a`
  const list = `find . -printf '%P %y %m %T@ %l\\n' | sort`
  const expected = await shell(
    `cd ${local} && mkdir t && cd t && ${tree} && touch -d 2002-01-01 . a/b 'c d' a && ${list}`,
  )
  t.equal(
    await shell(
      `tar -C ${local} --format=posix -cf ${drive.mountpoint}/t.tar t && mkdir ${drive.mountpoint}/x && tar -C ${drive.mountpoint}/x -xpf ${drive.mountpoint}/t.tar`,
    ),
    '',
  )
  t.equal(await shell(`cp -a ${drive.mountpoint}/x/t ${drive.mountpoint}/copied`), '')
  await drive.remount()
  t.equal(await shell(`cd ${drive.mountpoint}/x/t && ${list}`), expected)
  t.equal(await shell(`cd ${drive.mountpoint}/copied && ${list}`), expected)
})

t.test(
  'an editor that writes beside the file and renames over it keeps the text',
  {
    skip: skip || whyNo('vim'),
  },
  async (t) => {
    const drive = await startDrive(t)
    const file = `${drive.mountpoint}/notes`
    t.equal(
      await shell(
        `echo first > ${file} && vim -es -u NONE -c 'set backup backupcopy=no' -c 'normal Gosecond' -c wq ${file}`,
      ),
      '',
    )
    await drive.remount()
    t.equal(await shell(`cat ${file}`), 'first\nsecond\n')
  },
)

t.test(
  'weights are read through a private map of the file',
  { skip: skip || whyNo('python3') },
  async (t) => {
    const drive = await startDrive(t)
    const program = `
import mmap, os, struct, sys
path = sys.argv[1]
values = list(range(300000))
with open(path + '.tmp', 'wb') as f:
    f.write(struct.pack('<Q', len(values)))
    f.write(struct.pack('<%di' % len(values), *values))
    f.flush(); os.fsync(f.fileno())
os.replace(path + '.tmp', path)
with open(path, 'rb') as f:
    m = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_COPY)
    n, = struct.unpack_from('<Q', m, 0)
    print(n, sum(struct.unpack_from('<%di' % n, m, 8)))
    m[8:12] = b'\\xff' * 4
print(struct.unpack('<i', open(path, 'rb').read()[8:12])[0])`
    t.equal(
      await shell(`python3 -c "${program.replaceAll('"', '\\"')}" ${drive.mountpoint}/weights`),
      '300000 44999850000\n0\n',
    )
  },
)

t.test('a cache of models is laid out with blobs, snapshots and links', { skip }, async (t) => {
  const drive = await startDrive(t)
  const there = `${drive.mountpoint}/models--org--name`
  const make = `mkdir -p ${there}/blobs ${there}/refs ${there}/snapshots/abc && cd ${there} && head -c 300000 /dev/zero > blobs/e3.incomplete && mv blobs/e3.incomplete blobs/e3 && ln -s ../../blobs/e3 snapshots/abc/model.bin && printf abc > refs/main`
  t.equal(await shell(`${make} && flock ${there}/.lock true`), '')
  await drive.remount()
  t.equal(
    await shell(
      `readlink -f ${there}/snapshots/$(cat ${there}/refs/main)/model.bin && wc -c < ${there}/snapshots/abc/model.bin`,
    ),
    `${there}/blobs/e3\n300000\n`,
  )
})
