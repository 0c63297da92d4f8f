import { quoted } from './azure-request.ts'
import { parseHttpDate } from './list-values.ts'
import type { ContainerProperties } from './store.ts'
import { CLOSE, END, XmlCursor } from './xml-cursor.ts'

/** One page of the containers of an account. */
export interface ContainerPage {
  readonly containers: readonly ContainerProperties[]
  readonly continuation: string | undefined
}

/**
 * Reads one page of List Containers (XML, UTF-8), as `scanListPage` does one of blobs. Throws `SyntaxError` when the
 * page ends early or is not of this form.
 */
export function scanContainerPage(page: Buffer): ContainerPage {
  return new ContainerScanner().scan(page)
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] }

class ContainerScanner extends XmlCursor {
  scan(page: Buffer): ContainerPage {
    this.look(page)
    const containers: ContainerProperties[] = []
    let continuation = ''
    for (let tag = this.tag(); tag !== END; tag = this.tag()) {
      if (tag === CLOSE) return { containers, continuation: continuation || undefined }
      if (this.is('Containers')) this.#containers(containers)
      else if (this.is('NextMarker')) continuation = this.value()
      else if (!this.is('EnumerationResults')) this.skip()
    }
    throw new SyntaxError('the list page ends before its closing tag')
  }

  #containers(found: ContainerProperties[]): void {
    if (this.isEmpty) return
    while (this.child()) {
      if (this.is('Container')) found.push(this.#container())
      else this.skip()
    }
  }

  #container(): ContainerProperties {
    const container: Mutable<ContainerProperties> = { name: '', etag: '', lastModifiedMs: 0 }
    if (this.isEmpty) return container
    while (this.child()) {
      if (this.is('Name')) container.name = this.value()
      else if (this.is('Properties')) this.#properties(container)
      else if (this.is('Metadata')) container.metadata = this.#metadata()
      else this.skip()
    }
    return container
  }

  #properties(container: Mutable<ContainerProperties>): void {
    if (this.isEmpty) return
    while (this.child()) {
      if (this.is('Last-Modified')) container.lastModifiedMs = parseHttpDate(this.value())
      else if (this.is('Etag')) container.etag = quoted(this.value())
      else this.skip()
    }
  }

  #metadata(): Readonly<Record<string, string>> {
    const metadata: Record<string, string> = {}
    if (this.isEmpty) return metadata
    while (this.child()) {
      // Headers lose the case of keys, so that one listed and one asked for would differ.
      const key = this.text.slice(this.nameStart, this.nameEnd).toLowerCase()
      metadata[key] = this.value()
    }
    return metadata
  }
}
