"""The same calls on fsspec's own local file system and on abfs, whose answers must be the same."""

import os
import posixpath

import pytest
from fsspec.implementations.local import LocalFileSystem

FILES = [
    "file1",
    "file2",
    "sub.txt",
    "sub/file1",
    "sub/file2",
    "sub/deep/file1",
    "sub/deep/er/file3",
    "sub2/file1",
    "sub2/deep/file4",
    "odd [x]/a{b}.c",
]
PATTERNS = [
    "*", "**", "s*", "sub", "sub/", "sub/*", "sub/**", "**/deep", "**/deep/*", "**/file1",
    "*/deep/**", "s*/deep", "sub[2-3]", "sub[!2]*", "file?", "file[12]", "odd*/*",
    "sub/**/file?", "**/s*/**/file1", "su?", "**/*", "*/*", "missing/*", "file1/*",
]  # fmt: skip
DEPTHS = [None, 1, 2, 3]
SOURCES = [
    "file1", "sub", "sub/", "sub/deep", "*", "**", "s*", "sub*", "sub/*", "sub/**", "**/deep",
    "**/file1", "sub[2-3]", "file?", "**/deep/*", "*/deep", ["file1", "sub/file2"],
    ["sub", "file2"], ["sub/*", "file1"], ["sub/", "sub2"], "missing/*",
]  # fmt: skip
TARGETS = ["there", "there/", "new", "new/", "deep/new", "deep/new/"]


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    root = tmp_path_factory.mktemp("tree")
    plant(LocalFileSystem(auto_mkdir=True), f"{root}/source")
    return str(root)


@pytest.fixture(scope="module")
def account(abfs):
    root = f"{os.environ['ABFS_BRIDGE_ROOT']}/local"
    plant(abfs, f"{root}/source")
    return root


def plant(fs, root):
    for name in FILES:
        fs.makedirs(posixpath.dirname(f"{root}/{name}"), exist_ok=True)
        fs.pipe_file(f"{root}/{name}", name.encode())


def answer(root, work):
    """Names below `root`, or the class of the error."""
    try:
        result = work()
    except (OSError, ValueError) as error:
        return FileNotFoundError if isinstance(error, FileNotFoundError) else type(error)
    return sorted(os.path.relpath(name.rstrip("/"), root) for name in result)


@pytest.mark.parametrize("depth", [*DEPTHS, 0])
@pytest.mark.parametrize("pattern", [*PATTERNS, "*/", "**/", "sub*/", "missing"])
def test_glob(pattern, depth, abfs, disk, account):
    def ask(fs, root):
        return answer(root, lambda: fs.glob(f"{root}/source/{pattern}", maxdepth=depth))

    assert ask(abfs, account) == ask(LocalFileSystem(), disk)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("recursive", [False, True])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_expand_path(pattern, recursive, depth, abfs, disk, account):
    def ask(fs, root):
        options = {"recursive": recursive, "maxdepth": depth}
        return answer(root, lambda: fs.expand_path(f"{root}/source/{pattern}", **options))

    assert ask(abfs, account) == ask(LocalFileSystem(), disk)


@pytest.mark.parametrize("pattern", ["*/", "**/", "sub*/"])
def test_expand_path_takes_a_slash_as_glob_does(pattern, abfs, disk, account):
    """fsspec forgets the slash here, so that `rm("*/")` deletes files; abfs keeps to directories."""
    found = answer(account, lambda: abfs.expand_path(f"{account}/source/{pattern}"))

    assert found == answer(disk, lambda: LocalFileSystem().glob(f"{disk}/source/{pattern}"))


def test_expand_path_looks_for_names_without_wild_cards(abfs, account):
    """fsspec takes them as they are, and leaves the error to the next call."""
    with pytest.raises(FileNotFoundError):
        abfs.expand_path(f"{account}/source/missing")


@pytest.mark.parametrize("depth", [*DEPTHS, 0])
@pytest.mark.parametrize("directories", [False, True])
@pytest.mark.parametrize("name", ["source", "source/sub/", "source/file1", "source/missing"])
def test_find(name, directories, depth, abfs, disk, account):
    def ask(fs, root):
        options = {"maxdepth": depth, "withdirs": directories}
        return answer(root, lambda: fs.find(f"{root}/{name}", **options))

    assert ask(abfs, account) == ask(LocalFileSystem(), disk)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("name", ["source", "source/sub", "source/missing"])
def test_walk(name, down, depth, abfs, disk, account):
    def ask(fs, root):
        steps = fs.walk(f"{root}/{name}", maxdepth=depth, topdown=down)
        return [
            (os.path.relpath(path, root), sorted(directories), sorted(files))
            for path, directories, files in steps
        ]

    theirs = ask(LocalFileSystem(), disk)
    assert sorted(ask(abfs, account)) == sorted(theirs)


def test_walk_of_a_file_is_empty(abfs, account):
    """As `os.walk` has it; fsspec yields one step with a file of no name."""
    assert list(abfs.walk(f"{account}/source/file1")) == []


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("depth", [None, 1, 2])
@pytest.mark.parametrize("recursive", [False, True])
@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_copy(source, recursive, depth, target, abfs, disk, account):
    def land(fs, root):
        fs.pipe_file(f"{root}/target/there/old", b"")
        sources = [f"{root}/source/{name}" for name in as_list(source)]
        options = {"recursive": recursive, "maxdepth": depth}
        given = sources if isinstance(source, list) else sources[0]

        def work():
            fs.copy(given, f"{root}/target/{target}", **options)
            return fs.find(f"{root}/target")

        result = answer(root, work)
        fs.rm(f"{root}/target", recursive=True)
        return result

    assert land(abfs, account) == land(LocalFileSystem(auto_mkdir=True), disk)


def as_list(value):
    return value if isinstance(value, list) else [value]
