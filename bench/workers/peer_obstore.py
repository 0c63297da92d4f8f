"""One job of obstore: python peer_obstore.py JOB JSON, with ABFS_BLOB_ENDPOINT and BENCH_SAS."""

import asyncio
import json
import os
import sys
from pathlib import Path

from measured import RANGES_TO_WARM_UP, files_below, in_flight, leave, measured, offsets
from obstore.store import AzureStore

job, options = sys.argv[1], json.loads(sys.argv[2])
container, _, name = options["path"].partition("/")
authority = os.environ.get("ABFS_CA_FILE")
client_options = {"allow_http": True}
if authority is not None:
    client_options["root_certificate"] = Path(authority).read_text()
store = AzureStore(
    container,
    account_name=os.environ["ABFS_ACCOUNT"],
    endpoint=os.environ["ABFS_BLOB_ENDPOINT"],
    sas_key=os.environ["BENCH_SAS"],
    client_options=client_options,
)
block_bytes = 8 * 2**20


async def read_all(path):
    """Ranges of 8 MiB, 8 at a time, dropped as they come."""
    size = (await store.head_async(path))["size"]

    async def one(start):
        await store.get_range_async(path, start=start, end=min(start + block_bytes, size))

    await in_flight(range(0, size, block_bytes), 8, one)
    return size


async def read_ranges(count):
    async def one(start):
        assert len(await store.get_range_async(name, start=start, length=4096)) == 4096

    await in_flight(offsets(options["sizeBytes"], 4096, count), options["width"], one)
    return count


async def put():
    async def one(path):
        await store.put_async(f"{name}/{path}", Path(options["directory"], path).read_bytes())

    await in_flight(files_below(options["directory"]), 32, one)


async def listed(path):
    # 50 a part is the default; with fewer parts Python does less.
    async for part in store.list(path, chunk_size=5000):
        for entry in part:
            yield entry


async def get():
    async def one(path):
        target = Path(options["directory"], os.path.relpath(path, name))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(await (await store.get_async(path)).bytes_async())

    paths = [entry["path"] async for entry in listed(name)]
    await in_flight(paths, 32, one)
    return len(paths)


async def count_listed():
    return len([1 async for _ in listed(name)])


jobs = {
    "read": lambda: measured(
        lambda: read_all(options["warm"].partition("/")[2]), lambda: read_all(name)
    ),
    "ranges": lambda: measured(
        lambda: read_ranges(RANGES_TO_WARM_UP), lambda: read_ranges(options["count"])
    ),
    # Its defaults: blocks of 5 MiB, 12 at a time.
    "upload": lambda: measured(None, lambda: store.put_async(name, Path(options["file"]))),
    "put": lambda: measured(None, put),
    "get": lambda: measured(None, get),
    "list": lambda: measured(None, count_listed),
}

asyncio.run(jobs[job]())
leave()
