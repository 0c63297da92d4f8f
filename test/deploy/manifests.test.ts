import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Deployment } from 'kubernetes-models/apps/v1'
import { NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1'
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1'
import { ConfigMap, Service, ServiceAccount } from 'kubernetes-models/v1'
import { type Test, test } from 'tap'
import { parseAllDocuments } from 'yaml'
import { parseConnectorConfig } from '../../src/connector/config.ts'

const run = promisify(execFile)
const root = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url))
const helm = process.env['HELM'] ?? 'helm'
const hasHelm = await run(helm, ['version']).then(
  () => true,
  () => false,
)
const noHelm = hasHelm
  ? false
  : 'needs helm 3 (HELM names it; `go install helm.sh/helm/v3/cmd/helm@latest` builds it)'
const text = readFileSync(root('deploy/kubernetes/connector.yaml'), 'utf8')

interface Manifest {
  readonly kind: string
  readonly metadata: { readonly name: string; readonly namespace: string }
}

function manifestsOf(yaml: string): readonly Manifest[] {
  return parseAllDocuments(yaml)
    .map((document): Manifest | null => document.toJS())
    .filter((each) => each !== null)
}

function only(manifests: readonly Manifest[], kind: string): Manifest {
  const found = manifests.filter((each) => each.kind === kind)
  if (found.length !== 1 || found[0] === undefined) throw new Error(`${found.length} ${kind}`)
  return found[0]
}

async function render(...flags: string[]): Promise<string> {
  const chart = root('deploy/helm/abfs-connector')
  const argv = ['template', 'abfs', chart, '--namespace', 'abfs', '--kube-version', '1.30.0']
  return (await run(helm, [...argv, ...flags])).stdout
}

/** By the schemas of Kubernetes, then by what the parts say of each other. */
function checkAll(t: Test, manifests: readonly Manifest[]): void {
  const deployment = new Deployment(Object(only(manifests, 'Deployment')))
  const service = new Service(Object(only(manifests, 'Service')))
  const account = new ServiceAccount(Object(only(manifests, 'ServiceAccount')))
  const config = new ConfigMap(Object(only(manifests, 'ConfigMap')))
  const budget = new PodDisruptionBudget(Object(only(manifests, 'PodDisruptionBudget')))
  const network = new NetworkPolicy(Object(only(manifests, 'NetworkPolicy')))
  for (const each of [deployment, service, account, config, budget, network]) {
    t.doesNotThrow(() => each.validate(), each.kind)
    t.equal(each.metadata?.namespace, 'abfs', each.kind)
  }
  t.equal(manifests.length, 6)

  const pod = deployment.spec?.template
  const labels = pod?.metadata?.labels ?? {}
  for (const selector of [
    deployment.spec?.selector.matchLabels,
    service.spec?.selector,
    budget.spec?.selector?.matchLabels,
    network.spec?.podSelector?.matchLabels,
  ]) {
    t.match(labels, selector ?? { none: 'given' })
  }
  t.equal(labels['azure.workload.identity/use'], 'true')
  t.ok(account.metadata?.annotations?.['azure.workload.identity/client-id'])
  t.equal(pod?.spec?.serviceAccountName, account.metadata?.name)
  t.equal(deployment.spec?.replicas, 2)

  const [container] = pod?.spec?.containers ?? []
  t.match(pod?.spec?.securityContext, {
    runAsNonRoot: true,
    seccompProfile: { type: 'RuntimeDefault' },
  })
  t.match(container?.securityContext, {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
  })
  const [port] = container?.ports ?? []
  t.equal(service.spec?.ports?.[0]?.targetPort, port?.name)
  t.same(container?.livenessProbe?.httpGet, { path: '/healthz', port: 'https', scheme: 'HTTPS' })
  t.same(container?.readinessProbe?.httpGet, { path: '/readyz', port: 'https', scheme: 'HTTPS' })
  t.equal(network.spec?.ingress?.[0]?.ports?.[0]?.port, port?.name)

  const mounts = new Map(container?.volumeMounts?.map((each) => [each.name, each.mountPath]))
  t.same([...mounts.keys()].sort(), (pod?.spec?.volumes ?? []).map(({ name }) => name).sort())
  const volume = pod?.spec?.volumes?.find(({ name }) => name === 'config')
  t.equal(volume?.configMap?.name, config.metadata?.name)
  const [file = ''] = Object.keys(config.data ?? {})
  t.ok(container?.args?.includes(`${mounts.get('config')}/${file}`))

  const parsed = parseConnectorConfig(config.data?.[file] ?? '', { file })
  t.equal(parsed.listen.port, port?.containerPort)
  t.ok(parsed.listen.tls?.certFile.startsWith(`${mounts.get('tls')}/`))
  t.match(parsed.identity, { kind: 'workload-identity' })
  t.equal(parsed.audit, 'stdout')
}

