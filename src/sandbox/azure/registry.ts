import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { CertificateAndKey } from '../certificate-authority.ts'
import { createLoopbackServer, type LoopbackServer, listenOnLoopback } from '../loopback-server.ts'
import { RegistryError, sendRegistryError, unauthorized } from './registry-error.ts'
import { RegistryStore } from './registry-store.ts'
import { includes, type RegistryTokenOptions, RegistryTokens } from './registry-tokens.ts'

/*
 * A container registry (ACR): Entra's tokens are exchanged for its own, and those open what they
 * name: catalog, tags, manifests and blobs, read and written.
 */

/** What a registry is made of. */
export interface RegistryServerOptions extends RegistryTokenOptions {
  readonly certificate: CertificateAndKey
}

/** Starts it over https. */
export async function startRegistry(options: RegistryServerOptions): Promise<LoopbackServer> {
  const server = createLoopbackServer(options.certificate)
  const tokens = await RegistryTokens.create(options)
  server.removeAllContentTypeParsers()
  server.addContentTypeParser(
    '*',
    { parseAs: 'buffer', bodyLimit: maxBodyBytes },
    (_request, body, done) => done(null, body),
  )
  server.setErrorHandler((error, request, reply) => {
    if (!(error instanceof RegistryError)) throw error
    const realm = `https://${request.headers.host ?? ''}/oauth2/token`
    return sendRegistryError(error, reply, { realm, service: options.service })
  })
  routeTokens(server, tokens)
  routeContent(server, tokens, new RegistryStore())
  return listenOnLoopback(server, 'https')
}

const maxBodyBytes = 64 * 1024 * 1024

function routeTokens(server: FastifyInstance, tokens: RegistryTokens): void {
  server.post('/oauth2/exchange', async (request) => ({
    refresh_token: await tokens.exchange(formOf(request)),
  }))
  server.post('/oauth2/token', async (request) => ({
    access_token: await tokens.accessOfForm(formOf(request)),
  }))
  server.get('/oauth2/token', async (request) => ({
    access_token: await tokens.accessOfBasic(request.headers.authorization, queryOf(request)),
  }))
}

/** A request below `/v2/`, with what of its path is the repository's name. */
interface Asked {
  readonly request: FastifyRequest
  readonly reply: FastifyReply
  readonly repository: string
  /** Digest, tag or the id of an upload. */
  readonly reference: string
}

function routeContent(server: FastifyInstance, tokens: RegistryTokens, store: RegistryStore): void {
  server.get('/v2/', async (request) => {
    await tokens.allowed(request.headers.authorization)
    return {}
  })
  server.get('/v2/_catalog', async (request, reply) => {
    await require(tokens, request, { type: 'registry', name: 'catalog' }, '*')
    return page(request, reply, 'repositories', store.names)
  })
  server.route({
    method: ['GET', 'HEAD', 'POST', 'PATCH', 'PUT'],
    url: '/v2/*',
    handler: (request, reply) => answerContent(request, reply, tokens, store),
  })
}

const verbs: Readonly<Record<string, (asked: Asked, store: RegistryStore) => FastifyReply>> = {
  'GET tags': ({ request, reply, repository }, store) =>
    reply.send({ name: repository, ...page(request, reply, 'tags', store.tags(repository)) }),
  'GET manifests': sendManifest,
  'HEAD manifests': sendManifest,
  'PUT manifests': putManifest,
  'GET blobs': sendBlob,
  'HEAD blobs': sendBlob,
  'POST uploads': ({ request, reply, repository }, store) => {
    const id = store.begin(repository)
    const digest = queryOf(request).get('digest')
    store.append(repository, id, bodyOf(request))
    if (digest === null) return accepted(reply, repository, id, bodyOf(request).length)
    store.finish(repository, id, digest)
    return created(reply, `/v2/${repository}/blobs/${digest}`, digest)
  },
  'PATCH uploads': ({ request, reply, repository, reference }, store) =>
    accepted(reply, repository, reference, store.append(repository, reference, bodyOf(request))),
  'PUT uploads': ({ request, reply, repository, reference }, store) => {
    const digest = queryOf(request).get('digest') ?? ''
    store.append(repository, reference, bodyOf(request))
    store.finish(repository, reference, digest)
    return created(reply, `/v2/${repository}/blobs/${digest}`, digest)
  },
}

