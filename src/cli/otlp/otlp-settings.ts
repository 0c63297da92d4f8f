/** Where metrics are sent by OTLP, as the variables of OpenTelemetry say it, and --otlp-endpoint. */
import { readFileSync } from 'node:fs'
import { isAbsolute } from 'node:path'
import { type Environment, SecretText } from '../../config.ts'
import type { Labels } from '../../metric.ts'
import { usageError } from '../usage.ts'

/** What is to be sent, and why what the variables say is not. */
export interface OtlpChoice {
  readonly otlp: OtlpSettings | undefined
  readonly whyNoOtlp: string | undefined
}

/**
 * As {@link otlpSettings}; what variables say that cannot be used here is no mistake: they may be meant for other programs
 * of the environment.
 */
export function chooseOtlp(
  endpoint: string | undefined,
  environment: Environment,
  serviceName = 'abfs',
): OtlpChoice {
  try {
    return { otlp: otlpSettings(endpoint, environment, serviceName), whyNoOtlp: undefined }
  } catch (error) {
    if (endpoint !== undefined || !(error instanceof Error)) throw error
    return { otlp: undefined, whyNoOtlp: error.message }
  }
}

/** Where to, how often, and as whom. */
export interface OtlpSettings {
  /** The whole of it: `…/v1/metrics`. */
  readonly url: URL
  /** The flag or variable that gave it. */
  readonly origin: string
  /** `NAME=VALUE,…`, each decoded: one of them is a password most often. */
  readonly headers: SecretText
  readonly intervalMs: number
  /** How long one request may take. */
  readonly timeoutMs: number
  /** PEM certificates that the collector's is judged by, instead of those that Node knows. */
  readonly ca: string | undefined
  /** What is said of this process beside what it knows itself. */
  readonly resource: Labels
}

/**
 * What to send where; `undefined` when nobody has asked for it. What cannot be used is a usage error that names the flag or
 * variable, never a header's value.
 */
function otlpSettings(
  endpoint: string | undefined,
  environment: Environment,
  serviceName: string,
): OtlpSettings | undefined {
  const place = placeOf(endpoint, environment)
  if (place === undefined) return undefined
  const { url, origin } = place
  checkProtocol(environment)
  const resource = pairsOf('OTEL_RESOURCE_ATTRIBUTES', environment)
  const name = environment['OTEL_SERVICE_NAME']
  return {
    url,
    origin,
    headers: headersOf(environment),
    ca: certificatesOf(environment),
    intervalMs: millisecondsOf(['OTEL_METRIC_EXPORT_INTERVAL'], environment, 60_000),
    timeoutMs: millisecondsOf(
      ['OTEL_EXPORTER_OTLP_METRICS_TIMEOUT', 'OTEL_EXPORTER_OTLP_TIMEOUT'],
      environment,
      10_000,
    ),
    resource: {
      'service.name': serviceName,
      ...resource,
      ...(name ? { 'service.name': name } : {}),
    },
  }
}

/** The variables turn it off too: other programs of the same environment may be what they are for. */
function placeOf(
  endpoint: string | undefined,
  environment: Environment,
): Pick<OtlpSettings, 'url' | 'origin'> | undefined {
  if (endpoint !== undefined) return place('--otlp-endpoint', endpoint, true)
  if (environment['OTEL_SDK_DISABLED']?.toLowerCase() === 'true') return undefined
  if (environment['OTEL_METRICS_EXPORTER'] === 'none') return undefined
  const own = environment['OTEL_EXPORTER_OTLP_METRICS_ENDPOINT']
  if (own) return place('OTEL_EXPORTER_OTLP_METRICS_ENDPOINT', own, false)
  const all = environment['OTEL_EXPORTER_OTLP_ENDPOINT']
  return all ? place('OTEL_EXPORTER_OTLP_ENDPOINT', all, true) : undefined
}

function place(
  origin: string,
  text: string,
  isBase: boolean,
): Pick<OtlpSettings, 'url' | 'origin'> {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw usageError(`${origin} must be a URL such as http://127.0.0.1:4318`)
  }
  if (url.username !== '' || url.password !== '') {
    throw usageError(
      `${origin} must not have a password in it: OTEL_EXPORTER_OTLP_HEADERS has headers`,
    )
  }
  if (isBase && !url.pathname.endsWith('/v1/metrics')) {
    url.pathname = `${url.pathname.replace(/\/+$/, '')}/v1/metrics`
  }
  return { url, origin }
}

/** JSON over HTTP is what is sent, which collectors take where they take protobuf over HTTP. */
function checkProtocol(environment: Environment): void {
  const names = ['OTEL_EXPORTER_OTLP_METRICS_PROTOCOL', 'OTEL_EXPORTER_OTLP_PROTOCOL']
  const name = names.find((each) => environment[each])
  if (name === undefined || environment[name]?.startsWith('http/')) return
  throw usageError(
    `${name} must be http/json or http/protobuf here: gRPC is not there; ` +
      'OTEL_METRICS_EXPORTER=none sends nothing',
  )
}

function headersOf(environment: Environment): SecretText {
  const name = ['OTEL_EXPORTER_OTLP_METRICS_HEADERS', 'OTEL_EXPORTER_OTLP_HEADERS'].find(
    (each) => environment[each],
  )
  if (name !== undefined) pairsOf(name, environment)
  return new SecretText(name === undefined ? '' : (environment[name] ?? ''))
}

function certificatesOf(environment: Environment): string | undefined {
  const names = ['OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE', 'OTEL_EXPORTER_OTLP_CERTIFICATE']
  const name = names.find((each) => environment[each])
  if (name === undefined) return undefined
  const wanted = `${name} must be a file of PEM certificates that can be read, by its absolute path`
  const file = environment[name] ?? ''
  if (!isAbsolute(file)) throw usageError(wanted)
  try {
    const text = readFileSync(file, 'utf8')
    if (text.includes('-----BEGIN CERTIFICATE-----')) return text
  } catch (cause) {
    throw usageError(wanted, cause)
  }
  throw usageError(wanted)
}

/** `NAME=VALUE,…` with percent signs for what is special (W3C Baggage). */
function pairsOf(variable: string, environment: Environment): Labels {
  try {
    return pairsIn(environment[variable] ?? '')
  } catch (cause) {
    throw usageError(`${variable} must be NAME=VALUE pairs with commas between`, cause)
  }
}

/** The pairs of a text that was checked. */
export function pairsIn(text: string): Labels {
  const pairs = text.split(',').filter((pair) => pair.trim() !== '')
  return Object.fromEntries(
    pairs.map((pair) => {
      const [, name = '', value = ''] = /^\s*([^=\s]+)\s*=\s*(.*?)\s*$/.exec(pair) ?? []
      if (name === '') throw new TypeError('pair: expected NAME=VALUE')
      return [decodeURIComponent(name), decodeURIComponent(value)]
    }),
  )
}

function millisecondsOf(
  names: readonly string[],
  environment: Environment,
  usualMs: number,
): number {
  const name = names.find((each) => environment[each])
  const text = name === undefined ? undefined : environment[name]
  if (name === undefined || text === undefined) return usualMs
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text)
  throw usageError(`${name} must be a number of milliseconds from 1 on, not '${text}'`)
}