test('the manifests are Kubernetes’s, fit each other, and their configuration is one', (t) => {
  checkAll(t, manifestsOf(text))
  t.end()
})

test('a manifest with a mistake is found', (t) => {
  const wrong = manifestsOf(text.replace('replicas: 2', 'replicas: two'))

  t.throws(() => new Deployment(Object(only(wrong, 'Deployment'))).validate())
  t.end()
})

test('the manifests are what the chart renders', { skip: noHelm }, async (t) => {
  t.same(manifestsOf(await render()), manifestsOf(text))
})

test('the chart renders with other values, and passes its lint', { skip: noHelm }, async (t) => {
  const values = ['--set', 'image.tag=1.2.3', '--set', 'tls.secretName=other']
  const rendered = manifestsOf(await render(...values))

  checkAll(t, rendered)
  const deployment = new Deployment(Object(only(rendered, 'Deployment')))
  t.equal(deployment.spec?.template.spec?.containers[0]?.image, 'abfs-connector:1.2.3')
  t.notMatch(await render('--set', 'networkPolicy.enabled=false'), /NetworkPolicy/)
  await t.resolves(run(helm, ['lint', '--strict', root('deploy/helm/abfs-connector')]))
})

test('the chart sends metrics where it is told, and lets them out', { skip: noHelm }, async (t) => {
  const endpoint = 'http://collector.monitoring.svc:4318'
  const values = ['--set', `otlp.endpoint=${endpoint}`, '--set', 'otlp.headersSecretName=otlp']
  const rendered = manifestsOf(await render(...values))

  checkAll(t, rendered)
  const deployment = new Deployment(Object(only(rendered, 'Deployment')))
  const secretKeyRef = { name: 'otlp', key: 'headers' }
  t.match(deployment.spec?.template.spec?.containers[0]?.env, [
    { name: 'ABFS_LOG_LEVEL' },
    { name: 'OTEL_EXPORTER_OTLP_ENDPOINT', value: endpoint },
    { name: 'OTEL_EXPORTER_OTLP_HEADERS', valueFrom: { secretKeyRef } },
  ])
  const network = new NetworkPolicy(Object(only(rendered, 'NetworkPolicy')))
  t.match(network.spec?.egress?.at(-1)?.ports, [{ port: 4318, protocol: 'TCP' }])
})

test('the image copies what is there, runs what the build makes, and is nobody’s root', (t) => {
  const dockerfile = readFileSync(root('deploy/Dockerfile'), 'utf8')
  const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, names = '']) =>
    names.split(' '),
  )
  t.ok(copied.length >= 5)
  for (const name of copied) t.ok(existsSync(root(name)), name)
  t.match(dockerfile, /^USER 10001:10001$/m)
  const { bin } = JSON.parse(readFileSync(root('package.json'), 'utf8'))
  t.ok(dockerfile.includes(`/app/${bin.abfs}`))
  t.end()
})
