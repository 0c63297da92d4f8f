/** What a drive by fuse-native lacks or does otherwise, for `abfs doctor` and the documentation; one sentence each. */
export const fuseNativeLimits: readonly string[] = [
  'It needs libfuse 2 (Debian: apt install libfuse2) or macFUSE, and its prebuilt binaries are for x64 alone.',
  'Every call takes a path, which is looked up anew: renamed and removed files that are open are not found by fstat.',
  'Writes come in pieces of 4 KiB, at about a thirtieth of the speed of the addon of abfs.',
  'Modification times cannot be set: fuse-native passes the access time twice; utimes and `rsync -a` lose them.',
  'Times have milliseconds, inode numbers 32 bits.',
  'Files are made and judged as the user who mounted: the caller is not known.',
  'No interrupts: a call fails after --timeout, whatever progress it makes, and its caller cannot be killed before.',
  'No directory of reports: --stats-dir is refused. Its handles are longer than 32 bits, and its files have no size beforehand.',
  'No fallocate, no RENAME_NOREPLACE, no locks of other machines, no invalidation: attributes are believed for a second.',
  'A process that hosts it must not read its own mount, and a kill -9 leaves a mount that must be detached.',
  'Mount points whose path has a quote, a dollar sign or a backtick are refused: fuse-native unmounts by a shell.',
]
