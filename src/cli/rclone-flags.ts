/** What to write in the place of a flag of rclone's; `undefined` for other words. */
export function insteadOfRclone(message: string): string | undefined {
  const name = /unknown option '--(vfs-[a-z-]+|dir-cache-time|daemon|allow-non-empty)/.exec(
    message,
  )?.[1]
  return name === undefined ? undefined : (ours[name] ?? otherwise)
}

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
