import type { HttpResponse } from '../http/handler.ts'

/**
 * The answers of a batch by their Content-ID. What cannot be read is left out, and so is the one part without an id
 * that says that the batch as a whole was refused.
 */
export function batchAnswers(response: HttpResponse): ReadonlyMap<string, HttpResponse> {
  const answers = new Map<string, HttpResponse>()
  const boundary = boundaryOf(response)
  if (boundary === undefined) return answers
  const { body, mayRepeatItself } = response
  const text = Buffer.from(body.buffer, body.byteOffset, body.length).toString('utf8')
  for (const part of text.split(`--${boundary}`).slice(1)) {
    const read = readPart(part)
    if (read !== undefined) answers.set(read.id, { ...read.answer, mayRepeatItself })
  }
  return answers
}

function boundaryOf({ headers }: HttpResponse): string | undefined {
  const type = headers['content-type'] ?? ''
  return /^multipart\/mixed\s*;.*\bboundary="?([^";\s]{1,200})"?/i.exec(type)?.[1]
}

function readPart(
  part: string,
): { readonly id: string; readonly answer: HttpResponse } | undefined {
  const [head = '', ...rest] = part.split(blankLine)
  const id = headersOf(head)['content-id']
  const [answerHead = '', ...bodies] = rest
  const [statusLine = ''] = answerHead.trimStart().split(lineEnd, 1)
  const status = /^HTTP\/1\.[01] (\d{3})\b/.exec(statusLine)?.[1]
  if (id === undefined || status === undefined) return undefined
  const headers = headersOf(answerHead)
  return { id, answer: { status: Number(status), headers, body: Buffer.from(bodies.join('\n\n')) } }
}

const lineEnd = /\r?\n/
const blankLine = /\r?\n\r?\n/

function headersOf(lines: string): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const line of lines.split(lineEnd)) {
    const colon = line.indexOf(':')
    if (colon > 0) headers[line.slice(0, colon).trim().toLowerCase()] = line.slice(colon + 1).trim()
  }
  return headers
}
