import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { socketHandler } from '../../src/http/socket-handler.ts'
import { createCertificateAuthority } from '../../src/sandbox/certificate-authority.ts'
import { temporaryDirectory, whyNoCli } from '../support/cli.ts'
import { get } from '../support/http-bench.ts'
import { sanitizerVariables } from '../support/program.ts'
import { type RawStep, startRawServer } from '../support/raw-server.ts'
import { generateServerCertificate } from '../support/server-certificate.ts'

const ok: RawStep = (socket) => void socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok')
const mine = await generateServerCertificate()
const { certificatePem: others } = await createCertificateAuthority()

t.test('an authority is trusted by the handler alone that it was given to', async (t) => {
  const server = await startRawServer(t, { onRequest: ok, certificate: mine })
  const status = async (ca?: string) => {
    const { handle, close } = socketHandler({ ca })
    t.teardown(close)
    return (await handle(get(server.url))).status
  }

  t.equal(await status(mine.cert), 200)
  await t.rejects(status(), { code: 'EIO', message: /is not trusted/ })
  await t.rejects(status(others), { code: 'EIO', message: /is not trusted/ })
  t.equal(await status(`${others}\n${mine.cert}`), 200, 'a file may hold several')
})

t.test('whom Node trusts by itself is trusted too', { skip: whyNoCli() }, async (t) => {
  const server = await startRawServer(t, { onRequest: ok, certificate: mine })
  const system = join(await temporaryDirectory(t), 'system.pem')
  await writeFile(system, mine.cert)
  const status = async (env: NodeJS.ProcessEnv) => {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--use-openssl-ca', '--input-type=module', '-e', asking, server.url.href, others],
      { env: { ...sanitizerVariables, ...env } },
    )
    return stdout
  }

  t.equal(await status({ SSL_CERT_FILE: system }), '200')
  t.equal(await status({}), 'EIO')
})

const asking = `
import { socketHandler } from ${JSON.stringify(new URL('../../dist/http/socket-handler.js', import.meta.url).href)}
const [, url, ca] = process.argv
const { handle, close } = socketHandler({ ca })
const request = { method: 'GET', url: new URL(url), headers: {}, operation: 'test' }
const answer = await handle(request).then(({ status }) => status, ({ code }) => code)
process.stdout.write(String(answer))
await close()
`
