/** What to write in the place of a flag of rclone's, blobfuse2's or mount(8)'s; `undefined` for other words. */
export function insteadOfOthers(message: string): string | undefined {
  if (/unknown option '-o'/.test(message)) return ofMount
  const theirs = /unknown option '--([a-z0-9-]+)/.exec(message)?.[1] ?? ''
  if (Object.hasOwn(blobfuse, theirs)) return blobfuse[theirs]
  const name = /unknown option '--(vfs-[a-z-]+|dir-cache-time|daemon|allow-non-empty)/.exec(
    message,
  )?.[1]
  return name === undefined ? undefined : (ours[name] ?? otherwise)
}

const ofMount =
  'options are flags here (--read-only, --allow-other); mount -t abfs takes -o, as lines of fstab do'

const otherwise = 'rclone’s --vfs-* flags have no meaning here; see abfs mount --help'

const ours: Readonly<Record<string, string>> = {
  'vfs-cache-mode': 'reads and writes need no mode; --cache-dir keeps what was read on the disk',
  'vfs-cache-max-size': 'it is --cache-size here, with --cache-dir',
  'vfs-cache-max-age': 'blocks are kept by etag until --cache-size is reached',
  'vfs-write-back': 'close(2) stores; --write-back makes it wait for the local journal only',
  'vfs-read-ahead': 'the window ahead of a reader grows by itself',
  'vfs-read-chunk-size': 'the size of requests follows how a file is read',
  'dir-cache-time': 'it is --attr-ttl SECONDS here',
  daemon: 'abfs mount does so by itself; --foreground stays',
  'allow-non-empty': 'it is --non-empty here',
}

const ttl = 'it is --attr-ttl SECONDS here, one for all'
const size = 'it is --cache-size 10G here, with --cache-dir'
const always = 'it is so here: close(2) and fsync(2) return when Azure has the data'
const bySelf = 'windows, sizes and numbers of requests are found by measuring'
const byEtag = 'blocks are kept by etag until --cache-size is reached'
const pages = 'pages of the kernel are dropped when a version changes'

const blobfuse: Readonly<Record<string, string>> = {
  // Of mount(8).
  remount: 'unmount the drive and mount it anew',
  'container-name': 'write abfs://CONTAINER',
  subdirectory: 'write abfs://CONTAINER/PATH',
  'tmp-path': 'it is --cache-dir here',
  'block-cache-path': 'it is --cache-dir here',
  'cache-size-mb': size,
  'block-cache-disk-size': size,
  'attr-timeout': ttl,
  'entry-timeout': ttl,
  'negative-timeout': ttl,
  'attr-cache-timeout': ttl,
  'kernel-list-cache-timeout': ttl,
  'file-cache-timeout': byEtag,
  'file-cache-timeout-in-seconds': byEtag,
  'block-cache-disk-timeout': byEtag,
  'block-cache': bySelf,
  'block-cache-block-size': bySelf,
  'block-cache-pool-size': bySelf,
  'block-cache-prefetch': bySelf,
  'block-cache-parallelism': bySelf,
  streaming: bySelf,
  preload: 'it is abfs warm here',
  'sync-to-flush': always,
  'ignore-sync': always,
  'lazy-write': 'it is --write-back here, which a journal keeps safe',
  'disable-writeback-cache': always,
  'disable-kernel-cache': pages,
  'log-file-path': 'it is --log-file here',
  'wait-for-mount': 'abfs mount returns when the drive answers, or with what is wrong',
  'pre-mount-validate': 'it is --plan here',
  'virtual-directory': 'directories need no marker here',
  'use-attr-cache': 'listings are always kept; --attr-ttl says how long',
  'secure-config': 'there are no secrets to encrypt: drives sign in by identity or a connector',
}
