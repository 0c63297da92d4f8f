/** Metrics of a drive and of a connector at a collector of OpenTelemetry's, which takes what this test understands. */
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { readReport } from '../../src/cli/drive/drive-report.ts'
import { driveFigures } from '../../src/cli/drive/metrics.ts'
import { OtlpExporter } from '../../src/cli/otlp/otlp-export.ts'
import { type OtlpFigures, otlpRequest } from '../../src/cli/otlp/otlp-request.ts'
import { chooseOtlp, type OtlpSettings } from '../../src/cli/otlp/otlp-settings.ts'
import {
  outputOf,
  runAbfs,
  startAbfs,
  startCliSandbox,
  temporaryDirectory,
  until,
  whyNoCli,
} from '../support/cli.ts'
import { startDrive } from '../support/cli-drive.ts'
import { startRawServer } from '../support/raw-server.ts'
import { generateServerCertificate } from '../support/server-certificate.ts'
import { shell, temporaryMountpoint, whyNoMounts } from '../support/temp-mount.ts'

const secret = 'collector-password-17'

interface Attribute {
  readonly key: string
  readonly value: { readonly stringValue: string }
}
interface DataPoint {
  readonly attributes?: readonly Attribute[]
  readonly startTimeUnixNano?: string
  readonly timeUnixNano: string
  readonly asInt?: string
  readonly asDouble?: number
  readonly count?: string
  readonly sum?: number
  readonly bucketCounts?: readonly string[]
  readonly explicitBounds?: readonly number[]
}
interface Points {
  readonly dataPoints: readonly DataPoint[]
  readonly aggregationTemporality?: number
  readonly isMonotonic?: boolean
}
interface SentMetric {
  readonly name: string
  readonly unit: string
  readonly sum?: Points
  readonly gauge?: Points
  readonly histogram?: Points
}
interface Sent {
  readonly resourceMetrics: readonly {
    readonly resource: { readonly attributes: readonly Attribute[] }
    readonly scopeMetrics: readonly { readonly metrics: readonly SentMetric[] }[]
  }[]
}

const named = (attributes: readonly Attribute[] = []) =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, value.stringValue]))

/** What one request says: numbers by metric and attributes. */
function decoded(body: string) {
  const { resourceMetrics } = JSON.parse(body) as Sent
  const [{ resource, scopeMetrics } = { resource: { attributes: [] }, scopeMetrics: [] }] =
    resourceMetrics
  const metrics = scopeMetrics.flatMap((scope) => scope.metrics)
  const find = (name: string) => metrics.find((metric) => metric.name === name)
  const value = (name: string, labels: Record<string, string> = {}): number | undefined => {
    const metric = find(name)
    const points = (metric?.sum ?? metric?.gauge)?.dataPoints ?? []
    const point = points.find(({ attributes }) => {
      const own = named(attributes)
      return Object.entries(labels).every(([key, each]) => own[key] === each)
    })
    return point === undefined ? undefined : Number(point.asInt ?? point.asDouble)
  }
  return { resource: named(resource.attributes), metrics, find, value }
}

type Answer = (request: IncomingMessage, response: ServerResponse) => void

const accept: Answer = (_, response) => void response.writeHead(200).end('{}')

