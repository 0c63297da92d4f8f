/*
 * The protocols of managed identity: App Service (2019-08-01), Azure Machine Learning (2017-09-01),
 * the instance metadata service of a virtual machine (IMDS, 2018-02-01) and Cloud Shell.
 */
import {
  checkVersion,
  invalid,
  type Protocol,
  readAsk,
  refusalFields,
  single,
  tokenFields,
} from './protocol.ts'
import { Refusal } from './refusal.ts'
import { isSecret } from './secret-text.ts'

/** App Service: `X-IDENTITY-HEADER` repeats the secret of `IDENTITY_HEADER`. */
export function appService(secret: string): Protocol {
  return {
    name: 'app-service',
    read({ headers, fields }) {
      if (!isSecret(textOf(headers['x-identity-header']), secret)) {
        throw unauthorized('X-IDENTITY-HEADER', 'IDENTITY_HEADER')
      }
      checkVersion(fields, '2019-08-01')
      return readAsk(fields, ['client_id', 'object_id', 'principal_id', 'mi_res_id'])
    },
    format: tokenFields,
    formatRefusal: refusalFields,
  }
}

/** Azure Machine Learning, and App Service before 2019: `secret` repeats that of `MSI_SECRET`. */
export function azureMl(secret: string): Protocol {
  return {
    name: 'azure-ml',
    read({ headers, fields }) {
      if (!isSecret(textOf(headers['secret']), secret)) throw unauthorized('secret', 'MSI_SECRET')
      checkVersion(fields, '2017-09-01')
      return readAsk(fields, ['clientid'])
    },
    format: tokenFields,
    formatRefusal: refusalFields,
  }
}

/** IMDS: a secret in the path if there is one, checked by whoever routes; `Metadata: true` always. */
export function imds(): Protocol {
  return {
    name: 'imds',
    read({ headers, fields }) {
      checkMetadata(textOf(headers['metadata']))
      checkVersion(fields, '2018-02-01')
      return readAsk(fields, ['client_id', 'object_id', 'msi_res_id', 'mi_res_id'])
    },
    format(ask, token, nowMs) {
      const { access_token, client_id, expires_in, ...rest } = tokenFields(ask, token, nowMs)
      const { expires_on, not_before, resource, token_type } = rest
      const life = { expires_in, expires_on, ext_expires_in: expires_in, not_before }
      return { access_token, client_id, ...life, resource, token_type }
    },
    formatRefusal: ({ word, message }) => ({ error: word, error_description: message }),
  }
}

/** Cloud Shell: a form, posted; no identity can be named. */
export function cloudShell(): Protocol {
  return {
    name: 'cloud-shell',
    read({ headers, fields }) {
      checkMetadata(textOf(headers['metadata']))
      const named = ['client_id', 'object_id', 'msi_res_id', 'mi_res_id'].some(
        (field) => single(fields, field) !== undefined,
      )
      if (named) throw invalid('Cloud Shell has one identity: name none')
      return readAsk(fields, [])
    },
    format: tokenFields,
    formatRefusal: refusalFields,
  }
}

function checkMetadata(value: string | undefined): void {
  if (value === 'true') return
  throw invalid('Required metadata header not specified')
}

function unauthorized(header: string, variable: string): Refusal {
  return new Refusal(401, 'unauthorized', {
    message: `the header ${header} is missing or is not the value of ${variable}: the agent that this environment was made for may have ended`,
  })
}

function textOf(value: string | string[] | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined
}
