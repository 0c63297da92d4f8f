import { rm, stat, writeFile } from 'node:fs/promises'
import t from 'tap'
import { makeDirectories, makeDirectoriesSync } from '../src/make-directories.ts'
import { temporaryDirectory } from './support/temp-drive.ts'

const makers = [
  { name: 'makeDirectories', make: makeDirectories },
  {
    name: 'makeDirectoriesSync',
    make: async (path: string, mode?: number) => makeDirectoriesSync(path, mode),
  },
]

for (const { name, make } of makers) {
  t.test(`${name} makes what is missing and takes what is there`, async (t) => {
    const root = await temporaryDirectory(t)
    await make(`${root}/a/b/c`, 0o700)
    await make(`${root}/a/b/c`)
    await make('/')
    t.equal((await stat(`${root}/a/b`)).mode & 0o777, 0o700)
    await writeFile(`${root}/file`, '')
    await t.rejects(make(`${root}/file`), { code: 'EEXIST' })
    await t.rejects(make(`${root}/file/below`), { code: 'ENOTDIR' })
  })

  t.test(`${name} ends where a directory takes no names`, async (t) => {
    await t.rejects(make('/proc/none/below'), { code: 'ENOENT' })
  })

  t.test(`${name} makes it though others remove what is above`, async (t) => {
    const root = await temporaryDirectory(t)
    let over = false
    const others = (async () => {
      while (!over) await rm(`${root}/x`, { recursive: true, force: true }).catch(() => undefined)
    })()
    for (let turn = 0; turn < 20; turn++) await make(`${root}/x/y/z`).catch(() => undefined)
    over = true
    await others
    await make(`${root}/x/y/z`)
    t.ok((await stat(`${root}/x/y/z`)).isDirectory())
  })
}
