"""fsspec's interface over a socket to the process that has the file system.

Every call goes over as one line of JSON and comes back as one. Nothing is decided here: which file
lands where, what a pattern matches and which error is raised is the other side's answer.
"""

import base64
import errno
import io
import json
import os
import socket

from fsspec import AbstractFileSystem


def connect():
    """The socket that the parent process left open for this one."""
    return socket.socket(fileno=int(os.environ["ABFS_BRIDGE_FD"]))


class Wire:
    def __init__(self, connection):
        self._connection = connection
        self._lines = connection.makefile("rb")

    def call(self, method, *arguments):
        request = json.dumps({"method": method, "arguments": arguments}, default=_encode)
        self._connection.sendall(request.encode() + b"\n")
        answer = json.loads(self._lines.readline(), object_hook=_decode)
        if "error" in answer:
            raise _error(answer["error"])
        return answer.get("value")


def _encode(value):
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"cannot send {type(value)}")


def _decode(value):
    if "$bytes" in value:
        return base64.b64decode(value["$bytes"])
    if "$error" in value:
        return _error(value["$error"])
    return value


def _error(error):
    code = getattr(errno, error["code"], None) if error["code"] else None
    if code is None:
        return ValueError(error["message"])
    return OSError(code, error["message"])


class AbfsFileSystem(AbstractFileSystem):
    protocol = "abfs"
    cachable = False

    def __init__(self, wire, **options):
        super().__init__(**options)
        self._wire = wire

    def _call(self, method, *arguments, **options):
        given = {name: value for name, value in options.items() if value is not None}
        return self._wire.call(method, *arguments, given)

    def ls(self, path, detail=True, **_):
        return self._call("ls", path, detail=detail)

    def info(self, path, **_):
        return self._call("info", path)

    def exists(self, path, **_):
        return self._call("exists", path)

    def isdir(self, path):
        return self._call("isDir", path)

    def isfile(self, path):
        return self._call("isFile", path)

    def find(self, path, maxdepth=None, withdirs=False, detail=False, **_):
        return self._call("find", path, maxDepth=maxdepth, withDirs=withdirs, detail=detail)

    def glob(self, path, maxdepth=None, detail=False, **_):
        return self._call("glob", path, maxDepth=maxdepth, detail=detail)

    def expand_path(self, path, recursive=False, maxdepth=None, assume_literal=False, **_):
        return self._call(
            "expandPath", path, recursive=recursive, maxDepth=maxdepth, literal=assume_literal
        )

    def walk(self, path, maxdepth=None, topdown=True, on_error="omit", detail=False, **_):
        options = {"maxDepth": maxdepth, "topDown": topdown, "onError": on_error}
        yield from self._call("walk", path, detail=detail, **options)

    def du(self, path, total=True, maxdepth=None, withdirs=False, **_):
        return self._call("du", path, total=total, maxDepth=maxdepth, withDirs=withdirs)

    def cat(self, path, recursive=False, on_error="raise", **_):
        return self._call("cat", path, recursive=recursive, onError=on_error)

    def cat_file(self, path, start=None, end=None, **_):
        return self._call("catFile", path, start=start, end=end)

    def cat_ranges(self, paths, starts, ends, max_gap=None, on_error="return", **_):
        return self._call("catRanges", paths, starts, ends, maxGap=max_gap, onError=on_error)

    def pipe_file(self, path, value, mode="overwrite", **_):
        self._call("pipeFile", path, value, mode=mode)

    def pipe(self, path, value=None, **_):
        self._call("pipe", path if isinstance(path, dict) else {os.fspath(path): value})

    def touch(self, path, truncate=True, **_):
        self._call("touch", path, truncate=truncate)

    def mkdir(self, path, create_parents=True, **_):
        self._call("mkdir", path, createParents=create_parents)

    def makedirs(self, path, exist_ok=False):
        self._call("makedirs", path, existOk=exist_ok)

    def rmdir(self, path):
        self._call("rmdir", path)

    def rm(self, path, recursive=False, maxdepth=None):
        self._call("rm", path, recursive=recursive, maxDepth=maxdepth)

    def rm_file(self, path):
        self._call("rmFile", path)

    def cp_file(self, path1, path2, **_):
        self._call("cpFile", path1, path2)

    def copy(self, path1, path2, recursive=False, maxdepth=None, on_error=None, **_):
        options = {"recursive": recursive, "maxDepth": maxdepth, "onError": on_error}
        self._call("copy", path1, path2, **options)

    def get(self, rpath, lpath, recursive=False, maxdepth=None, **_):
        self._call("get", rpath, lpath, recursive=recursive, maxDepth=maxdepth)

    def get_file(self, rpath, lpath, **_):
        self._call("getFile", rpath, lpath)

    def put(self, lpath, rpath, recursive=False, maxdepth=None, **_):
        self._call("put", lpath, rpath, recursive=recursive, maxDepth=maxdepth)

    def put_file(self, lpath, rpath, **_):
        self._call("putFile", lpath, rpath)

    def mv(self, path1, path2, recursive=False, maxdepth=None, **_):
        self._call("mv", path1, path2)

    def open(self, path, mode="rb", **_):
        handle = self._call("open", path, mode=mode.replace("b", ""))
        return AbfsFile(self, handle, mode)

    # The base class names these when it is made, for its own methods.
    cp = copy
    stat = info
    mkdirs = makedirs
    makedir = mkdir
    move = rename = mv
    delete = rm
    download = get
    upload = put
    listdir = ls
    disk_usage = du


class AbfsFile(io.RawIOBase):
    """A handle of the other side."""

    def __init__(self, fs, handle, mode):
        self._fs = fs
        self._handle = handle
        self._mode = mode

    def readable(self):
        return "r" in self._mode

    def writable(self):
        return not self.readable()

    def readall(self):
        return self._fs._call("handle.readAll", self._handle)

    def readinto(self, buffer):
        data = self._fs._call("handle.read", self._handle, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def write(self, data):
        self._fs._call("handle.write", self._handle, bytes(data))
        return len(data)

    def close(self):
        if not self.closed:
            super().close()
            self._fs._call("handle.close", self._handle)

    def __exit__(self, kind, error, trace):
        if error is not None and not self.closed:
            super().close()
            self._fs._call("handle.abort", self._handle)
        return super().__exit__(kind, error, trace)
