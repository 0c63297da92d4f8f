import { startSandbox } from '../../src/sandbox/sandbox.ts'

// Run as a program: starts a sandbox, prints where it is, and ends once SIGTERM has closed it.
const [engine = 'azurite'] = process.argv.slice(2)
const sandbox = await startSandbox({ engine: engine === 'abfs' ? 'abfs' : 'azurite' })
process.once('SIGTERM', () => {
  void sandbox.close()
})
process.stdout.write(
  `${JSON.stringify({
    runDirectory: sandbox.runDirectory,
    pid: sandbox.blobServicePid,
    urls: [sandbox.blobEndpoint, sandbox.authorityHost, sandbox.imdsEndpoint],
  })}\n`,
)
