import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { parse, stringify } from 'yaml'
import { outputOf, runAbfs, startAbfs, until, whyNoCli } from '../support/cli.ts'
import { startSandboxConnector } from '../support/sandbox-connector.ts'

/* The README's recipe "From service principal secrets to none", as it stands there. */

const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8')
const [, recipe = ''] =
  /### From service principal secrets to none\n(.*?)\n### /s.exec(readme) ?? []
const blocks = [...recipe.matchAll(/```(\w+)\n(.*?)```/gs)].map(([, kind, text = '']) => ({
  kind,
  text: text.replaceAll(/^ {3}/gm, ''),
}))
const flagsOf = (pattern: RegExp): readonly string[] => {
  const found = blocks.map(({ text }) => pattern.exec(text)?.[1]).find((each) => each !== undefined)
  return (found ?? '')
    .replaceAll('datasets', 'data')
    .split(' ')
    .filter((each) => each !== '')
}

t.test(
  'the recipe to leave secrets behind works as it is written',
  {
    skip: whyNoCli(),
  },
  async (t) => {
    const yaml = blocks.find(({ kind }) => kind === 'yaml')?.text ?? ''
    const { client } = await startSandboxConnector(t, {
      editYaml: (text) => {
        const config = parse(text)
        const account = config.accounts[0].name
        const [{ name: caller }] = config.callers
        const { policy } = parse(yaml)
        config.policy = policy.map((rule: object) => ({
          ...rule,
          caller,
          account,
          container: 'data',
        }))
        return stringify(config)
      },
    })
    const exec = flagsOf(/abfs exec (.*?) -- python/)
    t.ok(exec.length > 0, 'the README starts a program')
    const program = fileURLToPath(new URL('../support/agent-client.mjs', import.meta.url))
    const argv = ['exec', ...exec, '--', process.execPath, program, 'node-default']
    const child = startAbfs(argv, { env: { ...client, AZURE_CLIENT_SECRET: 'left-behind' } })
    const output = outputOf(child)
    await until(() => /^ready$/m.test(output.stdout) || child.exitCode !== null)
    child.stdin?.end('\n')
    if (child.exitCode === null) await once(child, 'close')
    t.equal(child.exitCode, 0, output.stderr.slice(-500))
    t.match(output.stdout, /first .*file\.txt.* one\n[\s\S]*second .*file\.txt.* two/)

    const verify = flagsOf(/abfs connector verify (.*)/)
    const report = await runAbfs(['connector', 'verify', ...verify], { env: client })
    t.equal(report.code, 0, report.stdout + report.stderr)
    t.match(report.stdout, /scope-enforced-parent +passed[\s\S]*scope-enforced-sibling +passed/)
  },
)
