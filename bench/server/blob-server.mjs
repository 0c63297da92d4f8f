import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { get as getSecurely } from 'node:https'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createCertificateAuthority } from '../../dist/sandbox/certificate-authority.js'
import { endWithUs } from '../endings.mjs'

const source = fileURLToPath(new URL('blob-server.cc', import.meta.url))

/** Builds the server of blob-server.cc into `directory`; needs g++ and OpenSSL's headers (libssl-dev). */
export function buildBlobServer(directory) {
  const binary = join(directory, 'blob-server')
  const flags = ['-std=c++20', '-O2', '-o', binary, source, '-lssl', '-lcrypto']
  const compiler = process.env.CXX || 'g++'
  const { status, stderr } = spawnSync(compiler, flags, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${compiler} could not build the benchmark's server: ${stderr}`)
  return binary
}

async function certificateFiles(directory) {
  const authority = await createCertificateAuthority()
  const { certificatePem, privateKeyPem } = await authority.issueServerCertificate()
  const files = ['ca.pem', 'server.pem', 'server-key.pem'].map((name) => join(directory, name))
  const [ca, certificate, key] = files
  writeFileSync(ca, authority.certificatePem)
  writeFileSync(certificate, certificatePem)
  writeFileSync(key, privateKeyPem, { mode: 0o600 })
  return { ca, certificate, key }
}

/**
 * Starts the server, plain or over TLS, on processor `core` alone where that is given. `counts()` resolves to
 * what it counted since `reset()`.
 */
export async function startBlobServer(binary, { directory, tls = false, core }) {
  const files = tls ? await certificateFiles(directory) : undefined
  const command = [binary, ...(files === undefined ? [] : ['--tls', files.certificate, files.key])]
  if (core !== undefined) command.unshift('taskset', '-c', String(core))
  const [program, ...args] = command
  const child = endWithUs(spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] }))
  const [line] = await once(child.stdout, 'data')
  const origin = `${tls ? 'https' : 'http'}://127.0.0.1:${Number(line)}`
  const control = (path) => readJson(`${origin}/-/${path}`)
  return {
    pid: child.pid,
    endpoint: `${origin}/bench`,
    caFile: files?.ca,
    counts: () => control('stats'),
    reset: () => control('reset'),
    fill: (query) => control(`fill?${new URLSearchParams(query)}`),
    async close() {
      child.kill('SIGTERM')
      await once(child, 'close')
    },
  }
}

function readJson(url) {
  // Control only: who asks for counts need not check the server of its own process.
  const ask = url.startsWith('https:') ? getSecurely : get
  return new Promise((resolve, reject) => {
    const request = ask(url, { rejectUnauthorized: false, agent: false }, async (response) => {
      let text = ''
      for await (const part of response.setEncoding('utf8')) text += part
      resolve(JSON.parse(text))
    })
    request.on('error', reject)
  })
}
