import type { Logger } from 'pino'
import type { OtlpFigures } from './otlp-request.ts'
import type { OtlpChoice } from './otlp-settings.ts'

/** Begins to send what `read` gives, where that is wanted; the log says why variables that want it cannot be used. */
export async function openOtlp(
  { otlp, whyNoOtlp }: OtlpChoice,
  read: () => OtlpFigures | undefined,
  log: Logger,
): Promise<{ close(): Promise<void> } | undefined> {
  if (whyNoOtlp !== undefined) log.warn({ why: whyNoOtlp }, 'no metrics are sent')
  if (otlp === undefined) return undefined
  const { OtlpExporter } = await import('./otlp-export.ts')
  return new OtlpExporter(otlp, read, log)
}
