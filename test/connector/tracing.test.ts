import { context, propagation, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base'
import t from 'tap'
import { granted } from '../conformance/credentials.ts'
import { startTestConnector, type TestConnector } from '../support/test-connector.ts'

const exporter = new InMemorySpanExporter()
const parent = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331' }

t.before(() => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  propagation.setGlobalPropagator({
    inject: () => undefined,
    fields: () => ['traceparent'],
    extract: (under, carrier, getter) => {
      const text = String(getter.get(carrier, 'traceparent') ?? '')
      const [, traceId = '', spanId = ''] = text.split('-')
      return text === ''
        ? under
        : trace.setSpanContext(under, { traceId, spanId, traceFlags: 1, isRemote: true })
    },
  })
  trace.setGlobalTracerProvider(
    new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }),
  )
})
t.beforeEach(() => exporter.reset())

async function ask(bench: TestConnector, key: string, container: string): Promise<void> {
  const response = await fetch(new URL('/v1/credentials', bench.connector.url), {
    method: 'POST',
    body: JSON.stringify({ scope: { ...granted, container } }),
    headers: {
      authorization: `Bearer ${key}`,
      'content-type': 'application/json',
      traceparent: `00-${parent.traceId}-${parent.spanId}-01`,
    },
  })
  await response.arrayBuffer()
}

t.test('a request is one trace, below the span that its client names', async (t) => {
  const bench = await startTestConnector()
  await ask(bench, bench.trainer.key, 'data')
  await bench.close()

  const spans = exporter.getFinishedSpans()
  const request = spans.find(({ name }) => name === 'POST /v1/credentials')
  t.match(request, { parentSpanContext: { spanId: parent.spanId }, status: { code: 0 } })
  t.match(request?.attributes, {
    'http.route': '/v1/credentials',
    'http.response.status_code': 200,
  })
  for (const name of ['authenticate', 'issue', 'audit']) {
    const span = spans.find((each) => each.name === name)
    t.equal(span?.spanContext().traceId, parent.traceId, name)
    t.equal(span?.parentSpanContext?.spanId, request?.spanContext().spanId, name)
  }
})

t.test('a refusal says why and where it was written down; a failure is an error', async (t) => {
  const bench = await startTestConnector()
  await ask(bench, bench.trainer.key, 'other')
  bench.issuer.failure = new Error('secret-text')
  await ask(bench, bench.trainer.key, 'data')
  await bench.close()

  const [denied, failed] = exporter
    .getFinishedSpans()
    .filter(({ name }) => name === 'POST /v1/credentials')
  t.match(denied, {
    status: { code: 0 },
    attributes: {
      'error.type': 'permission_not_granted',
      'http.response.status_code': 403,
      'abfs.audit_id': bench.audit.records[0]?.auditId,
    },
  })
  t.match(failed, { status: { code: 2 }, attributes: { 'error.type': 'internal' } })
})

t.test('no span holds a proof, a credential or what an upstream said', async (t) => {
  const bench = await startTestConnector()
  await ask(bench, bench.trainer.key, 'data')
  bench.issuer.failure = new Error('secret-text')
  await ask(bench, bench.trainer.key, 'data')
  await bench.close()

  const text = JSON.stringify(
    exporter.getFinishedSpans().map(({ name, attributes, events, status }) => {
      return { name, attributes, events, status }
    }),
  )
  t.match(text, /authenticate/)
  t.notMatch(text, /secret-text|abfs_|signature-/)
})
