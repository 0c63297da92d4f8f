import t from 'tap'
import { whyNoMounts } from '../support/temp-mount.ts'
import { nameCases } from './cases/names.ts'
import { pathCases } from './cases/paths.ts'
import { compareWithDrive } from './compare.ts'
import { nameDifferences } from './differences.ts'
import { whyNoCompiler } from './run-cases.ts'

t.test(
  'paths and names on the drive give what they give on a local file system',
  { skip: whyNoMounts() || whyNoCompiler() },
  (t) => compareWithDrive(t, [...pathCases(), ...nameCases()], nameDifferences),
)
