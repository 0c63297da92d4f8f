import type { FileInfo } from '../filesystem/file-info.ts'

/** Type, permissions and owner as `ls -l` writes them; `-` where metadata does not tell. */
export function attributesText(info: FileInfo): string {
  const mode = info.mode === undefined ? '---------' : permissionText(info.mode)
  const owner = `${info.uid ?? '-'}:${info.gid ?? '-'}`
  return `${TYPE_LETTERS[info.entryType]}${mode} ${owner}`
}

/** The modification time: what metadata says, or when the service last changed the blob. */
export function timeOf(info: FileInfo): number | undefined {
  if (info.mtimeNs !== undefined) return Number(info.mtimeNs / 1_000_000n)
  return info.lastModified?.getTime()
}

const TYPE_LETTERS: Readonly<Record<FileInfo['entryType'], string>> = {
  file: '-',
  directory: 'd',
  symlink: 'l',
  fifo: 'p',
  socket: 's',
  'block-device': 'b',
  'character-device': 'c',
}

/** `rwxr-xr-x`, with `s` and `t` for set-id and sticky bits. */
export function permissionText(mode: number): string {
  const special = [mode & 0o4000, mode & 0o2000, mode & 0o1000]
  return [6, 3, 0]
    .map((shift, index) => {
      const bits = mode >> shift
      const execute = executeLetter((bits & 1) !== 0, special[index] !== 0, index === 2 ? 't' : 's')
      return `${bits & 4 ? 'r' : '-'}${bits & 2 ? 'w' : '-'}${execute}`
    })
    .join('')
}

function executeLetter(executable: boolean, special: boolean, letter: string): string {
  if (!special) return executable ? 'x' : '-'
  return executable ? letter : letter.toUpperCase()
}
