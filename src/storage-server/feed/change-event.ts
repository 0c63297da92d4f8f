import type { BlobRecord } from '../model/record.ts'
import { AvroWriter } from './avro-writer.ts'

/** What a record of the change feed says. */
export interface ChangeEvent {
  readonly account: string
  readonly container: string
  readonly name: string
  readonly eventType: EventType
  readonly timeMs: number
  readonly id: string
  readonly api: string
  readonly requestId: string
  readonly clientRequestId: string
  readonly sequence: number
  /** After the change; of what was deleted, before it. */
  readonly record: BlobRecord
}

const eventTypes = [
  'UnspecifiedEventType',
  'BlobCreated',
  'BlobDeleted',
  'BlobPropertiesUpdated',
  'BlobSnapshotCreated',
  'Control',
  'BlobTierChanged',
  'BlobAsyncOperationInitiated',
] as const
export type EventType = (typeof eventTypes)[number]
const blobTypes = ['Unspecified', 'BlockBlob', 'PageBlob', 'AppendBlob'] as const

const text = (name: string) => ({ name, type: 'string' })
const mayBe = (name: string, type: unknown) => ({ name, type: ['null', type] })
const texts = { type: 'map', values: 'string' }

/** Version 3 of the events, which the documentation shows as JSON. */
export const eventSchema: object = {
  type: 'record',
  name: 'BlobChangeEvent',
  namespace: 'com.microsoft.azure.storage.blobs.changefeed',
  fields: [
    { name: 'schemaVersion', type: 'int' },
    text('topic'),
    text('subject'),
    { name: 'eventType', type: { type: 'enum', name: 'EventType', symbols: eventTypes } },
    text('eventTime'),
    text('id'),
    {
      name: 'data',
      type: {
        type: 'record',
        name: 'BlobChangeEventData',
        fields: [
          text('api'),
          text('clientRequestId'),
          text('requestId'),
          text('etag'),
          text('contentType'),
          { name: 'contentLength', type: 'long' },
          { name: 'blobType', type: { type: 'enum', name: 'BlobType', symbols: blobTypes } },
          text('url'),
          text('sequencer'),
          mayBe('previousInfo', texts),
          mayBe('snapshot', 'string'),
          mayBe('blobPropertiesUpdated', texts),
          mayBe('storageDiagnostics', texts),
        ],
      },
    },
  ],
}

/** One record of `eventSchema`. */
export function encodeEvent(event: ChangeEvent): Buffer {
  const { account, container, name, record, sequence } = event
  const writer = new AvroWriter()
  const topic = `/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/sandbox/providers/Microsoft.Storage/storageAccounts/${account}`
  writer.long(schemaVersion).string(topic)
  writer.string(`/blobServices/default/containers/${container}/blobs/${name}`)
  writer.long(eventTypes.indexOf(event.eventType))
  writer.string(new Date(event.timeMs).toISOString().replace('Z', '0000Z')).string(event.id)
  writer.string(event.api).string(event.clientRequestId).string(event.requestId)
  writer.string(record.etag.replaceAll('"', ''))
  writer.string(record.headers.contentType ?? 'application/octet-stream')
  writer.long(record.content.sizeBytes).long(blobTypes.indexOf(record.blobType))
  writer.string('').string(sequence.toString(16).padStart(48, '0'))
  writer.long(0).long(0).long(0)
  writer.optional({ seq: String(sequence) }, (entries) => writer.map(entries))
  return writer.take()
}

const schemaVersion = 3