/** A collector, and what it was sent. */
async function collector(t: Test, answer: Answer = accept) {
  const bodies: string[] = []
  const heads: IncomingMessage[] = []
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (data: Buffer) => {
      body += data.toString()
    })
    request.on('end', () => {
      heads.push(request)
      bodies.push(body)
      answer(request, response)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}`, bodies, heads }
}

const figures = (): OtlpFigures => {
  const read = { count: 3, failed: 1, totalMs: 500, buckets: [1, 1, 0, 0, 0, 0, 1, 0, 0, 0] }
  const found = readReport({
    ...{ directory: '/mnt/a', source: 'abfs://data', pid: 1, readOnly: true, unsaved: [] },
    calls: { byName: { read }, readBytes: 2 ** 40, writtenBytes: 0 },
    ...{ estimatedDollars: 0.5, residentBytes: 9 },
    traffic: {
      ...{ atMs: 1_700_000_000_123, sinceMs: 1_700_000_000_000 },
      ...{ requestsByOperation: { 'blob.get': 2 }, credentials: { byKind: {} } },
    },
  })
  const told = found === undefined ? undefined : driveFigures([found])
  if (told === undefined) throw new Error('the report is none')
  return told
}

function settingsOf(environment: Record<string, string>): OtlpSettings {
  const { otlp, whyNoOtlp } = chooseOtlp(undefined, environment)
  if (otlp === undefined) throw new Error(whyNoOtlp)
  return otlp
}

t.test('a report becomes counters, gauges and histograms', (t) => {
  const { find, value, resource } = decoded(
    JSON.stringify(otlpRequest(figures(), { 'service.name': 'x' })),
  )

  t.strictSame(resource, { 'service.name': 'x' })
  t.equal(value('abfs.drive.read', { directory: '/mnt/a' }), 2 ** 40)
  t.equal(value('abfs.drive.requests', { operation: 'blob.get', class: 'read' }), 2)
  t.equal(value('abfs.drive.estimated_dollars'), 0.5)
  t.match(find('abfs.drive.read'), { unit: 'By', sum: { isMonotonic: true } })
  t.match(find('abfs.drive.read'), { sum: { aggregationTemporality: 2 } })
  t.match(find('abfs.drive.unsaved_files'), { unit: '', gauge: { dataPoints: [{ asInt: '0' }] } })
  const histogram = find('abfs.drive.call_duration')
  t.match(histogram, {
    unit: 's',
    histogram: {
      dataPoints: [
        {
          count: '3',
          sum: 0.5,
          bucketCounts: ['1', '1', '0', '0', '0', '0', '1', '0', '0', '0'],
          startTimeUnixNano: '1700000000000000000',
          timeUnixNano: '1700000000123000000',
        },
      ],
    },
  })
  const [point] = histogram?.histogram?.dataPoints ?? []
  t.equal(point?.explicitBounds?.length, 9, 'one less than there are buckets')
  t.strictSame(named(point?.attributes), { call: 'read', directory: '/mnt/a' })
  t.end()
})

t.test('the variables of OpenTelemetry say where to, how often and as whom', (t) => {
  const all = settingsOf({
    OTEL_EXPORTER_OTLP_ENDPOINT: 'https://collector/base/',
    OTEL_EXPORTER_OTLP_HEADERS: `authorization=Basic%20${secret}`,
    OTEL_METRIC_EXPORT_INTERVAL: '500',
    OTEL_EXPORTER_OTLP_TIMEOUT: '7',
    OTEL_SERVICE_NAME: 'drive',
    OTEL_RESOURCE_ATTRIBUTES: 'service.name=other,team=a%2Cb',
  })
  t.equal(all.url.href, 'https://collector/base/v1/metrics')
  t.match(all, { intervalMs: 500, timeoutMs: 7, origin: 'OTEL_EXPORTER_OTLP_ENDPOINT' })
  t.strictSame(all.resource, { 'service.name': 'drive', team: 'a,b' })
  t.notMatch(JSON.stringify(all), new RegExp(secret), 'headers show themselves to nobody')
  const own = { OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: 'http://c/x?y=1' }
  t.equal(settingsOf(own).url.href, 'http://c/x?y=1', 'that of metrics is taken as it is')
  t.equal(chooseOtlp('http://flag:4318', own).otlp?.url.href, 'http://flag:4318/v1/metrics')
  const none = { otlp: undefined, whyNoOtlp: undefined }
  t.strictSame(chooseOtlp(undefined, {}), none)
  t.strictSame(chooseOtlp(undefined, { ...own, OTEL_METRICS_EXPORTER: 'none' }), none)
  t.strictSame(chooseOtlp(undefined, { ...own, OTEL_SDK_DISABLED: 'true' }), none)
  t.end()
})

t.test('what cannot be used names the variable, and fails where a flag asks for it alone', (t) => {
  const endpoint = 'OTEL_EXPORTER_OTLP_ENDPOINT'
  const own = { [endpoint]: 'http://c' }
  const wrong: readonly (readonly [string, Record<string, string>])[] = [
    [endpoint, { [endpoint]: 'collector:4317' }],
    [endpoint, { [endpoint]: `http://user:${secret}@c` }],
    ['OTEL_EXPORTER_OTLP_PROTOCOL', { ...own, OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }],
    ['OTEL_EXPORTER_OTLP_HEADERS', { ...own, OTEL_EXPORTER_OTLP_HEADERS: secret }],
    ['OTEL_EXPORTER_OTLP_HEADERS', { ...own, OTEL_EXPORTER_OTLP_HEADERS: `a=${secret}%` }],
    ['OTEL_METRIC_EXPORT_INTERVAL', { ...own, OTEL_METRIC_EXPORT_INTERVAL: '1s' }],
    ...['relative.pem', '/none/ca.pem', fileURLToPath(import.meta.url)].map(
      (file): [string, Record<string, string>] => [
        'OTEL_EXPORTER_OTLP_CERTIFICATE',
        { ...own, OTEL_EXPORTER_OTLP_CERTIFICATE: file },
      ],
    ),
  ]
  for (const [name, environment] of wrong) {
    const { otlp, whyNoOtlp = '' } = chooseOtlp(undefined, environment)
    t.equal(otlp, undefined)
    t.match(whyNoOtlp, new RegExp(`${name} must`))
    t.notMatch(whyNoOtlp, new RegExp(secret))
    if (name !== endpoint) t.throws(() => chooseOtlp('http://c', environment), { code: 'EINVAL' })
  }
  t.throws(() => chooseOtlp('ftp://c', {}), { message: /--otlp-endpoint must be a URL/ })
  t.end()
})

