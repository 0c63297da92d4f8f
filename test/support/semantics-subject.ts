import type { StorageSharedKeyCredential } from '@azure/storage-blob'
import type { Test } from 'tap'
import { Agent, request } from 'undici'
import type { SemanticsSubject } from '../conformance/blob-semantics.ts'
import { signatureForAll } from './blob-server.ts'

/** Where a subject is and what signs for it. */
export interface SubjectOptions {
  readonly isAzurite: boolean
  /** `scheme://host:port/account`, without a slash. */
  readonly endpoint: string
  readonly key: StorageSharedKeyCredential
  /** PEM of the authority that signed its certificate. */
  readonly ca?: string
}

/** A service that is asked over the wire, without a client between; closed with the test. */
export function semanticsSubject(t: Test, options: SubjectOptions): SemanticsSubject {
  const dispatcher = new Agent(options.ca === undefined ? {} : { connect: { ca: options.ca } })
  t.teardown(() => dispatcher.close())
  const signature = signatureForAll(options.key)
  return {
    isAzurite: options.isAzurite,
    signedUrl: (path) => new URL(`${options.endpoint}/${path}?${signature}`),
    send: async ({ method, path, query, headers, body }) => {
      const url = `${options.endpoint}/${path}?${new URLSearchParams(query)}&${signature}`
      const answer = await request(url, {
        dispatcher,
        method: method as 'GET',
        headers: { 'x-ms-version': '2025-11-05', ...headers },
        ...(body === undefined ? {} : { body }),
      })
      const folded = Object.entries(answer.headers).map(
        ([name, value]) => [name, Array.isArray(value) ? value.join(',') : value] as const,
      )
      return {
        status: answer.statusCode,
        headers: Object.fromEntries(folded),
        body: await answer.body.text(),
      }
    },
  }
}
