/** The keys of blobfuse2's configuration file: those that are taken, and why others are not. */

const secret =
  'would be a secret: abfs signs in by identity, or asks a connector (ABFS_CONNECTOR_URL)'
const identity = 'is said by AZURE_CLIENT_ID and AZURE_TENANT_ID'
const token = 'is said by AZURE_FEDERATED_TOKEN_FILE'
const bySelf = 'has no meaning: windows and requests are found by measuring'
const memory = 'has no meaning: memory follows the limit of the process'
const byEtag = 'has no meaning: blocks are kept by etag, until room is needed'
const watching = 'is --metrics-listen, --health-file, --access-log and abfs stats here'
const patience = 'has no meaning: --timeout is how long a call may go without progress'
const always = 'would be another promise: close(2) returns when Azure has the bytes'
const preload = 'is abfs warm, before or after the mount'

/** Why a key is not taken. */
const refusedKeys: Readonly<Record<string, string>> = {
  'azstorage.account-key': secret,
  'azstorage.sas': secret,
  'azstorage.clientsecret': secret,
  'azstorage.oauth-token-path': token,
  'azstorage.workload-identity-token': token,
  'azstorage.appid': identity,
  'azstorage.clientid': identity,
  'azstorage.tenantid': identity,
  'azstorage.resid': 'has no meaning: name the identity by AZURE_CLIENT_ID',
  'azstorage.objid': 'has no meaning: name the identity by AZURE_CLIENT_ID',
  'azstorage.aadendpoint': 'is said by AZURE_AUTHORITY_HOST',
  'azstorage.auth-resource': 'has no meaning: credentials are for storage alone',
  'azstorage.block-size-mb': bySelf,
  'azstorage.max-concurrency': bySelf,
  'azstorage.tier':
    'has no meaning: files are made in the tier of the account; azure.tier sets one',
  'azstorage.block-list-on-mount-sec': 'has no meaning: a mount lists its top, to try credentials',
  'azstorage.max-retries': patience,
  'azstorage.max-retry-timeout-sec': patience,
  'azstorage.retry-backoff-sec': patience,
  'azstorage.max-retry-delay-sec': patience,
  'azstorage.http-proxy': 'has no meaning: there is no support for proxies',
  'azstorage.https-proxy': 'has no meaning: there is no support for proxies',
  'azstorage.update-md5': 'has no meaning: CRC-64 guards every transfer',
  'azstorage.validate-md5': 'has no meaning: CRC-64 guards every transfer',
  'azstorage.disable-compression': 'has no meaning: blobs are shown as they are stored',
  'azstorage.honour-acl': 'has no meaning: owners and modes of hierarchical accounts always count',
  'azstorage.preserve-acl': 'has no meaning: edits keep them',
  'azstorage.cpk-encryption-key': secret,
  'azstorage.cpk-encryption-key-sha256': secret,
  'azstorage.cap-mbps-read': 'is --max-read-rate here, in bytes a second',
  'block_cache.block-size-mb': bySelf,
  'block_cache.prefetch': bySelf,
  'block_cache.prefetch-on-open': bySelf,
  'block_cache.parallelism': bySelf,
  'block_cache.mem-size-mb': memory,
  'block_cache.disk-timeout-sec': byEtag,
  'file_cache.timeout-sec': byEtag,
  'file_cache.refresh-sec': byEtag,
  'file_cache.high-threshold': 'has no meaning: room is made to nine tenths of --cache-size',
  'file_cache.low-threshold': 'has no meaning: room is made to nine tenths of --cache-size',
  'file_cache.max-eviction': 'has no meaning: room is made when it is needed',
  'file_cache.policy-trace': watching,
  'file_cache.hard-limit':
    'has no meaning: a full cache never fails a call, and never exceeds much',
  'file_cache.create-empty-file': 'would show files before their content: set it to false',
  'file_cache.ignore-sync': always,
  'file_cache.sync-to-flush': always,
  'attr_cache.max-size-mb': memory,
  'attr_cache.no-symlinks': 'has no meaning: links cost no request',
  'attr_cache.no-cache-on-list': 'has no meaning: a listing is what names are believed by',
  'libfuse.default-permission': 'is --file-mode and --dir-mode here',
  'libfuse.umask': 'is --file-mode and --dir-mode here',
  'libfuse.fuse-trace': 'is --access-log here',
  'libfuse.extension': 'has no meaning: there is no libfuse',
  'libfuse.direct-io': 'is not there: pages of the kernel are dropped when a version changes',
  'libfuse.max-fuse-threads': bySelf,
  'disable-kernel-cache': 'is not there: pages of the kernel are dropped when a version changes',
  'dynamic-profile': watching,
  'profiler-ip': watching,
  'profiler-port': watching,
  'xload.path': preload,
  'xload.block-size-mb': preload,
  'xload.export-progress': preload,
  'xload.validate-md5': preload,
  'xload.cleanup-on-start': preload,
  'health_monitor.enable-monitoring': watching,
  'health_monitor.stats-poll-interval-sec': watching,
  'health_monitor.process-monitor-interval-sec': watching,
  'health_monitor.output-path': watching,
  'health_monitor.monitor-disable-list': watching,
  'logging.type':
    'is base, or silent: Node cannot write to syslog; the journal of systemd takes standard error of a drive in the foreground',
  'logging.max-file-size-mb': 'is logrotate’s: SIGHUP opens the log anew',
  'logging.file-count': 'is logrotate’s: SIGHUP opens the log anew',
  'logging.compress': 'is logrotate’s: SIGHUP opens the log anew',
  'logging.goroutine-id': 'has no meaning: lines have the process and the ids of requests',
  'loopbackfs.path': 'has no meaning',
}

