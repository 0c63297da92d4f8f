import { type ByteRange, KiB, lengthOf } from '../byte-range.ts'

/** One reader's run through a blob, as its reads show it. */
export interface Run {
  /** Where the furthest read of the run ended. */
  end: number
  /** Bytes that the run has advanced by, and more where it began with the blob. */
  evidenceBytes: number
  /** How far beyond `end` bytes are worth fetching; 0 before there is evidence. */
  windowBytes: number
  /** Up to where bytes have been fetched ahead. */
  frontier: number
}

/** Enough for the readers that one handle usually has at a time; more would blur random reads. */
const maxRuns = 4

/**
 * Reads that the kernel splits and issues together arrive out of order; a gap this small is still
 * the same run.
 */
const minToleranceBytes = 128 * KiB

/** Who begins with so much of a blob's beginning reads all of it, rather than a header, or here and there. */
const eagerBytes = 256 * KiB
/** And is believed as if it had read so many times as much. */
const eagerFactor = 4

/**
 * Tells sequential from random reads, several runs at a time. A run's window is twice what it has
 * advanced: it doubles as often as the run does, and a run that ends never cost more than three
 * times its own length. A read that continues no run begins one, with an empty window.
 */
export class SequenceDetector {
  readonly #maxWindowBytes: number
  /** Most recent first. */
  readonly #runs: Run[] = []

  constructor(maxWindowBytes: number) {
    this.#maxWindowBytes = maxWindowBytes
  }

  /** Takes note of a read and returns the run it belongs to. */
  observe(range: ByteRange): Run {
    const at = this.#runs.findIndex((run) => continues(run, range))
    const run = at < 0 ? this.#begin(range) : this.#advance(at, range)
    this.#runs.unshift(run)
    this.#runs.length = Math.min(this.#runs.length, maxRuns)
    return run
  }

  #begin(range: ByteRange): Run {
    const run = begin(range)
    if (range.start > 0 || range.end < eagerBytes) return run
    run.evidenceBytes *= eagerFactor
    run.windowBytes = Math.min(2 * run.evidenceBytes, this.#maxWindowBytes)
    return run
  }

  #advance(at: number, range: ByteRange): Run {
    const [run = begin(range)] = this.#runs.splice(at, 1)
    run.evidenceBytes += Math.max(range.end - run.end, 0)
    run.end = Math.max(run.end, range.end)
    run.windowBytes = Math.min(2 * run.evidenceBytes, this.#maxWindowBytes)
    return run
  }
}

function begin(range: ByteRange): Run {
  return { end: range.end, evidenceBytes: lengthOf(range), windowBytes: 0, frontier: 0 }
}

function continues(run: Run, range: ByteRange): boolean {
  const tolerance = Math.max(minToleranceBytes, 2 * lengthOf(range))
  return Math.abs(range.start - run.end) <= tolerance
}
