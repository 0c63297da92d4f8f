import { stringify } from 'yaml'
import type { Cluster } from './inventory.ts'

/** Whose kubeconfig it is. */
export interface KubeconfigOptions {
  readonly caPem: string
  readonly tenantId: string
  readonly isAdmin: boolean
}

const serverApplication = '6dae42f8-4368-4678-94ff-3960e28e3630'
// Microsoft's application for kubelogin.
const clientApplication = '80faf920-1908-4b52-b5ef-a8e7bedfc67a'

/**
 * The kubeconfig that Azure gives for a cluster that uses Entra: kubelogin for users; for the
 * administrator a certificate, which here is none.
 */
export function kubeconfigOf(cluster: Cluster, options: KubeconfigOptions): string {
  const { caPem, isAdmin } = options
  const name = isAdmin ? `${cluster.name}-admin` : cluster.name
  const user = `cluster${isAdmin ? 'Admin' : 'User'}_${cluster.group}_${cluster.name}`
  const ca = Buffer.from(caPem, 'utf8').toString('base64')
  const server = cluster.url.href.replace(/\/$/, '')
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: cluster.name, cluster: { server, 'certificate-authority-data': ca } }],
    contexts: [{ name, context: { cluster: cluster.name, user } }],
    'current-context': name,
    preferences: {},
    users: [{ name: user, user: isAdmin ? administrator() : kubelogin(options) }],
  })
}

function kubelogin({ tenantId }: KubeconfigOptions): object {
  const flags = ['--environment', 'AzurePublicCloud', '--tenant-id', tenantId]
  const ids = ['--server-id', serverApplication, '--client-id', clientApplication]
  return {
    exec: {
      apiVersion: 'client.authentication.k8s.io/v1beta1',
      command: 'kubelogin',
      args: ['get-token', ...flags, ...ids, '--login', 'devicecode'],
      env: null,
      provideClusterInfo: false,
    },
  }
}

function administrator(): object {
  const none = Buffer.from('no certificate: a sandbox has no administrator').toString('base64')
  return { 'client-certificate-data': none, 'client-key-data': none }
}