const isTrue = /^true$/
const isFalse = /^false$/
const isBoolean = /^(true|false)$/
const isNumber = /^\d+$/

/** Keys that are taken, and the values they may have; any when it is `undefined`. */
const takenKeys: Readonly<Record<string, RegExp | undefined>> = {
  'logging.type': /^(base|silent)$/i,
  'logging.level': /^(log_off|log_crit|log_err|log_warning|log_info|log_trace|log_debug)$/i,
  'logging.file-path': undefined,
  components: /^(libfuse|entry_cache|block_cache|file_cache|attr_cache|azstorage|,)*$/,
  'azstorage.type': /^(block|adls)$/i,
  'azstorage.account-name': undefined,
  'azstorage.container': undefined,
  'azstorage.subdirectory': undefined,
  'azstorage.endpoint': undefined,
  'azstorage.mode': /^(msi|spn|azcli|workloadidentity)$/i,
  // What a drive here does always, or never.
  'azstorage.cap-iops': isNumber,
  'azstorage.filter': undefined,
  'azstorage.virtual-directory': isTrue,
  'azstorage.fail-unsupported-op': isTrue,
  'azstorage.cpk-enabled': isFalse,
  'azstorage.use-http': isBoolean,
  'azstorage.telemetry': undefined,
  'block_cache.cleanup-on-start': isFalse,
  'block_cache.consistency': isBoolean,
  'file_cache.cleanup-on-start': isFalse,
  'file_cache.create-empty-file': isFalse,
  'file_cache.ignore-sync': isFalse,
  'file_cache.sync-to-flush': isTrue,
  'file_cache.allow-non-empty-temp': isBoolean,
  'file_cache.offload-io': isBoolean,
  'libfuse.disable-writeback-cache': isBoolean,
  'libfuse.ignore-open-flags': isBoolean,
  'libfuse.fuse-trace': isFalse,
  'libfuse.direct-io': isFalse,
  'disable-kernel-cache': isFalse,
  'dynamic-profile': isFalse,
  'health_monitor.enable-monitoring': isFalse,
  'block_cache.path': undefined,
  'block_cache.disk-size-mb': isNumber,
  'file_cache.path': undefined,
  'file_cache.max-size-mb': isNumber,
  'attr_cache.timeout-sec': isNumber,
  'entry_cache.timeout-sec': isNumber,
  'libfuse.attribute-expiration-sec': isNumber,
  'libfuse.entry-expiration-sec': isNumber,
  'libfuse.negative-entry-expiration-sec': isNumber,
  'libfuse.kernel-list-cache-expiration-sec': isNumber,
  'libfuse.uid': isNumber,
  'libfuse.gid': isNumber,
  'mountall.container-allowlist': undefined,
  'mountall.container-denylist': undefined,
  'lazy-write': isBoolean,
  'allow-other': isBoolean,
  'read-only': isBoolean,
  nonempty: isBoolean,
  foreground: isBoolean,
}

/** Keys whose value may be a list. */
export const listKeys: ReadonlySet<string> = new Set([
  'components',
  'mountall.container-allowlist',
  'mountall.container-denylist',
])

/** The names that keys are grouped under. */
export const sections: ReadonlySet<string> = new Set(
  [...Object.keys(takenKeys), ...Object.keys(refusedKeys)]
    .filter((key) => key.includes('.'))
    .map((key) => key.replace(/\..*$/, '')),
)

/** What must be refused of a key, whatever its table says; `undefined` when it is taken. */
export function refusalOf(key: string, value: string): string | undefined {
  const why = refusedKeys[key]
  if (!Object.hasOwn(takenKeys, key)) return why ?? 'is not a key that abfs takes'
  const allowed = takenKeys[key]
  if (allowed === undefined || allowed.test(value)) return undefined
  if (key === 'azstorage.mode' && /^(key|sas)$/i.test(value)) return secret
  return why ?? `must be ${inWords(allowed)} to mean the same here`
}

/** The tables' patterns are words between bars, or digits. */
function inWords({ source }: RegExp): string {
  if (source === isNumber.source) return 'a whole number'
  const words = source
    .replaceAll(/[^a-z_|]/g, '')
    .split('|')
    .filter(Boolean)
  return words.length === 1 ? String(words[0]) : `of ${words.join(', ')}`
}
