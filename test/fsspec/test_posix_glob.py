"""Patterns of fsspec's POSIX family: what abfs finds is what Python's glob and bash find on a disk.

The rows have no expected results of their own. Both oracles answer for a tree of files on the local
disk, must agree with each other, and then with abfs on the same tree.
"""

import glob
import os
import re
import subprocess

import pytest

SPECIAL = "\\.+()|^${}"
# Characters that the service cannot keep in names: what has them is left out of the tree.
REFUSED = os.environ["ABFS_BRIDGE_REFUSED"]

# Directories of the tree; each holds two files.
DIRECTORIES = [
    "",
    "n0",
    "n0/n1",
    "n0/n1/n2",
    "n0/n2",
    "n0/n2/n1",
    "n0/n2/n1/n3",
    "n1",
    "n1/n0",
]
FILES = [f"{directory}/n0.{end}".lstrip("/") for directory in DIRECTORIES for end in ("j", "y")]
FILES += ["n1.j", "n1.y"]
FILES += [f"odd/f{character}o.t" for character in SPECIAL if character not in REFUSED]

# One row of the family each: names and classes, then the same ends below four beginnings.
NAMES = ["missing", "n0.j", "n0", "n0/", "n1/n0.y"]
CLASSES = [
    "n0/n[1-2]",
    "n0/n[1-2]/",
    "n0/n[1-2]/*",
    "n0/n[1-2]/*.[j]*",
    "n0/n[!1]",
    "n0/n[!1]/*",
    "n?.j",
]
ODD = [f"odd/f{character}o.*" for character in SPECIAL]
TAILS = ["*", "*.y", "*/"]
BELOW_ROOT = [*TAILS, "**", "**/", "*/*.y", "**/*.y"]
BELOW_NAME = [
    f"{start}/n1/{tail}" for tail in [*TAILS, "**", "**/"] for start in ("*", "**")
]
PATTERNS = [
    *NAMES,
    *CLASSES,
    *ODD,
    *BELOW_ROOT,
    *BELOW_NAME,
    *(f"n0/{pattern}" for pattern in [*BELOW_ROOT, *BELOW_NAME]),
]


def relative(paths, root):
    """Without the root, trailing slashes and repetitions; the root itself is no answer."""
    names = (os.path.relpath(path, root) for path in paths)
    return sorted({name for name in names if name != "."})


def python_glob(root, pattern):
    return relative(glob.glob(f"{root}/{pattern}", recursive=True), root)


def bash_glob(root, pattern):
    quoted = re.sub(r"([^A-Za-z0-9_/.*?\[\]!-])", r"\\\1", f"{root}/{pattern}")
    script = f'shopt -s globstar nullglob; for f in {quoted}; do [ -e "$f" ] && echo "$f"; done; :'
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=True)
    return relative(done.stdout.decode().splitlines(), root)


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    root = tmp_path_factory.mktemp("tree")
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return str(root)


@pytest.fixture(scope="module")
def account(abfs):
    root = f"{os.environ['ABFS_BRIDGE_ROOT']}/posix"
    abfs.pipe({f"{root}/{name}": b"" for name in FILES})
    return root


@pytest.mark.parametrize("pattern", PATTERNS)
def test_glob_finds_what_a_disk_holds(pattern, abfs, account, disk):
    if any(character in pattern for character in REFUSED):
        pytest.skip("the service cannot keep such a name")
    expected = python_glob(disk, pattern)
    assert bash_glob(disk, pattern) == expected

    assert relative(abfs.glob(f"abfs://{account}/{pattern}"), account) == expected

    detailed = abfs.glob(f"{account}/{pattern}", detail=True)
    assert relative(detailed, account) == expected
    for name, info in detailed.items():
        assert info == abfs.info(name)
