"""fsspec's abstract suite as the package has it, over the bridge."""

import posixpath

import pytest

import fsspec.tests.abstract as abstract


class Fixtures(abstract.AbstractFixtures):
    @pytest.fixture
    def fs(self, abfs):
        return abfs

    @pytest.fixture
    def fs_join(self):
        return posixpath.join

    @pytest.fixture
    def fs_path(self, empty_place):
        return empty_place


class TestCopy(Fixtures, abstract.AbstractCopyTests):
    pass


class TestGet(Fixtures, abstract.AbstractGetTests):
    pass


class TestPut(Fixtures, abstract.AbstractPutTests):
    pass


class TestOpen(Fixtures, abstract.AbstractOpenTests):
    pass


class TestPipe(Fixtures, abstract.AbstractPipeTests):
    pass
