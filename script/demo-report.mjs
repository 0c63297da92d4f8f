// What script/demo prints.

let steps = 0
const startMs = performance.now()

/** One line of plain text. */
export function say(text = '') {
  console.log(text)
}

/** Announces the next step. */
export function step(text) {
  steps += 1
  const seconds = ((performance.now() - startMs) / 1000).toFixed(0)
  console.log(`\n[${steps}] ${text}  (${seconds} s)`)
}

/** A command or place to look at from another terminal. */
export function look(...lines) {
  for (const line of lines) console.log(`      ${line}`)
}

/** The rows of the main job, with a line under the head. */
export function printTable(head, rows) {
  const table = [head, ...rows.map((row) => row.map(String))]
  const widths = head.map((_, column) => Math.max(...table.map((row) => row[column].length)))
  const format = (row) =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column]),
      )
      .join('  ')
  console.log(`\n${format(head)}\n${widths.map((width) => '-'.repeat(width)).join('  ')}`)
  for (const row of table.slice(1)) console.log(format(row))
}
