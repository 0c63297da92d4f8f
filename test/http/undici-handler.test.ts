import t from 'tap'
import { undiciHandler } from '../../src/http/undici-handler.ts'
import { httpHandlerConformance } from '../conformance/http-handler.ts'
import { httpBench } from '../support/http-bench.ts'
import { generateServerCertificate } from '../support/server-certificate.ts'

const certificate = await generateServerCertificate()

httpHandlerConformance(t, httpBench(undiciHandler))
httpHandlerConformance(t, httpBench(undiciHandler, certificate))
