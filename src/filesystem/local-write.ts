export { writeFully } from '../transfer/write-fully.ts'
