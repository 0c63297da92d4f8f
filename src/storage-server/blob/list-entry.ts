import { parseAcl } from '../dfs/acl.ts'
import { formatPermissions } from '../dfs/permissions.ts'
import { leaseHeaders } from '../model/lease.ts'
import type { BlobRecord, CopyState, Ownership, PathRecord, PathState } from '../model/record.ts'
import { httpDate } from '../wire/http-date.ts'
import { element, metadataElement, textElement, xmlText } from '../wire/xml.ts'
import { tagsElement } from './tag-verbs.ts'
import { archiveStatus } from './tier-header.ts'

/** One row of a listing before it is written. */
export interface ListRow {
  readonly record: PathRecord
  readonly state: PathState
  readonly snapshot?: string | undefined
  /** Former versions and the current one of accounts that keep them. */
  readonly versionId?: string | undefined
  readonly isCurrent: boolean
  readonly deleted?: { readonly deletedMs: number; readonly remainingDays: number } | undefined
  readonly deletionId?: string | undefined
  /** The only sign of a name whose versions are left. */
  readonly hasVersionsOnly?: boolean | undefined
}

/** How rows are written. */
export interface RowStyle {
  readonly includes: ReadonlySet<string>
  readonly hierarchical: boolean
  readonly nowMs: number
}

/** `<Blob>…</Blob>`. Built from strings: a page has 5,000 of them. */
export function blobElement(row: ListRow, style: RowStyle): string {
  const { record, snapshot, versionId, isCurrent, deleted } = row
  const { includes } = style
  let text = `<Blob>${textElement('Name', row.state.name)}`
  if (snapshot !== undefined) text += element('Snapshot', snapshot)
  if (versionId !== undefined) {
    text += element('VersionId', versionId)
    if (isCurrent) text += '<IsCurrentVersion>true</IsCurrentVersion>'
  }
  if (deleted !== undefined) text += '<Deleted>true</Deleted>'
  if (row.hasVersionsOnly === true) text += '<HasVersionsOnly>true</HasVersionsOnly>'
  text += propertiesElement(row, style)
  if (includes.has('metadata')) text += metadataOf(record)
  if (includes.has('tags') && record.kind === 'blob' && Object.keys(record.tags).length > 0) {
    text += tagsElement(record.tags)
  }
  if (deleted !== undefined && style.hierarchical) text += element('DeletionId', row.deletionId)
  return `${text}<OrMetadata /></Blob>`
}

/** `<BlobPrefix>…</BlobPrefix>`; with properties where a directory is behind it. */
export function prefixElement(
  prefix: string,
  directory: ListRow | undefined,
  style: RowStyle,
): string {
  const name = textElement('Name', prefix)
  if (directory === undefined) return `<BlobPrefix>${name}</BlobPrefix>`
  return `<BlobPrefix>${name}${propertiesElement(directory, style)}</BlobPrefix>`
}

function propertiesElement(row: ListRow, style: RowStyle): string {
  const { record, deleted } = row
  let text =
    `<Properties><Creation-Time>${httpDate(record.createdMs)}</Creation-Time>` +
    `<Last-Modified>${httpDate(record.lastModifiedMs)}</Last-Modified>` +
    `<Etag>${bareEtag(record.etag)}</Etag>`
  if (style.hierarchical) {
    text += element('ResourceType', record.kind === 'directory' ? 'directory' : 'file')
  }
  text += record.kind === 'blob' ? contentElements(record) : directoryElements
  if (row.isCurrent) text += leaseElements(row.state, style.nowMs)
  if (record.kind === 'blob') text += blobElements(record, style)
  if (style.includes.has('permissions')) text += ownerElements(record.ownership)
  if (deleted !== undefined) {
    text += element('DeletedTime', httpDate(deleted.deletedMs))
    text += element('RemainingRetentionDays', deleted.remainingDays)
  }
  return `${text}<ServerEncrypted>true</ServerEncrypted></Properties>`
}

