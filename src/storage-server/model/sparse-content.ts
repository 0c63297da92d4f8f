import type { Content, Extent } from './extent.ts'

/** A stretch of bytes: `end` is the first one after it. */
export interface Stretch {
  readonly start: number
  readonly end: number
}

/** Zeros that take no room. */
export function zeroExtent(sizeBytes: number): Extent {
  return { sizeBytes, zeros: true, read: (start, end) => Buffer.alloc(end - start) }
}

/** `[start, end)` of an extent, which it shares. */
export function sliceExtent(extent: Extent, start: number, end: number): Extent {
  if (start === 0 && end === extent.sizeBytes) return extent
  if (extent.zeros === true) return zeroExtent(end - start)
  const { of, start: base } = extent.part ?? { of: extent, start: 0 }
  const first = base + start
  return {
    sizeBytes: end - start,
    part: { of, start: first },
    read: (from, to) => of.read(first + from, first + to),
  }
}

/** Content in which `[start, start + extent.sizeBytes)` is that of `extent`. */
export function overwrite(content: Content, start: number, extent: Extent): Content {
  const end = start + extent.sizeBytes
  return {
    sizeBytes: content.sizeBytes,
    extents: [
      ...cut(content, { start: 0, end: start }),
      extent,
      ...cut(content, { start: end, end: content.sizeBytes }),
    ],
  }
}

/** Content cut, or filled with zeros, to `sizeBytes`. */
export function resized(content: Content, sizeBytes: number): Content {
  if (sizeBytes <= content.sizeBytes) {
    return { sizeBytes, extents: cut(content, { start: 0, end: sizeBytes }) }
  }
  return {
    sizeBytes,
    extents: [...content.extents, zeroExtent(sizeBytes - content.sizeBytes)],
  }
}

/** The extents of a stretch of content, the first and last cut to it. */
export function cut({ extents }: Content, { start, end }: Stretch): readonly Extent[] {
  const pieces: Extent[] = []
  let at = 0
  for (const extent of extents) {
    const [from, to] = [Math.max(start - at, 0), Math.min(end - at, extent.sizeBytes)]
    if (from < to) pieces.push(sliceExtent(extent, from, to))
    at += extent.sizeBytes
  }
  return pieces
}

/** Sorted, disjoint stretches with `added` among them; those that touch are joined. */
export function withStretch(stretches: readonly Stretch[], added: Stretch): readonly Stretch[] {
  const before = stretches.filter(({ end }) => end < added.start)
  const after = stretches.filter(({ start }) => start > added.end)
  const touching = stretches.slice(before.length, stretches.length - after.length)
  const joined = {
    start: Math.min(added.start, ...touching.map(({ start }) => start)),
    end: Math.max(added.end, ...touching.map(({ end }) => end)),
  }
  return [...before, joined, ...after]
}

/** The stretches without `[removed.start, removed.end)`. */
export function withoutStretch(
  stretches: readonly Stretch[],
  removed: Stretch,
): readonly Stretch[] {
  return stretches.flatMap(({ start, end }) =>
    [
      { start, end: Math.min(end, removed.start) },
      { start: Math.max(start, removed.end), end },
    ].filter((rest) => rest.start < rest.end),
  )
}

/** The parts of the stretches within a window. */
export function clipped(stretches: readonly Stretch[], window: Stretch): readonly Stretch[] {
  return stretches
    .map(({ start, end }) => ({
      start: Math.max(start, window.start),
      end: Math.min(end, window.end),
    }))
    .filter(({ start, end }) => start < end)
}

/** Stretches whose bytes were written in `after` since `before`: other extents stand there. */
export function rewritten(before: Content, after: Content): readonly Stretch[] {
  const former = piecesOf(before)
  let stretches: readonly Stretch[] = []
  for (const piece of piecesOf(after)) {
    for (const part of changedParts(piece, former)) stretches = withStretch(stretches, part)
  }
  if (before.sizeBytes <= after.sizeBytes) return stretches
  return withStretch(stretches, { start: after.sizeBytes, end: before.sizeBytes })
}

interface Piece extends Stretch {
  readonly of: Extent | 'zeros'
  /** Position in the content less position in `of`: the same bytes have the same. */
  readonly shift: number
}

function piecesOf({ extents }: Content): readonly Piece[] {
  let at = 0
  return extents.map((extent) => {
    const start = at
    at += extent.sizeBytes
    if (extent.zeros === true) return { start, end: at, of: 'zeros', shift: 0 }
    const { of, start: base } = extent.part ?? { of: extent, start: 0 }
    return { start, end: at, of, shift: start - base }
  })
}

function changedParts(piece: Piece, former: readonly Piece[]): readonly Stretch[] {
  let rest: readonly Stretch[] = [{ start: piece.start, end: piece.end }]
  for (const old of former) {
    if (old.of === piece.of && old.shift === piece.shift) rest = withoutStretch(rest, old)
  }
  return rest
}