t.test('an exporter ends though its collector never answers, and says so once', async (t) => {
  const { url, bodies } = await collector(t, () => undefined)
  const lines: string[] = []
  const log = pino({}, { write: (line: string) => void lines.push(line) })
  const environment = {
    OTEL_EXPORTER_OTLP_ENDPOINT: url,
    OTEL_EXPORTER_OTLP_HEADERS: `x-key=${secret}`,
    OTEL_METRIC_EXPORT_INTERVAL: '1',
    OTEL_EXPORTER_OTLP_TIMEOUT: '50',
  }
  const exporter = new OtlpExporter(settingsOf(environment), figures, log)
  await until(() => bodies.length >= 3)
  await exporter.close()

  t.equal(lines.length, 1)
  t.match(lines[0], /metrics are not taken/)
  t.notMatch(lines.join(''), new RegExp(secret))
})

t.test('a collector that refuses or is gone is told of in the log', async (t) => {
  const { url } = await collector(t, (_, response) => void response.writeHead(503).end())
  const lines: string[] = []
  const log = pino({}, { write: (line: string) => void lines.push(line) })
  for (const each of [url, 'http://127.0.0.1:1']) {
    const settings = settingsOf({ OTEL_EXPORTER_OTLP_ENDPOINT: each })
    await new OtlpExporter(settings, figures, log).close()
  }

  t.match(lines[0], /the collector answered 503/)
  t.match(lines[1], /ECONNREFUSED/)
})

t.test(
  'a collector that answers what no collector does is told of, and nobody waits for it',
  async (t) => {
    const wrong: readonly (readonly [head: string, told: RegExp])[] = [
      ['101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n', /answered 101/],
      ['302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n', /answered 302/],
      ['200 OK\r\nContent-Length: 9\r\n\r\nhalf', /aborted/],
      ['200 OK\r\nContent-Length: nine\r\n\r\n', /Parse Error/],
      ['100 Continue\r\n\r\nSSH-2.0-x\r\n\r\n', /Parse Error/],
      ['200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nx', /no answer within 200 ms|aborted/],
    ]
    for (const [head, told] of wrong) {
      const requests: string[] = []
      const isOpen = /chunked|101/.test(head)
      const { url } = await startRawServer(t, {
        onRequest: (socket, request) => {
          requests.push(request.head)
          socket.write(`HTTP/1.1 ${head}`)
          if (!isOpen) socket.end()
        },
      })
      const lines: string[] = []
      const log = pino({}, { write: (line: string) => void lines.push(line) })
      const environment = {
        OTEL_EXPORTER_OTLP_ENDPOINT: url.origin,
        OTEL_EXPORTER_OTLP_HEADERS: `x-key=${secret}`,
        OTEL_METRIC_EXPORT_INTERVAL: '1',
        OTEL_EXPORTER_OTLP_TIMEOUT: '200',
      }
      const exporter = new OtlpExporter(settingsOf(environment), figures, log)
      await until(() => requests.length >= 2)
      await exporter.close()

      t.match(lines[0], told, head)
      t.equal(lines.length, 1)
      t.notMatch(lines.join(''), new RegExp(`${secret}|    at `), 'no header and no stack')
    }
  },
)

