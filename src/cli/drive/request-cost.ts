import { usageError } from '../usage.ts'

/** How Azure bills a request: by its class, in ten thousands. */
export type RequestClass = 'write' | 'list' | 'read' | 'other' | 'free'

/** US dollars for ten thousand requests of a class. */
export type Prices = Readonly<Record<Exclude<RequestClass, 'free'>, number>>

/**
 * Typed in in November 2026, unverified: list prices of a general-purpose v2 account, hot tier, locally redundant, East US. Other regions, tiers
 * and redundancies differ up to tenfold, and transfer between regions and storage are not in it: it is
 * there to compare, not to pay by.
 */
export const listPrices: Prices = { write: 0.05, list: 0.05, read: 0.004, other: 0.004 }

/** Reads `write=0.065,read=0.005`: what is not named keeps its list price. */
export function parsePrices(text: string): Prices {
  const prices: Record<keyof Prices, number> = { ...listPrices }
  for (const part of text.split(',')) {
    const [, name, dollars] = /^(write|list|read|other)=(\d+(?:\.\d+)?)$/.exec(part.trim()) ?? []
    if (!isPriced(name)) {
      throw usageError(
        `--prices must be dollars for 10,000 requests, such as write=0.05,list=0.05,read=0.004,other=0.004, not '${text}'`,
      )
    }
    prices[name] = Number(dollars)
  }
  return prices
}

function isPriced(name: string | undefined): name is keyof Prices {
  return name !== undefined && Object.hasOwn(listPrices, name)
}

/** The class of an operation as `HttpEvent` names it; what is not storage's is free. */
export function requestClass(operation: string): RequestClass {
  return classes[operation] ?? (operation.startsWith('connector.') ? 'free' : 'other')
}

/** The dollars that `requestsByOperation` cost, roughly. */
export function estimateDollars(
  requestsByOperation: Readonly<Record<string, number>>,
  prices: Prices = listPrices,
): number {
  return Object.entries(requestsByOperation).reduce((sum, [name, count]) => {
    const of = requestClass(name)
    return of === 'free' ? sum : sum + (count * prices[of]) / 10_000
  }, 0)
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
