"""One job of OpenDAL: python peer_opendal.py JOB JSON, with ABFS_BLOB_ENDPOINT and BENCH_SAS."""

import asyncio
import json
import os
import sys

import opendal
from measured import RANGES_TO_WARM_UP, files_below, in_flight, leave, measured, offsets

job, options = sys.argv[1], json.loads(sys.argv[2])
container, _, name = options["path"].partition("/")
operator = opendal.AsyncOperator(
    "azblob",
    container=container,
    account_name=os.environ["ABFS_ACCOUNT"],
    endpoint=os.environ["ABFS_BLOB_ENDPOINT"],
    sas_token=os.environ["BENCH_SAS"],
)
# Without these it reads and writes a blob by one request after the other.
transfer = {"chunk": 8 * 2**20, "concurrent": 8}


async def read_all(path):
    return len(await operator.read(path, **transfer))


async def read_ranges(count):
    async def one(start):
        assert len(await operator.read(name, offset=start, size=4096)) == 4096

    await in_flight(offsets(options["sizeBytes"], 4096, count), options["width"], one)
    return count


async def upload():
    # Whole in memory: its file for writing takes no `concurrent` here.
    with open(options["file"], "rb") as source:
        await operator.write(name, source.read(), **transfer)


async def put():
    async def one(path):
        with open(os.path.join(options["directory"], path), "rb") as source:
            await operator.write(f"{name}/{path}", source.read())

    await in_flight(files_below(options["directory"]), 32, one)


async def get():
    async def one(path):
        target = os.path.join(options["directory"], os.path.relpath(path, name))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as file:
            file.write(await operator.read(path))

    entries = await operator.list(f"{name}/", recursive=True)
    paths = [entry.path async for entry in entries if not entry.path.endswith("/")]
    await in_flight(paths, 32, one)
    return len(paths)


async def count_listed():
    return len([1 async for _ in await operator.list(f"{name}/", recursive=True)])


jobs = {
    "read": lambda: measured(
        lambda: read_all(options["warm"].partition("/")[2]), lambda: read_all(name)
    ),
    "ranges": lambda: measured(
        lambda: read_ranges(RANGES_TO_WARM_UP), lambda: read_ranges(options["count"])
    ),
    "upload": lambda: measured(None, upload),
    "put": lambda: measured(None, put),
    "get": lambda: measured(None, get),
    "list": lambda: measured(None, count_listed),
}


async def main():
    await jobs[job]()


asyncio.run(main())
leave()
