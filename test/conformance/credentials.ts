import type { Test } from 'tap'
import type { Credential, CredentialProvider, Scope } from '../../src/credential/credential.ts'
import { type FileSystemError, isFileSystemError } from '../../src/errors.ts'
import { type CredentialEvent, credentialChannel } from '../../src/telemetry.ts'

/** One provider under test, over a policy that grants `granted` and no more. */
export interface CredentialBench {
  readonly provider: CredentialProvider
  /** The provider of a caller without any rule. */
  readonly stranger: CredentialProvider
  readonly nowMs: () => number
  /** Makes the issuer fail from here on; `undefined` ends it. */
  failWith(error: Error | undefined): void
  close(): Promise<void>
}

/** The scope that every bench grants as a signature of at most an hour. */
export const granted: Scope = {
  account: 'acct',
  service: 'blob',
  container: 'data',
  permissions: ['read', 'list'],
}

/** What every provider of credentials does, whether or not there is a wire in between. */
export function credentialConformance(t: Test, open: () => Promise<CredentialBench>): void {
  const check = (title: string, run: (t: Test, bench: CredentialBench) => Promise<void>): void => {
    t.test(title, async (t) => {
      const bench = await open()
      t.teardown(() => bench.close())
      await run(t, bench)
    })
  }

  check('a granted scope gives a credential with a life within policy', async (t, bench) => {
    const credential = await bench.provider.getCredential(granted)

    t.equal(credential.kind, 'sas')
    t.equal(credential.expiresAtMs > bench.nowMs(), true)
    t.equal(credential.expiresAtMs <= bench.nowMs() + 3_600_000, true)
  })

  check('the arrival of a credential is published without it', async (t, bench) => {
    const events: CredentialEvent[] = []
    const listen = (event: unknown): void => void events.push(event as CredentialEvent)
    credentialChannel.subscribe(listen)
    t.teardown(() => credentialChannel.unsubscribe(listen))

    const credential = await bench.provider.getCredential(granted)

    t.equal(events.length, 1)
    t.match(events[0], { kind: 'sas', account: 'acct', container: 'data', service: 'blob' })
    t.equal((events[0]?.lifeMs ?? 0) > 0, true)
    t.notMatch(JSON.stringify(events), secretOf(credential))
  })

  check('a scope outside policy rejects with EACCES and says what to do', async (t, bench) => {
    const asked: Scope = { ...granted, permissions: ['read', 'write'] }
    const error = await failure(bench.provider.getCredential(asked))

    t.match(error, { code: 'EACCES', serviceCode: 'permission_not_granted', retryable: false })
    t.match(
      error.message,
      /not granted write on container 'data'.*policy rule.*audit [0-9a-f-]{36}/,
    )
    t.match(error.message, /'abfs:\/\/data'/)
    t.match(error.cause, { name: 'ConnectorError', code: 'access_denied' })
  })

  check('a prefix of a flat account rejects rather than widens', async (t, bench) => {
    const error = await failure(bench.provider.getCredential({ ...granted, prefix: 'runs/1' }))

    t.match(error, { code: 'EACCES', serviceCode: 'scope_unenforceable' })
    t.match(error.message, /flat namespace.*ask for the whole container/)
  })

  check('a prefix that leads out rejects with EINVAL', async (t, bench) => {
    const error = await failure(bench.provider.getCredential({ ...granted, prefix: '../other' }))

    t.match(error, { code: 'EINVAL', serviceCode: 'path_invalid' })
  })

  check('the account itself is refused where only signatures are granted', async (t, bench) => {
    const error = await failure(bench.provider.getCredential({ ...granted, container: undefined }))

    t.match(error, { code: 'EACCES' })
  })

  check('a caller without a rule is refused', async (t, bench) => {
    const error = await failure(bench.stranger.getCredential(granted))

    t.equal(error.code, 'EACCES')
  })

  check('a failing issuer rejects with EIO and hides why', async (t, bench) => {
    bench.failWith(new Error('client_secret=hunter2 was refused'))
    const error = await failure(bench.provider.getCredential(granted))

    t.equal(error.code, 'EIO')
    t.notMatch(error.message, /hunter2/)
    bench.failWith(undefined)
    t.equal((await bench.provider.getCredential(granted)).kind, 'sas', 'errors are not kept')
  })

  check('an aborted call rejects with its reason', async (t, bench) => {
    const signal = AbortSignal.abort(new Error('enough'))

    await t.rejects(bench.provider.getCredential(granted, { signal }), { message: 'enough' })
  })
}

function secretOf(credential: Credential): string {
  return credential.kind === 'sas' ? credential.query : credential.token
}

async function failure(promise: Promise<unknown>): Promise<FileSystemError> {
  const error = await promise.then(
    () => new Error('resolved'),
    (reason: unknown) => reason,
  )
  if (isFileSystemError(error)) return error
  throw new Error('expected a FileSystemError', { cause: error })
}
