import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { createFileSystem } from '../../src/create-file-system.ts'
import { temporaryDirectory } from '../support/cli.ts'
import { startRawServer } from '../support/raw-server.ts'
import { generateServerCertificate } from '../support/server-certificate.ts'

t.test('an account is connected to while the credential for it is asked for', async (t) => {
  const certificate = await generateServerCertificate()
  const caFile = join(await temporaryDirectory(t), 'ca.pem')
  await writeFile(caFile, certificate.cert)
  let connected = () => {}
  const isConnected = new Promise<void>((resolve) => {
    connected = resolve
  })
  const server = await startRawServer(t, {
    certificate,
    onConnection: () => connected(),
    onRequest: (socket) =>
      void socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\netag: "1"\r\n\r\nok'),
  })
  const sentBefore: string[] = []
  const fileSystem = await createFileSystem({
    account: 'account',
    blobEndpoint: server.url.href,
    caFile,
    hns: false,
    credential: {
      getToken: async () => {
        await isConnected
        sentBefore.push(server.received())
        return { token: 'token', expiresOnTimestamp: Date.now() + 3_600_000 }
      },
    },
  })
  t.teardown(() => fileSystem.close())

  const bytes = await fileSystem.catFile('container/file')

  t.equal(Buffer.from(bytes).toString(), 'ok')
  t.strictSame(sentBefore, [''])
  t.equal(server.connections(), 1)
})
