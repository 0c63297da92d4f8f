import type { AzureBlobFileSystem } from '../filesystem/azure-blob-file-system.ts'
import type { CliContext } from './context.ts'

/** Writes a remote file to standard output, no faster than its reader takes it. */
export async function readToOutput(
  fileSystem: AzureBlobFileSystem,
  path: string,
  { stdout, signal }: CliContext,
): Promise<void> {
  const reader = await fileSystem.open(path, 'r', { signal })
  try {
    for await (const data of reader) {
      signal.throwIfAborted()
      await stdout.write(data)
    }
  } finally {
    await reader.close()
  }
}

/** Makes standard input a remote file; nothing is stored when it breaks off. */
export async function writeFromInput(
  fileSystem: AzureBlobFileSystem,
  path: string,
  { stdin, signal }: CliContext,
): Promise<void> {
  const writer = await fileSystem.open(path, 'w', { signal })
  try {
    for await (const data of stdin) {
      signal.throwIfAborted()
      await writer.write(data as Uint8Array)
    }
    await writer.close()
  } finally {
    await writer.abort()
  }
}
