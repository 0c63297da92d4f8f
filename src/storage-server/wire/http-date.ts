let last = { second: -1, text: '' }

/** RFC 1123 time of milliseconds since the epoch, as headers and listings have it. */
export function httpDate(ms: number): string {
  const second = Math.floor(ms / 1000)
  // Neighbours often share their second, and formatting costs more than the rest of an entry.
  if (second !== last.second) last = { second, text: new Date(ms).toUTCString() }
  return last.text
}
