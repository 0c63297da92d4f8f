/** How Azure bills a request: by its class, in ten thousands. */
export type RequestClass = 'write' | 'list' | 'read' | 'other' | 'free'

/**
 * US dollars for ten thousand requests of a class: list prices of a general-purpose v2 account, hot
 * tier, locally redundant, East US. Other regions, tiers and redundancies differ up to tenfold, and
 * transfer between regions and storage are not in it: it is there to compare, not to pay by.
 */
export const dollarsPerTenThousand: Readonly<Record<RequestClass, number>> = {
  write: 0.05,
  list: 0.05,
  read: 0.004,
  other: 0.004,
  free: 0,
}

/** The class of an operation as `HttpEvent` names it; what is not storage's is free. */
export function requestClass(operation: string): RequestClass {
  return classes[operation] ?? (operation.startsWith('connector.') ? 'free' : 'other')
}

/** The dollars that `requestsByOperation` cost, roughly. */
export function estimateDollars(requestsByOperation: Readonly<Record<string, number>>): number {
  return Object.entries(requestsByOperation).reduce(
    (sum, [name, count]) => sum + (count * dollarsPerTenThousand[requestClass(name)]) / 10_000,
    0,
  )
}

const classes: Readonly<Record<string, RequestClass>> = {
  'blob.get': 'read',
  'blob.list': 'list',
  'container.list': 'list',
  'container.create': 'list',
  'blob.delete': 'free',
  'container.delete': 'free',
  'blob.put': 'write',
  'blob.stageBlock': 'write',
  'blob.stageBlockFrom': 'write',
  'blob.commitBlocks': 'write',
  'blob.copy': 'write',
  'path.append': 'write',
  'path.flush': 'write',
  'path.rename': 'write',
  'path.list': 'list',
}
