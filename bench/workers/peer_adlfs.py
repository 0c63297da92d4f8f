"""One job of adlfs: python peer_adlfs.py JOB JSON, with ABFS_BLOB_ENDPOINT and BENCH_SAS."""

import asyncio
import json
import os
import sys

import adlfs
from measured import RANGES_TO_WARM_UP, measured, offsets

job, options = sys.argv[1], json.loads(sys.argv[2])
endpoint, sas = os.environ["ABFS_BLOB_ENDPOINT"], os.environ["BENCH_SAS"]
# Its own defaults: 128 requests at once for a blob, and 128 files at once.
fs = adlfs.AzureBlobFileSystem(
    account_name=os.environ["ABFS_ACCOUNT"],
    connection_string=f"BlobEndpoint={endpoint};SharedAccessSignature={sas}",
    skip_instance_cache=True,
)


def read_ranges(count):
    starts = list(offsets(options["sizeBytes"], 4096, count))
    ends = [start + 4096 for start in starts]
    parts = fs.cat_ranges(
        [options["path"]] * count, starts, ends, batch_size=options["width"], on_error="raise"
    )
    assert all(len(part) == 4096 for part in parts)
    return count


jobs = {
    "read": lambda: measured(
        lambda: len(fs.cat_file(options["warm"])), lambda: len(fs.cat_file(options["path"]))
    ),
    "ranges": lambda: measured(
        lambda: read_ranges(RANGES_TO_WARM_UP), lambda: read_ranges(options["count"])
    ),
    "upload": lambda: measured(None, lambda: fs.put_file(options["file"], options["path"])),
    "put": lambda: measured(
        None, lambda: fs.put(f"{options['directory']}/", options["path"], recursive=True)
    ),
    "get": lambda: measured(
        None, lambda: fs.get(f"{options['path']}/", options["directory"], recursive=True)
    ),
    "list": lambda: measured(None, lambda: len(fs.find(options["path"], detail=True))),
}

asyncio.run(jobs[job]())
