import type { Command } from 'commander'
import type { DockerVerb } from '../../agent/docker-credential.ts'
import type { KubernetesFlags } from '../agent/credential.ts'
import { addConnectionOptions, type CliContext } from '../context.ts'

const DOCKER_HELP = `
Docker runs this as docker-credential-abfs, which is installed beside abfs. It asks the connector
for a token of the registry at each pull and push, and stores none. What is not a registry of
Azure's (NAME.azurecr.io) is left to Docker, without a question to anyone.

In ~/.docker/config.json:
  { "credHelpers": { "myregistry.azurecr.io": "abfs" } }

Settings:
  ABFS_CONNECTOR_URL, ABFS_CONNECTOR_KEY_FILE   the connector and the caller's key
  ABFS_REGISTRIES        the only registries to serve, separated by commas; list prints them
  ABFS_REGISTRY_SCOPE    what to ask for, such as repository:team/app:pull

Example:
  echo myregistry.azurecr.io | abfs credential docker get | jq .Username`

const KUBERNETES_HELP = `
kubectl runs this when it needs a token, and keeps the token until it expires. In the kubeconfig:
  users:
  - name: abfs
    user:
      exec:
        apiVersion: client.authentication.k8s.io/v1
        interactiveMode: Never
        command: abfs
        args: [credential, kubernetes, --cluster, mygroup/mycluster]

Example:
  abfs credential kubernetes --cluster mygroup/mycluster | jq .status.expirationTimestamp`

/** Adds `abfs credential`. */
export function defineCredential(program: Command, context: CliContext): void {
  const group = program
    .command('credential')
    .description('Answer programs that ask a helper for credentials: Docker, kubectl.')
  defineDocker(group, context)
  defineKubernetes(group, context)
}

function defineDocker(group: Command, context: CliContext): void {
  const verbs: readonly DockerVerb[] = ['get', 'list', 'store', 'erase', 'version']
  const docker = group
    .command('docker')
    .description('Be a credential helper of Docker.')
    .addHelpText('after', DOCKER_HELP)
  docker
    .addArgument(docker.createArgument('<verb>', 'what Docker asks').choices(verbs))
    .action(async (verb: DockerVerb) => {
      const { answerDockerVerb } = await import('../agent/credential.ts')
      await answerDockerVerb(verb, versionOf(group), { command: docker, context })
    })
  addConnectionOptions(docker)
}

function defineKubernetes(group: Command, context: CliContext): void {
  const kubernetes = group
    .command('kubernetes')
    .description('Be an exec credential plugin of kubectl.')
    .requiredOption('--cluster <name>', '[GROUP/]CLUSTER, as the connector names it')
    .option('--server-id <id>', 'the application of the API server; that of AKS when absent')
    .addHelpText('after', KUBERNETES_HELP)
    .action(async (flags: KubernetesFlags) => {
      const { answerKubernetes } = await import('../agent/credential.ts')
      await answerKubernetes(flags, { command: kubernetes, context })
    })
  addConnectionOptions(kubernetes)
}

function versionOf(group: Command): string {
  return group.parent?.version() ?? ''
}
