import t from 'tap'
import { hierarchyConformance } from '../conformance/hierarchy.ts'
import { hierarchicalServer } from '../support/hierarchical-server.ts'

void t.test('on a host for each face', async (t) => {
  const { blobs, hierarchy } = await hierarchicalServer(t)
  hierarchyConformance(t, async () => ({ blobs, hierarchy }))
})

void t.test('on one URL for both faces', async (t) => {
  const { blobs, hierarchy } = await hierarchicalServer(t, { pathStyle: true })
  hierarchyConformance(t, async () => ({ blobs, hierarchy }))
})