t.test('a drive with --otlp-endpoint', { skip: whyNoCli() || whyNoMounts() }, async (t) => {
  const { client } = await startCliSandbox(t, '--engine', 'abfs')
  const state = await temporaryDirectory(t)
  const logFile = `${state}/log`
  const env = {
    ...client,
    XDG_STATE_HOME: state,
    OTEL_EXPORTER_OTLP_HEADERS: `authorization=Bearer%20${secret}`,
    OTEL_SERVICE_NAME: 'drive-of-a-test',
    OTEL_METRIC_EXPORT_INTERVAL: '100',
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf',
  }
  await runAbfs(['cp', '-', 'abfs://data/one'], { env, input: 'one' })
  const mounted = (url: string) =>
    startDrive(t, ['--otlp-endpoint', url, '--log-file', logFile], { env })

  await t.test('sends what it does again and again, and the whole of it at its end', async (t) => {
    const { url, bodies, heads } = await collector(t)
    const { directory, end } = await mounted(url)
    await until(() => bodies.length >= 2)
    t.equal(await shell(`cat '${directory}/one'`), 'one')
    t.equal(await end(), 0)

    const last = decoded(bodies.at(-1) ?? '')
    t.equal(last.value('abfs.drive.read', { directory }), 3)
    t.equal(last.value('abfs.drive.requests', { operation: 'blob.get' }), 1)
    t.match(last.resource, { 'service.name': 'drive-of-a-test' })
    t.match(heads[0], { method: 'POST', url: '/v1/metrics' })
    t.match(heads[0]?.headers, { authorization: `Bearer ${secret}` })
    t.match(heads[0]?.headers, { 'content-type': 'application/json' })
  })

  await t.test('serves and ends beside a collector that hangs', async (t) => {
    const { url, bodies } = await collector(t, () => undefined)
    const { directory, end } = await mounted(url)
    await until(() => bodies.length >= 1)

    t.equal(await shell(`cat '${directory}/one'`), 'one')
    t.equal(await end(), 0)
  })

  await t.test('tells its plan and its log where to, and nobody the headers', async (t) => {
    const directory = await temporaryMountpoint(t)
    const argv = ['mount', 'abfs://data', directory, '--plan', '--json']
    const variable = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' }
    const { stdout } = await runAbfs(argv, { env: { ...env, ...variable } })
    const { settings } = JSON.parse(stdout) as { settings: { name: string }[] }
    const setting = settings.find(({ name }) => name === 'otlp')
    t.match(setting, { value: 'http://127.0.0.1:1/v1/metrics', origin: Object.keys(variable)[0] })
    t.notMatch(`${stdout}${await shell(`cat '${logFile}'`)}`, new RegExp(secret))
  })
})

