import itertools
import os

import pytest

from abfs_bridge import AbfsFileSystem, Wire, connect

_numbers = itertools.count()


@pytest.fixture(scope="session")
def wire():
    return Wire(connect())


@pytest.fixture(scope="session")
def abfs(wire):
    return AbfsFileSystem(wire)


@pytest.fixture
def empty_place():
    """A place that no other test has used."""
    return f"{os.environ['ABFS_BRIDGE_ROOT']}/case-{next(_numbers)}"
