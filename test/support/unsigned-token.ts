import { bearerCredential, type Credential } from '../../src/credential/credential.ts'

/**
 * A token as Azurite's `--oauth basic` accepts it: it checks issuer, audience and times, and never
 * the signature.
 */
export function unsignedToken(account: string, nowMs: number, lifeMs = 3_600_000): Credential {
  const seconds = Math.floor(nowMs / 1000)
  const claims = {
    iss: 'https://sts.windows.net/ab1f708d-50f6-404c-a006-d71b2ac7a606/',
    aud: `https://${account}.blob.core.windows.net`,
    tid: 'ab1f708d-50f6-404c-a006-d71b2ac7a606',
    oid: '3f1e7b0c-7f0a-4c36-9f0d-6f3f0f6f7c11',
    iat: seconds - 60,
    nbf: seconds - 60,
    exp: Math.floor((nowMs + lifeMs) / 1000),
  }
  const token = `${encode({ alg: 'none', typ: 'JWT' })}.${encode(claims)}.c2ln`
  return bearerCredential(token, nowMs + lifeMs)
}

function encode(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url')
}
