#!/usr/bin/env -S -u NODE_CHANNEL_FD node --
// Docker finds a credential helper by the name docker-credential-abfs, and passes the verb alone.
process.argv.splice(2, 0, 'credential', 'docker')
await import('./main.ts')
