"""One operation of adlfs: python list-plans.py OPERATION ROOT; prints what it found as JSON."""

import json
import os
import sys

import adlfs

operation, root = sys.argv[1:]
endpoint, sas = os.environ["ABFS_BLOB_ENDPOINT"], os.environ["BENCH_SAS"]
fs = adlfs.AzureBlobFileSystem(
    account_name="bench",
    connection_string=f"BlobEndpoint={endpoint};SharedAccessSignature={sas}",
    skip_instance_cache=True,
)
operations = {
    "glob": lambda: len(fs.glob(f"{root}/directory-00*7/file-*3")),
    "find": lambda: len(fs.find(root)),
    "walk": lambda: sum(len(files) for _, _, files in fs.walk(root)),
    "du": lambda: fs.du(root),
    "rm": lambda: fs.rm(root, recursive=True),
}
print(json.dumps(operations[operation]()))
