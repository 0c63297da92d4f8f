import type { StorageAnswer } from './answer.ts'
import type { StorageError } from './storage-error.ts'
import { element, xmlDeclaration } from './xml.ts'

/** Who the error goes to. */
export interface ErrorRecipient {
  readonly face: 'blob' | 'dfs'
  readonly requestId: string
  readonly nowMs: number
}

/** An error as the face answers it: XML for blob, JSON for dfs, the code in the header as well. */
export function errorAnswer(error: StorageError, to: ErrorRecipient): StorageAnswer {
  const headers = { ...error.headers, 'x-ms-error-code': error.code }
  // No document may follow a 304.
  if (error.status === 304) return { status: 304, headers: error.headers }
  const time = new Date(to.nowMs).toISOString()
  const message = `${error.message}\nRequestId:${to.requestId}\nTime:${time}`
  if (to.face === 'dfs') {
    const body = JSON.stringify({ error: { code: error.code, message } })
    return {
      status: error.status,
      headers: { ...headers, 'content-type': 'application/json;charset=utf-8' },
      body,
    }
  }
  return {
    status: error.status,
    headers: { ...headers, 'content-type': 'application/xml' },
    body: xmlError(error, message),
  }
}

function xmlError(error: StorageError, message: string): string {
  const details = Object.entries(error.details).map(([name, text]) => element(name, text))
  const inner = `${element('Code', error.code)}${element('Message', message)}${details.join('')}`
  return `${xmlDeclaration}<Error>${inner}</Error>`
}
