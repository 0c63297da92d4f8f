import t from 'tap'
import { whyNoMounts } from '../support/temp-mount.ts'
import { attributeCases } from './cases/attributes.ts'
import { contentCases } from './cases/content.ts'
import { openingCases } from './cases/opening.ts'
import { timeCases } from './cases/times.ts'
import { compareWithDrive } from './compare.ts'
import { fileDifferences } from './differences.ts'
import { whyNoCompiler } from './run-cases.ts'

const cases = [...attributeCases(), ...openingCases(), ...contentCases(), ...timeCases()]

t.test(
  'files, their content, attributes and times on the drive are those of a local file system',
  { skip: whyNoMounts() || whyNoCompiler() },
  (t) => compareWithDrive(t, cases, fileDifferences),
)
