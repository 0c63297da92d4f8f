"""Runs the verbs of a Python client against an account; prints a line for each that held.

Arguments: client (`adlfs` or `datalake`), account, kind of credential (`key`, `sas`, `token`). The
environment says the rest: ENDPOINT (of the blob face), CONTAINER, ROOT (a directory
that is not there), KEY, SAS, SIZE (bytes of the large file), SPREAD (files in the tree).
"""

import hashlib
import os
import sys

client, account, credential = sys.argv[1:4]
endpoint = os.environ["ENDPOINT"]
container = os.environ["CONTAINER"]
base = os.environ["ROOT"]
size = int(os.environ["SIZE"])
spread = int(os.environ["SPREAD"])
large = hashlib.sha256(b"large").digest() * (size // 32)


def held(verb, truth):
    if not truth:
        raise AssertionError(verb)
    print(verb, flush=True)


def adlfs_credential():
    if credential == "key":
        parts = [
            "DefaultEndpointsProtocol=https",
            f"AccountName={account}",
            f"AccountKey={os.environ['KEY']}",
            f"BlobEndpoint={endpoint}",
        ]
        return {"connection_string": ";".join(parts)}
    host = {"account_name": account, "account_host": endpoint.removeprefix("https://")}
    if credential == "sas":
        return {**host, "sas_token": os.environ["SAS"]}
    names = {"tenant_id": "TENANT_ID", "client_id": "CLIENT_ID", "client_secret": "CLIENT_SECRET"}
    return {**host, **{name: os.environ[f"AZURE_{key}"] for name, key in names.items()}}


def adlfs_verbs():
    from adlfs import AzureBlobFileSystem

    fs = AzureBlobFileSystem(**adlfs_credential())
    root = f"{container}/{base}"

    fs.pipe_file(f"{root}/a/small.txt", b"small")
    held("create", fs.cat_file(f"{root}/a/small.txt") == b"small")
    with fs.open(f"{root}/large.bin", "wb", block_size=8 * 2**20) as file:
        file.write(large)
    held("upload large", fs.info(f"{root}/large.bin")["size"] == size)
    with fs.open(f"{root}/large.bin", "rb") as file:
        read = file.read()
    held("download large", hashlib.sha256(read).digest() == hashlib.sha256(large).digest())
    names = [f"{root}/tree/{at % 10}/{at}.txt" for at in range(spread)]
    fs.pipe({name: b"x" * (at + 1) for at, name in enumerate(names)})
    fs.invalidate_cache()
    held("list", sorted(fs.ls(f"{root}/tree")) == [f"{root}/tree/{at}" for at in range(10)])
    held("find", sorted(fs.find(f"{root}/tree")) == sorted(names))
    walked = [name for _, _, files in fs.walk(f"{root}/tree") for name in files]
    held("walk", len(walked) == spread)
    held("du", fs.du(f"{root}/tree") == spread * (spread + 1) // 2)
    held("glob", fs.glob(f"{root}/tree/3/*3.txt") == sorted(n for n in names if "/3/" in n))
    fs.cp_file(f"{root}/a/small.txt", f"{root}/a/copy.txt")
    held("copy", fs.cat_file(f"{root}/a/copy.txt") == b"small")
    fs.mv(f"{root}/a/copy.txt", f"{root}/a/moved.txt")
    fs.invalidate_cache()
    held("rename", sorted(fs.ls(f"{root}/a")) == [f"{root}/a/moved.txt", f"{root}/a/small.txt"])
    # mv of a tree copies its directories as well, of which no blob need be there.
    fs.copy(f"{root}/tree", f"{root}/copied", recursive=True)
    fs.invalidate_cache()
    copied = [name for name in fs.find(f"{root}/copied") if name.endswith(".txt")]
    held("copy tree", len(copied) == spread)
    fs.rm(root, recursive=True)
    fs.invalidate_cache()
    held("delete", not fs.exists(root) and fs.find(root) == [])


def datalake_credential():
    if credential == "key":
        return {"account_name": account, "account_key": os.environ["KEY"]}
    if credential == "sas":
        return os.environ["SAS"]
    from azure.identity import ClientSecretCredential

    names = ("TENANT_ID", "CLIENT_ID", "CLIENT_SECRET")
    values = [os.environ[f"AZURE_{name}"] for name in names]
    return ClientSecretCredential(*values, authority=os.environ["AZURE_AUTHORITY_HOST"])


def datalake_verbs():
    from azure.storage.filedatalake import DataLakeServiceClient

    service = DataLakeServiceClient(endpoint, credential=datalake_credential())
    system = service.get_file_system_client(container)

    root = system.create_directory(base)
    file = root.create_file("small.txt")
    file.append_data(b"small", 0, 5)
    file.flush_data(5)
    held("create", file.download_file().readall() == b"small")
    big = root.get_file_client("large.bin")
    big.upload_data(large, overwrite=True, chunk_size=8 * 2**20)
    held("upload large", big.get_file_properties().size == size)
    read = big.download_file().readall()
    held("download large", hashlib.sha256(read).digest() == hashlib.sha256(large).digest())
    root.create_sub_directory("deep/er")
    paths = [path.name for path in system.get_paths(base, recursive=True)]
    known = [f"{base}/{name}" for name in ("deep", "deep/er", "large.bin", "small.txt")]
    held("list", sorted(paths) == known)
    held("list flat", len(list(system.get_paths(base, recursive=False))) == 3)
    root.set_access_control(acl="user::rwx,group::r-x,other::--x")
    acl = root.get_access_control()["acl"]
    held("access list", acl == "user::rwx,group::r-x,other::--x")
    changed = root.update_access_control_recursive(acl="user:someone:rwx").counters
    held("access lists of a tree", (changed.directories_successful, changed.files_successful) == (3, 2))
    moved = root.rename_directory(f"{container}/{base}-moved")
    paths = [path.name for path in system.get_paths(f"{base}-moved", recursive=True)]
    held("rename", len(paths) == 4)
    moved.delete_directory()
    held("delete", [path.name for path in system.get_paths() if path.name.startswith(base)] == [])


{"adlfs": adlfs_verbs, "datalake": datalake_verbs}[client]()
