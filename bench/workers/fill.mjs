// Writes many small blobs: node fill.mjs '{"prefix":"data/many/","count":1000,"size":10,"per":100}'.

import { readFileSync } from 'node:fs'
import { Pool } from 'undici'
import { inFlight } from './measured.mjs'

const { prefix, count, size, per } = JSON.parse(process.argv[2])
const { ABFS_BLOB_ENDPOINT, BENCH_SAS, NODE_EXTRA_CA_CERTS } = process.env
const endpoint = new URL(ABFS_BLOB_ENDPOINT)
const pool = new Pool(endpoint.origin, {
  connections: 16,
  connect: { ca: readFileSync(NODE_EXTRA_CA_CERTS) },
})
const body = Buffer.alloc(size)
const padded = (number, digits) => String(number).padStart(digits, '0')

await inFlight(count, 16, async (index) => {
  const name = `directory-${padded(Math.floor(index / per), 6)}/file-${padded(index, 8)}`
  const { statusCode, body: answer } = await pool.request({
    path: `${endpoint.pathname}/${prefix}${name}?${BENCH_SAS}`,
    method: 'PUT',
    headers: { 'x-ms-blob-type': 'BlockBlob', 'x-ms-version': '2025-01-05' },
    body,
  })
  await answer.dump()
  if (statusCode !== 201) throw new Error(`Put Blob was answered ${statusCode}`)
})
await pool.close()
