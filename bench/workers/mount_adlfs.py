"""The way of fsspec's users to files: python mount_adlfs.py CONTAINER MOUNTPOINT; serves until it is unmounted."""

import os
import sys

import adlfs
from fsspec.fuse import run

container, mountpoint = sys.argv[1:]
endpoint, sas = os.environ["ABFS_BLOB_ENDPOINT"], os.environ["BENCH_SAS"]
fs = adlfs.AzureBlobFileSystem(
    account_name=os.environ["ABFS_ACCOUNT"],
    connection_string=f"BlobEndpoint={endpoint};SharedAccessSignature={sas}",
)
run(fs, f"{container}/", mountpoint, foreground=True, threads=False)
