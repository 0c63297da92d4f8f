export { ArtifactPathError } from './artifact-store/artifact-path.ts'
export type {
  ArtifactInfo,
  ArtifactOptions,
  ArtifactProgress,
  ArtifactSource,
  ArtifactStore,
  LoadOptions,
  SaveOptions,
} from './artifact-store/artifact-store.ts'
export {
  AzureArtifactStore,
  type AzureArtifactStoreOptions,
} from './artifact-store/azure-artifact-store.ts'
export { type AzureEndpoint, type AzureUrl, type Cloud, parseAzureUrl } from './azure-url.ts'
export type {
  AccountFeatures,
  BlobAdministration,
  ContentSettings,
  FormerId,
  TaggedBlob,
  Tags,
  Tier,
  TierOptions,
  TierState,
} from './blob/administration.ts'
export type { AccessControl, AclFailure, Expiry } from './blob/hierarchy.ts'
export type { Integrity } from './blob/store.ts'
export { BulkError, type BulkFailure, type BulkResult } from './bulk.ts'
export {
  type CreateFileSystemOptions,
  createFileSystem,
  type FileSystemRecipe,
  fromJSON,
  type GivenKey,
} from './create-file-system.ts'
export {
  type ConnectorTokenCredential,
  type CreateTokenCredentialOptions,
  createTokenCredential,
} from './create-token-credential.ts'
export type { TokenChallenge } from './credential/challenge.ts'
export {
  MultiScopeTokenProvider,
  type MultiScopeTokenProviderOptions,
} from './credential/multi-scope-token-provider.ts'
export { type RotatingSas, sasProvider } from './credential/sas-provider.ts'
export {
  callbackToken,
  fromTokenCredential,
  type IssuedToken,
  staticToken,
  type TokenRequest,
  type TokenSource,
} from './credential/token-source.ts'
export {
  type ErrnoCode,
  FileSystemError,
  type FileSystemErrorOptions,
  isFileSystemError,
} from './errors.ts'
export {
  type FileSystemLoader,
  FileSystems,
  fromConnectionString,
  fromUrl,
  type OpenedUrl,
  type OpenUrlOptions,
  type UrlOptions,
} from './file-systems.ts'
export type { AclOptions, AclProgress, AclResult } from './filesystem/access.ts'
export type {
  FileState,
  SetMetadataOptions,
  SignOptions,
} from './filesystem/account-administration.ts'
export type {
  FileListing,
  FilePage,
  ListCheckpoint,
  ListOptions,
} from './filesystem/account-search.ts'
export type { FileSystemStats } from './filesystem/account-tree.ts'
export {
  AzureBlobFileSystem,
  type AzureBlobFileSystemOptions,
  type CopySource,
  type InfoOptions,
  type ListingOptions,
  type Preference,
} from './filesystem/azure-blob-file-system.ts'
export type { BlobFileEditor, EditOptions } from './filesystem/blob-file-editor.ts'
export type { BlobFileReader, OpenOptions } from './filesystem/blob-file-reader.ts'
export type { BlobFileWriter } from './filesystem/blob-file-writer.ts'
export type { BlobMap } from './filesystem/blob-map.ts'
export type { CachePolicy, CacheType } from './filesystem/cache-type.ts'
export type { Capabilities } from './filesystem/capabilities.ts'
export type { CatFileOptions, CatRangesOptions, RangeRequest } from './filesystem/cat.ts'
export type { CatOptions } from './filesystem/cat-paths.ts'
export type {
  ChangeListing,
  ChangesDamage,
  ChangesOptions,
  FileChange,
} from './filesystem/changes.ts'
export type { Consistency, WholeConsistency } from './filesystem/consistency.ts'
export type { DecodedFileReader } from './filesystem/decoded-file-reader.ts'
export type { TaggedFile } from './filesystem/dir-administration.ts'
export type { InnerRange } from './filesystem/dir-content.ts'
export { DirFileSystem } from './filesystem/dir-file-system.ts'
export type { InnerPaths } from './filesystem/dir-paths.ts'
export type { TreeDrawingOptions } from './filesystem/draw-tree.ts'
export type { EncodedFileWriter } from './filesystem/encoded-file-writer.ts'
export type { ExpandOptions } from './filesystem/expand-path.ts'
export type { GlobPlan } from './filesystem/explain-glob.ts'
export type { CodingOptions, Compression, FileEncoding } from './filesystem/file-coding.ts'
export type { FileInfo } from './filesystem/file-info.ts'
export type { FileLock, LockOptions } from './filesystem/file-lock.ts'
export type { FormerFile } from './filesystem/former-file.ts'
export type { FileData } from './filesystem/given-bytes.ts'
export type { GetFileOptions, LocalFileOptions } from './filesystem/local-file.ts'
export { LocalFileCache, type LocalFileCacheOptions } from './filesystem/local-file-cache.ts'
export type { PathInput } from './filesystem/location.ts'
export type { MoveOptions } from './filesystem/move.ts'
export type { NodeMode, NodeTime } from './filesystem/node-changes.ts'
export type { NodeDirectory } from './filesystem/node-directory.ts'
export type {
  NodeFileHandle,
  NodeOpenFlags,
  NodeReadOptions,
} from './filesystem/node-file-handle.ts'
export type {
  NodeData,
  NodeFileSystem,
  NodeFileSystemOptions,
  NodePath,
} from './filesystem/node-file-system.ts'
export type { NodeDirent, NodeStats } from './filesystem/node-stats.ts'
export type { NodeReadStreamOptions, NodeWriteStreamOptions } from './filesystem/node-streams.ts'
export type { PipeOptions, WriteOptions } from './filesystem/pipe.ts'
export type { OperationPlan } from './filesystem/plan-operation.ts'
export type { Progress, ProgressOptions } from './filesystem/progress.ts'
export type { BlockOptions } from './filesystem/read-block.ts'
export type { RemoveOptions } from './filesystem/remove.ts'
export type { ReadStreamOptions } from './filesystem/streams.ts'
export { type SyncCompare, type SyncOptions, type SyncPlan, sync } from './filesystem/sync.ts'
export type { SyncFile, SyncSide } from './filesystem/sync-side.ts'
export type {
  Transaction,
  TransactionOptions,
  TransactionResult,
} from './filesystem/transaction.ts'
export type { TransactionWriter } from './filesystem/transaction-writer.ts'
export type {
  TransferOptions,
  TransferResult,
} from './filesystem/transfer-run.ts'
export type { Change, UpdateOptions } from './filesystem/update-file.ts'
export type { FindOptions, WalkOptions, WalkStep } from './filesystem/walk.ts'
export type { GivenCredential } from './given-credential.ts'
export type { HedgeOptions } from './http/hedge.ts'
export type { RateLimits } from './http/limit.ts'
export type { PublicRetryOptions } from './http/retry.ts'
export type { Timeouts } from './http/timeouts.ts'
export type { ListingCacheStats } from './namespace/listing-cache.ts'
export type {
  DirectoryMode,
  RecoveredRename,
  RecoverOptions,
} from './namespace/namespace.ts'
export type { Recovered } from './namespace/recovery.ts'
export type { RecoveredTransaction } from './namespace/transaction-recovery.ts'
export { type BlobPath, formatPath } from './path.ts'
export {
  parentPath,
  type SplitPath,
  splitPath,
  stripProtocol,
  unstripProtocol,
} from './path-spelling.ts'
export { fromStorageOptions, type StorageOptions } from './storage-options.ts'
export type { RequestCounts } from './telemetry.ts'
export { DiskCache, type DiskCacheOptions, type DiskCacheStats } from './transfer/disk-cache.ts'
