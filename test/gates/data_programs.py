"""Libraries that people use data with, in a directory of a drive: data_programs.py PROGRAM STEP DIRECTORY.

Step `make` writes, step `read` reads what the first wrote, after a remount. Each prints what it found.
"""

import hashlib
import http.server
import json
import os
import pathlib
import sys
import threading

ROWS = 200_000


def duckdb_database(step: str, directory: pathlib.Path) -> str:
    import duckdb

    with duckdb.connect(str(directory / "data.duckdb")) as connection:
        if step == "make":
            connection.execute(f"create table numbers as select i, i * 2 as twice from range({ROWS}) t(i)")
            connection.execute("checkpoint")
            connection.execute("begin")
            connection.execute("delete from numbers where i % 2 = 0")
            connection.execute("rollback")
        return str(connection.execute("select count(*), sum(i)::bigint from numbers").fetchone())


def parquet(step: str, directory: pathlib.Path) -> str:
    import duckdb

    file = directory / "data.parquet"
    if step == "make":
        rows = f"select i, 'name ' || (i % 7) as name from range({ROWS}) t(i)"
        duckdb.execute(f"copy ({rows}) to '{file}' (format parquet, row_group_size 20000)")
    # One column, and row groups that can hold it: ranges from the end and the middle of the file.
    few = duckdb.execute(f"select count(*) from '{file}' where i between 150000 and 150009").fetchone()
    return str((duckdb.execute(f"select count(*), sum(i)::bigint from '{file}'").fetchone(), few))


def numpy_map(step: str, directory: pathlib.Path) -> str:
    import numpy

    file = directory / "numbers.npy"
    if step == "make":
        made = numpy.lib.format.open_memmap(file, mode="w+", dtype="int64", shape=(ROWS,))
        made[:] = numpy.arange(ROWS)
        made.flush()
        del made
    mapped = numpy.load(file, mmap_mode="r")
    return f"{mapped.shape[0]} {int(mapped.sum())} {int(mapped[150_000])}"


def safetensors_file(step: str, directory: pathlib.Path) -> str:
    import numpy
    from safetensors import safe_open
    from safetensors.numpy import save_file

    file = directory / "model.safetensors"
    if step == "make":
        save_file({"a": numpy.arange(ROWS, dtype="int64"), "b": numpy.ones((512, 512), "float32")}, file)
    with safe_open(file, framework="numpy") as opened:
        part = opened.get_slice("a")[150_000:150_003]
        return f"{sorted(opened.keys())} {part.tolist()} {float(opened.get_tensor('b').sum())}"


COMMIT = hashlib.sha1(b"commit").hexdigest()
FILES = {"config.json": b'{"layers": 2}', "weights/model.bin": os.urandom(16) * 65_536}


class Hub(http.server.BaseHTTPRequestHandler):
    """As much of a hub of models as a download of a whole repository asks for."""

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        name = path.removeprefix(f"/org/name/resolve/{COMMIT}/")
        if path.startswith("/api/models/org/name/revision/"):
            siblings = [{"rfilename": each} for each in FILES]
            self.answer(json.dumps({"id": "org/name", "sha": COMMIT, "siblings": siblings}).encode(), "application/json")
        elif path.startswith("/api/models/org/name/tree/"):
            tree = [{"type": "file", "path": each, "size": len(data), "oid": digest(data)} for each, data in FILES.items()]
            self.answer(json.dumps(tree).encode(), "application/json")
        elif name in FILES:
            self.answer(FILES[name], "application/octet-stream")
        else:
            self.send_error(404)

    def answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{digest(body)}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


def digest(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


def hub_cache(step: str, directory: pathlib.Path) -> str:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ["HF_ENDPOINT"] = f"http://127.0.0.1:{server.server_port}"
    os.environ["HF_HOME"] = str(directory / "home")
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    from huggingface_hub import scan_cache_dir, snapshot_download

    where = pathlib.Path(snapshot_download("org/name", local_files_only=step == "read"))
    files = sorted(each for each in where.rglob("*") if each.is_file())
    sizes = [(each.relative_to(where).as_posix(), each.stat().st_size, each.is_symlink()) for each in files]
    cached = scan_cache_dir(directory / "home" / "hub")
    return f"{where.name == COMMIT} {sizes} {cached.size_on_disk} {len(cached.warnings)}"


PROGRAMS = {
    "duckdb": duckdb_database,
    "hub": hub_cache,
    "numpy": numpy_map,
    "parquet": parquet,
    "safetensors": safetensors_file,
}

if __name__ == "__main__":
    program, step, directory = sys.argv[1:]
    pathlib.Path(directory).mkdir(exist_ok=True)
    print(PROGRAMS[program](step, pathlib.Path(directory)))
