import type { Difference } from './blob-semantics.ts'

/** Where Azurite answers otherwise than Azure documents. */
export const azuriteDifferences: readonly Difference[] = [
  {
    rule: 'Put Blob without a type is 400',
    azurite: { outcome: '400' },
    azure: '400 MissingRequiredHeader, which names the header',
    why: 'Azurite validates against its interface description first and answers without a code.',
  },
  {
    rule: 'Put Blob of another MD5 is 400',
    azurite: { outcome: '400 InvalidOperation' },
    azure: '400 Md5Mismatch',
    why: 'Azurite has the code for blocks alone.',
  },
  {
    rule: 'If-Match of what is absent is 412',
    azurite: { outcome: '201' },
    azure: '412 ConditionNotMet: no resource, so none that matches',
    why: 'Azurite takes `*` as no condition on Put Blob.',
  },
  {
    rule: 'a range behind the end is 416',
    azurite: { outcome: '206' },
    azure: '416 InvalidRange: the first byte asked for is not there',
    why: 'Azurite compares the start with the size and lets the size itself pass.',
  },
  {
    rule: 'the CRC64 of a range is answered when asked for',
    azurite: { outcome: '500 FeatureNotSupported' },
    azure: '206 with x-ms-content-crc64',
    why: 'Azurite refuses the header in its strict mode.',
  },
  {
    rule: 'a version header that is no date is 400',
    azurite: { outcome: '200' },
    azure: '400 InvalidHeaderValue',
    why: 'The sandbox starts Azurite without its check of versions, which refuses newer clients.',
  },
  {
    rule: 'an append to a sealed blob is 409',
    azurite: { outcome: '500' },
    azure: '200 to the seal, then 409 BlobIsSealed',
    why: 'Azurite has no Append Blob Seal.',
  },
  {
    rule: 'Put Blob over an append blob is 409',
    azurite: { outcome: '201' },
    azure: '409 InvalidBlobType: a blob keeps its type as long as it is there',
    why: 'Azurite replaces blobs of any type by any other.',
  },
  {
    rule: 'Put Blob over a page blob is 409',
    azurite: { outcome: '201' },
    azure: '409 InvalidBlobType: a blob keeps its type as long as it is there',
    why: 'Azurite replaces blobs of any type by any other.',
  },
  {
    rule: 'an append blob in the place of a block blob is 409',
    azurite: { outcome: '201' },
    azure: '409 InvalidBlobType: a blob keeps its type as long as it is there',
    why: 'Azurite replaces blobs of any type by any other.',
  },
  {
    rule: 'a page blob in the place of a block blob is 409',
    azurite: { outcome: '201' },
    azure: '409 InvalidBlobType: a blob keeps its type as long as it is there',
    why: 'Azurite replaces blobs of any type by any other.',
  },
  {
    rule: 'a copy over a blob of another type is 409',
    azurite: { outcome: '202' },
    azure: '409 InvalidBlobType: a blob keeps its type as long as it is there',
    why: 'Azurite replaces blobs of any type by any other.',
  },
  {
    rule: 'Put Blob From URL over a blob of another type is 409',
    azurite: { outcome: '500' },
    azure: '409 InvalidBlobType: a blob keeps its type as long as it is there',
    why: 'Azurite has no Put Blob From URL.',
  },
  {
    rule: 'a page blob of no whole pages is 400',
    azurite: { outcome: '400 InvalidOperation' },
    azure: '400 InvalidHeaderValue, which names the header',
    why: 'Azurite has one code for all malformed page requests.',
  },
  {
    rule: 'a page beyond the size is 416',
    azurite: { outcome: '416 Requested Range Not Satisfiable' },
    azure: '416 InvalidPageRange',
    why: 'Azurite answers the reason phrase as the code.',
  },
  {
    rule: 'tags with characters that are not permitted are 400',
    azurite: { outcome: '400 DuplicateTagNames' },
    azure: '400 InvalidTag',
    why: 'Azurite answers the message of one refusal with the code of another.',
  },
  {
    rule: 'a tier of no name is 400',
    azurite: { outcome: '400 AccessTierNotSupportedForBlobType' },
    azure: '400 InvalidHeaderValue',
    why: 'Azurite does not tell an unknown tier from one of another type of blob.',
  },
  {
    rule: 'undelete of what is there is 200',
    azurite: { outcome: '500' },
    azure: '200, and nothing changes',
    why: 'Azurite has no soft deletion.',
  },
  {
    rule: 'a copy whose source does not match is 412',
    azurite: { outcome: '412 ConditionNotMet' },
    azure: '412 SourceConditionNotMet, which tells source from destination',
    why: 'Azurite has one code for both.',
  },
  {
    rule: 'Put Blob From URL answers 201',
    azurite: { outcome: '500' },
    azure: '201',
    why: 'Azurite has no Put Blob From URL.',
  },
  {
    rule: 'Put Block From URL stages a range of the source',
    azurite: { outcome: '500' },
    azure: '201 to each range',
    why: 'Azurite has no Put Block From URL.',
  },
  {
    rule: 'a list of what is no include is 400',
    azurite: { outcome: '400' },
    azure: '400 InvalidQueryParameterValue, which names the parameter',
    why: 'Azurite validates against its interface description first and answers without a code.',
  },
  {
    rule: 'a page of no results is 400',
    azurite: { outcome: '400' },
    azure: '400 OutOfRangeQueryParameterValue, which names the parameter and its bounds',
    why: 'Azurite validates against its interface description first and answers without a code.',
  },
]
