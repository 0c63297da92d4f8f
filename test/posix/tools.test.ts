import t from 'tap'
import { whyNo } from '../support/program.ts'
import { startDrive, temporaryDirectory } from '../support/temp-drive.ts'
import { shell, whyNoMounts } from '../support/temp-mount.ts'

const author = '-c user.name=Ada -c user.email=ada@example.org'

t.test(
  'git clones, commits, packs and checks a repository on the drive',
  {
    skip: whyNoMounts() || whyNo('git'),
  },
  async (t) => {
    const local = await temporaryDirectory(t)
    const drive = await startDrive(t)
    const there = `${drive.mountpoint}/repo`
    const make = `git init -q ${local}/r && cd ${local}/r && mkdir d && echo 1 > d/a && ln -s d/a l`
    t.equal(await shell(`${make} && git add -A && git ${author} commit -qm one`), '')
    t.equal(await shell(`git clone -q ${local}/r ${there}`), '')
    t.equal(await shell(`cd ${there} && echo 2 >> d/a && git ${author} commit -qam two`), '')
    t.equal(await shell(`cd ${there} && git gc -q && git fsck --strict --no-progress`), '')
    await drive.remount()
    t.equal(await shell(`git -C ${there} fsck --strict --no-progress`), '')
    t.equal(await shell(`git -C ${there} status --porcelain; cat ${there}/l`), '1\n2\n')
  },
)

t.test(
  'sqlite3 commits and rolls back on the drive',
  {
    skip: whyNoMounts() || whyNo('sqlite3'),
  },
  async (t) => {
    const drive = await startDrive(t)
    const ask = (sql: string) => shell(`sqlite3 ${drive.mountpoint}/db "${sql}"`)
    const rows = 'with recursive c(x) as (select 1 union all select x+1 from c where x<500)'
    t.equal(
      await ask(`create table t(a); begin; insert into t ${rows} select x from c; commit`),
      '',
    )
    t.equal(await ask('begin; delete from t; rollback; select count(*) from t'), '500\n')
    await drive.remount()
    t.equal(await ask('pragma integrity_check; select sum(a) from t'), 'ok\n125250\n')
  },
)

t.test(
  'rsync -a has nothing to send the second time, nor after a remount',
  {
    skip: whyNoMounts() || whyNo('rsync'),
  },
  async (t) => {
    const local = await temporaryDirectory(t)
    const drive = await startDrive(t)
    const make = `mkdir -p ${local}/s/d && cd ${local}/s && echo a > d/a && ln -s d/a l`
    t.equal(await shell(`${make} && chmod 751 d/a && touch -d '2001-02-03 04:05:06.789' d/a d`), '')
    const sync = `rsync -ai ${local}/s/ ${drive.mountpoint}/s/`
    t.match(await shell(sync), />f\+.* d\/a/)
    t.equal(await shell(sync), '')
    await drive.remount()
    t.equal(await shell(sync), '')
  },
)
