import type { Command } from 'commander'

// Flags of `abfs mount`, by what they are about.

/** The flags that say whose files are, and who may what. */
export function addOwnerOptions(command: Command): void {
  command
    .option('--uid <number>', 'owner of files that have none (default: you)')
    .option('--gid <number>', 'group of files that have none (default: yours)')
    .option('--file-mode <bits>', 'permissions of files that have none', '644')
    .option('--dir-mode <bits>', 'permissions of directories that have none', '755')
    .option(
      '--posix-attrs <use>',
      'show and write (write) the metadata of modes, owners and times, only show it (read), or off',
      'write',
    )
}

/** The flags that say how long what was seen is believed. */
export function addBeliefs(command: Command): void {
  command
    .option(
      '--attr-ttl <seconds>',
      'how long names and attributes are believed; 0 asks each time',
      '1',
    )
    .option(
      '--change-feed [seconds]',
      "read the account's change feed so often (default: 60), and believe the rest for --attr-ttl",
    )
}

/** The flags that hide files, and those that hold a drive back. */
export function addRestraints(command: Command): void {
  command
    .option(
      '--include <pattern>',
      "of a read-only drive: show only files like '*.parquet', or with a slash 'train/**'; again for more",
      gathered,
    )
    .option(
      '--exclude <pattern>',
      'show no files and directories like it; again for more',
      gathered,
    )
    .option(
      '--filter <condition>',
      'show only files like size>1000 && format=csv, as blobfuse2 has it',
    )
    .option('--max-read-rate <size>', 'bytes a second that Azure is asked for at most, such as 50M')
    .option('--max-write-rate <size>', 'bytes a second that it is sent at most')
    .option('--max-requests-per-second <number>', 'requests that it is sent at most')
}

const gathered = (word: string, before: readonly string[] = []): string[] => [...before, word]

/** The flag by which a drive outlives its daemon, and those that its processes start each other with. */
export function addProcessOptions(command: Command): void {
  command.option(
    '--failover',
    'when the daemon ends, another takes the drive over, with the files that are open',
  )
  const role = command.createOption('--serve-kept <role>').choices(['first', 'next'])
  command.addOption(role.hideHelp())
  command.addOption(command.createOption('--serve-launcher').hideHelp())
}

/** The flags that say where a drive tells what it does. */
export function addReportOptions(command: Command): void {
  command
    .option('--log-file <file>', 'where the log goes')
    .option('--log-level <level>', 'trace, debug, info, warn, error or silent (ABFS_LOG_LEVEL)')
    .option('--access-log <file>', 'one JSON line for each call of a program')
    .option('--slow <seconds>', 'warn of calls that take longer, with the ids of requests', '0')
    .option(
      '--prices <list>',
      'dollars for 10,000 requests, for the estimate: write=0.05,list=0.05,read=0.004',
    )
    .option('--metrics-listen <host:port>', 'serve metrics for Prometheus, and /health')
    .option(
      '--otlp-endpoint <url>',
      'send metrics by OTLP (OTEL_EXPORTER_OTLP_ENDPOINT, and others of its kind)',
    )
    .option('--health-file <file>', 'rewritten every ten seconds while the drive serves')
    .option(
      '--stats-dir [name]',
      'a directory at the top of the drive, in no listing, with stats, metrics, health and unsaved (default name: .abfs)',
    )
}
