import { createSecureContext, type SecureContext } from 'node:tls'

/**
 * Who may sign the certificates of servers: whom Node trusts by itself, and `ca` (PEM) beside them. One context
 * serves all connections. Handing Node its own 140 roots over together with `ca` would take 20 ms.
 */
export function trust(ca?: string | Buffer): SecureContext {
  const context = createSecureContext()
  if (ca !== undefined) addAuthority(context, ca)
  return context
}

/**
 * No interface of Node's adds to what it trusts; its own code calls this method for each `ca` of a context. Until Node 22,
 * `NODE_EXTRA_CA_CERTS` is then left out.
 */
function addAuthority(
  { context }: { readonly context: { addCACert(pem: string | Buffer): void } },
  ca: string | Buffer,
): void {
  context.addCACert(ca)
}