const directoryElements =
  '<Content-Length>0</Content-Length><Content-Type>application/octet-stream</Content-Type>' +
  '<BlobType>BlockBlob</BlobType>'

function contentElements({ content, headers, blobType }: BlobRecord): string {
  return (
    `<Content-Length>${content.sizeBytes}</Content-Length>` +
    `<Content-Type>${xmlText(headers.contentType ?? '')}</Content-Type>` +
    `<Content-Encoding>${xmlText(headers.contentEncoding ?? '')}</Content-Encoding>` +
    `<Content-Language>${xmlText(headers.contentLanguage ?? '')}</Content-Language>` +
    `<Content-CRC64 /><Content-MD5>${headers.contentMd5 ?? ''}</Content-MD5>` +
    `<Cache-Control>${xmlText(headers.cacheControl ?? '')}</Cache-Control>` +
    `<Content-Disposition>${xmlText(headers.contentDisposition ?? '')}</Content-Disposition>` +
    `<BlobType>${blobType}</BlobType>`
  )
}

const unleased = '<LeaseStatus>unlocked</LeaseStatus><LeaseState>available</LeaseState>'

function leaseElements({ lease }: PathState, nowMs: number): string {
  if (lease === undefined) return unleased
  const headers = leaseHeaders(lease, nowMs)
  return (
    element('LeaseStatus', headers['x-ms-lease-status']) +
    element('LeaseState', headers['x-ms-lease-state']) +
    element('LeaseDuration', headers['x-ms-lease-duration'])
  )
}

function blobElements(record: BlobRecord, { includes }: RowStyle): string {
  let text = tierElements(record)
  if (record.sequenceNumber !== undefined) {
    text += element('x-ms-blob-sequence-number', record.sequenceNumber)
  }
  if (record.sealed === true) text += '<Sealed>true</Sealed>'
  if (record.expiresMs !== undefined) text += element('Expiry-Time', httpDate(record.expiresMs))
  if (includes.has('copy') && record.copy !== undefined) text += copyElements(record.copy)
  const { scope, keySha256 } = record.encryption ?? {}
  if (scope !== undefined) text += element('EncryptionScope', scope)
  if (keySha256 !== undefined) text += element('CustomerProvidedKeySha256', keySha256)
  const tags = Object.keys(record.tags).length
  return tags === 0 ? text : text + element('TagCount', tags)
}

function tierElements({ blobType, tier }: BlobRecord): string {
  if (blobType !== 'BlockBlob') return ''
  let text = `<AccessTier>${tier.name}</AccessTier>`
  if (tier.inferred) text += '<AccessTierInferred>true</AccessTierInferred>'
  if (tier.changedMs !== undefined) {
    text += element('AccessTierChangeTime', httpDate(tier.changedMs))
  }
  return text + element('ArchiveStatus', archiveStatus(tier))
}

function copyElements(copy: CopyState): string {
  return [
    element('CopyId', copy.id),
    element('CopySource', copy.source),
    element('CopyStatus', copy.status),
    element('CopyProgress', `${copy.progressBytes}/${copy.totalBytes}`),
    copy.completedMs === undefined ? '' : element('CopyCompletionTime', httpDate(copy.completedMs)),
  ].join('')
}

function ownerElements(ownership: Ownership | undefined): string {
  if (ownership === undefined) return ''
  const { owner, group, acl, sticky } = ownership
  return [
    element('Owner', owner),
    element('Group', group),
    element('Permissions', formatPermissions(parseAcl(acl), sticky)),
    element('Acl', acl),
  ].join('')
}

function metadataOf(record: PathRecord): string {
  // It is encrypted with the key, too, which a listing is not given.
  const isHidden = record.kind === 'blob' && record.encryption?.keySha256 !== undefined
  if (isHidden) return '<Metadata Encrypted="true" />'
  return record.kind === 'directory'
    ? metadataElement({ ...record.metadata, hdi_isfolder: 'true' })
    : metadataElement(record.metadata)
}

function bareEtag(etag: string): string {
  return etag.replaceAll('"', '')
}
