import { Agent, request } from 'undici'

/** How to reach the blob service. */
export interface ContainerCreation {
  readonly blobEndpoint: URL
  readonly caPem: string
  /** A token for storage. */
  readonly accessToken: string
}

/** Creates containers; one that exists is left as it is. */
export async function createContainers(
  names: readonly string[],
  access: ContainerCreation,
): Promise<void> {
  const agent = new Agent({ connect: { ca: access.caPem } })
  try {
    for (const name of names) await createContainer(name, access, agent)
  } finally {
    await agent.destroy()
  }
}

/** The names of all containers, in order. */
export async function listContainers(access: ContainerCreation): Promise<readonly string[]> {
  const dispatcher = new Agent({ connect: { ca: access.caPem } })
  const authorization = `Bearer ${access.accessToken}`
  const headers = { authorization, 'x-ms-version': '2023-11-03' }
  try {
    const { statusCode, body } = await request(`${access.blobEndpoint.href}?comp=list`, {
      dispatcher,
      headers,
    })
    const xml = await body.text()
    if (statusCode !== 200) throw new Error(`containers were not listed (${statusCode})`)
    return [...xml.matchAll(/<Name>([^<]+)<\/Name>/g)].map(([, name]) => name ?? '')
  } finally {
    await dispatcher.destroy()
  }
}

async function createContainer(
  name: string,
  { blobEndpoint, accessToken }: ContainerCreation,
  dispatcher: Agent,
): Promise<void> {
  const { statusCode, headers, body } = await request(
    `${blobEndpoint.href}/${encodeURIComponent(name)}?restype=container`,
    {
      dispatcher,
      method: 'PUT',
      headers: { authorization: `Bearer ${accessToken}`, 'x-ms-version': '2023-11-03' },
    },
  )
  await body.dump()
  const code = headers['x-ms-error-code']
  if (statusCode === 201 || code === 'ContainerAlreadyExists') return
  throw new Error(
    `Container '${name}' was not created (${statusCode} ${String(code)}); names are 3 to 63 lower-case letters, digits and single hyphens`,
  )
}