async function answerContent(
  request: FastifyRequest,
  reply: FastifyReply,
  tokens: RegistryTokens,
  store: RegistryStore,
): Promise<FastifyReply> {
  const path = request.url.split('?')[0] ?? ''
  const parts =
    /^\/v2\/(.+)\/(tags\/list|manifests\/[^/]+|blobs\/uploads\/?[^/]*|blobs\/[^/]+)$/.exec(path)
  const repository = parts?.[1] ?? ''
  const [kind = '', second = '', third = ''] = (parts?.[2] ?? '').split('/')
  const thing = kind === 'blobs' && second === 'uploads' ? 'uploads' : kind
  const action = request.method === 'GET' || request.method === 'HEAD' ? 'pull' : 'push'
  await require(tokens, request, { type: 'repository', name: repository }, action)
  const verb = verbs[`${request.method} ${thing}`]
  if (parts === null || verb === undefined) throw new RegistryError(404, 'NOT_FOUND', 'not found')
  const reference = thing === 'uploads' ? third : decodeURIComponent(second)
  return verb({ request, reply, repository, reference }, store)
}

async function require(
  tokens: RegistryTokens,
  request: FastifyRequest,
  thing: { readonly type: string; readonly name: string },
  action: string,
): Promise<void> {
  const wanted = action === 'push' ? 'pull,push' : action
  const challenge = unauthorized(`${thing.type}:${thing.name}:${wanted}`)
  const { authorization } = request.headers
  const access = await tokens.allowed(authorization).catch(() => {
    throw challenge
  })
  if (!includes(access, thing, action)) throw challenge
}

function sendManifest({ reply, repository, reference }: Asked, store: RegistryStore): FastifyReply {
  const { digest, mediaType, bytes } = store.manifest(repository, reference)
  return reply.header('docker-content-digest', digest).type(mediaType).send(bytes)
}

function putManifest(asked: Asked, store: RegistryStore): FastifyReply {
  const { request, reply, repository, reference } = asked
  const mediaType = request.headers['content-type'] ?? 'application/octet-stream'
  const { digest } = store.putManifest(repository, reference, {
    mediaType,
    bytes: bodyOf(request),
  })
  return created(reply, `/v2/${repository}/manifests/${digest}`, digest)
}

function sendBlob({ reply, repository, reference }: Asked, store: RegistryStore): FastifyReply {
  const bytes = store.blob(repository, reference)
  reply.header('docker-content-digest', reference)
  return reply.type('application/octet-stream').send(bytes)
}

function accepted(
  reply: FastifyReply,
  repository: string,
  id: string,
  sizeBytes: number,
): FastifyReply {
  return reply
    .code(202)
    .header('location', `/v2/${repository}/blobs/uploads/${id}`)
    .header('docker-upload-uuid', id)
    .header('range', `0-${Math.max(0, sizeBytes - 1)}`)
    .send()
}

function created(reply: FastifyReply, location: string, digest: string): FastifyReply {
  return reply.code(201).header('location', location).header('docker-content-digest', digest).send()
}

/** A page of names: `n` of them after `last`, with a link to the rest. */
function page(
  request: FastifyRequest,
  reply: FastifyReply,
  field: string,
  names: readonly string[],
): Record<string, unknown> {
  const query = queryOf(request)
  const count = Number(query.get('n') ?? 100)
  const last = query.get('last') ?? ''
  const after = names.filter((name) => name > last)
  const shown = after.slice(0, count)
  if (shown.length < after.length) {
    const next = new URLSearchParams({ last: shown.at(-1) ?? '', n: String(count) })
    reply.header('link', `<${request.url.split('?')[0]}?${next}>; rel="next"`)
  }
  return { [field]: shown }
}

function queryOf(request: FastifyRequest): URLSearchParams {
  return new URL(request.url, 'https://registry').searchParams
}

function formOf(request: FastifyRequest): URLSearchParams {
  return new URLSearchParams(bodyOf(request).toString('utf8'))
}

function bodyOf({ body }: FastifyRequest): Buffer {
  return Buffer.isBuffer(body) ? body : Buffer.alloc(0)
}
