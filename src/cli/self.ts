/**
 * The program and arguments that start `abfs` again with `argv`, as this process was started. The
 * two dashes keep Node from taking an option of ours, such as `--env-file`, for its own.
 */
export function selfCommand(argv: readonly string[]): readonly [string, string[]] {
  const [, script = ''] = process.argv
  return [process.execPath, [...process.execArgv, '--', script, ...argv]]
}