t.test('a connector', { skip: whyNoCli() }, async (t) => {
  const { client, variables } = await startCliSandbox(t, '--engine', 'abfs')
  const config = variables['ABFS_CONNECTOR_CONFIG'] ?? ''
  const { ABFS_CONNECTOR_URL: _, ...alone } = client
  const environment = { ...alone, OTEL_EXPORTER_OTLP_HEADERS: `x-key=${secret}` }
  const serve = (argv: readonly string[], more: Record<string, string> = {}) => {
    const env = { ...environment, ...more }
    const connector = startAbfs(['connector', 'serve', '--config', config, ...argv], { env })
    t.teardown(() => connector.kill('SIGKILL'))
    return { connector, output: outputOf(connector) }
  }

  await t.test('tells at its end what it granted and refused, and no name of either', async (t) => {
    const { url, bodies, heads } = await collector(t)
    const { connector, output } = serve([], {
      OTEL_EXPORTER_OTLP_ENDPOINT: url,
      OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment=test',
    })
    await until(() => output.stderr.includes('listens on'))
    const [, ABFS_CONNECTOR_URL = ''] = /listens on (\S+);/.exec(output.stderr) ?? []
    const env = { ...client, ABFS_CONNECTOR_URL }
    t.equal((await runAbfs(['ls', 'abfs://data'], { env })).code, 0)
    t.equal((await runAbfs(['ls', '--account', 'other', 'abfs://data'], { env })).code, 4)
    t.equal((await fetch(new URL('/readyz', ABFS_CONNECTOR_URL))).status, 200)
    connector.kill('SIGTERM')
    t.strictSame(await once(connector, 'exit'), [0, null])

    t.equal(bodies.length, 1, 'an interval is a minute')
    const { value, find, resource } = decoded(bodies[0] ?? '')
    const action = 'credentials.issue'
    t.equal(value('abfs.connector.requests', { action, outcome: 'granted' }), 1)
    const reason = 'permission_not_granted'
    t.ok(value('abfs.connector.requests', { action, outcome: 'denied', reason }))
    t.equal(value('abfs.connector.identity_ready'), 1)
    const [point] = find('abfs.connector.request_duration')?.histogram?.dataPoints ?? []
    t.match(point, { count: '1' })
    t.equal(point?.bucketCounts?.length, (point?.explicitBounds?.length ?? 0) + 1)
    t.ok(Number(point?.startTimeUnixNano) < Number(point?.timeUnixNano))
    t.match(resource, { 'service.name': 'abfs-connector', 'deployment.environment': 'test' })
    t.match(heads[0]?.headers, { 'x-key': secret })
    const names = new RegExp(`${secret}|developer|${client['ABFS_ACCOUNT']}|sig=|abfs_[A-Za-z0-9]`)
    t.notMatch(bodies.join(''), names)
    t.notMatch(`${output.stderr}${output.stdout}`, new RegExp(secret))
  })

  await t.test('trusts a collector whose authority it was given, and no other', async (t) => {
    const { cert, key } = await generateServerCertificate()
    const bodies: string[] = []
    const server = createSecureServer({ cert, key }, (request, response) => {
      request.on('data', (data: Buffer) => bodies.push(data.toString()))
      request.on('end', () => response.end('{}'))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.teardown(() => server.close())
    const { port } = server.address() as AddressInfo
    const authority = join(await temporaryDirectory(t), 'authority.pem')
    await writeFile(authority, cert)
    const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: `https://127.0.0.1:${port}` }
    const run = async (more: Record<string, string>) => {
      const { connector, output } = serve([], { ...endpoint, ...more })
      await until(() => output.stderr.includes('listens on'))
      connector.kill('SIGTERM')
      t.strictSame(await once(connector, 'exit'), [0, null])
      return `${output.stderr}${output.stdout}`
    }

    t.match(await run({}), /SELF_SIGNED.*metrics are not taken/)
    t.equal(bodies.length, 0)
    t.notMatch(await run({ NODE_EXTRA_CA_CERTS: authority }), /metrics are not taken/)
    t.match(bodies.join(''), /abfs-connector/)
    bodies.length = 0
    const given = { OTEL_EXPORTER_OTLP_CERTIFICATE: authority }
    t.notMatch(await run(given), /metrics are not taken/)
    t.match(bodies.join(''), /abfs-connector/)
  })

  await t.test('grants at once beside a collector that never answers, and ends', async (t) => {
    const { url, bodies } = await collector(t, () => undefined)
    const { connector, output } = serve(['--otlp-endpoint', url], {
      OTEL_METRIC_EXPORT_INTERVAL: '10',
      OTEL_EXPORTER_OTLP_TIMEOUT: '600000',
    })
    await until(() => output.stderr.includes('listens on') && bodies.length >= 1)
    const [, ABFS_CONNECTOR_URL = ''] = /listens on (\S+);/.exec(output.stderr) ?? []
    const env = { ...client, ABFS_CONNECTOR_URL }
    for (let run = 0; run < 3; run += 1)
      t.equal((await runAbfs(['ls', 'abfs://data'], { env })).code, 0)
    t.equal(bodies.length, 1, 'one request at a time')
    connector.kill('SIGTERM')
    t.strictSame(await once(connector, 'exit'), [0, null])
  })

  await t.test('serves where variables cannot be used, and not where a flag cannot', async (t) => {
    const grpc = {
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c:4317',
      OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
    }
    const { connector, output } = serve([], grpc)
    await until(() => output.stderr.includes('listens on'))
    t.match(output.stderr, /OTEL_EXPORTER_OTLP_PROTOCOL must be/)
    connector.kill('SIGTERM')
    t.strictSame(await once(connector, 'exit'), [0, null])

    const refused = serve(['--otlp-endpoint', 'collector:4318'])
    t.strictSame(await once(refused.connector, 'exit'), [2, null])
    t.match(refused.output.stderr, /--otlp-endpoint must be a URL/)
  })
})
