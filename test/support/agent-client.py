"""Reads and writes by managed identity alone, with the client that the argument names.

Prints `ready` after one round, waits for a line on standard input, and does another round with the
same client objects.
"""

import os
import sys

endpoint = os.environ["AZURE_STORAGE_BLOB_ENDPOINT"]
kind = sys.argv[1]


def adlfs_round():
    from adlfs import AzureBlobFileSystem

    fs = AzureBlobFileSystem(account_host=endpoint.removeprefix("https://"))

    def once(text):
        fs.pipe_file(f"data/{kind}/file.txt", text)
        fs.invalidate_cache()
        return fs.ls(f"data/{kind}", detail=False), fs.cat(f"data/{kind}/file.txt")

    return once


def container_round(container):
    def once(text):
        blob = container.get_blob_client(f"{kind}/file.txt")
        blob.upload_blob(text, overwrite=True)
        names = [f"data/{item.name}" for item in container.list_blobs(f"{kind}/")]
        return names, blob.download_blob().readall()

    return once


def blob_round():
    from azure.identity import DefaultAzureCredential
    from azure.storage.blob import BlobServiceClient

    service = BlobServiceClient(endpoint, credential=DefaultAzureCredential())
    return container_round(service.get_container_client("data"))


def imds_round():
    from azure.identity import ManagedIdentityCredential
    from azure.storage.blob import BlobServiceClient

    del os.environ["IDENTITY_ENDPOINT"], os.environ["IDENTITY_HEADER"]
    service = BlobServiceClient(endpoint, credential=ManagedIdentityCredential())
    return container_round(service.get_container_client("data"))


def azure_cli_round():
    from azure.cli.core.auth.credential_adaptor import CredentialAdaptor
    from azure.cli.core.auth.msal_credentials import ManagedIdentityCredential
    from azure.storage.blob import BlobServiceClient

    service = BlobServiceClient(endpoint, credential=CredentialAdaptor(ManagedIdentityCredential()))
    return container_round(service.get_container_client("data"))


def datalake_round():
    """Only what the library asks of the blob endpoint: the sandbox may have no other."""
    from azure.identity import DefaultAzureCredential
    from azure.storage.filedatalake import DataLakeServiceClient

    service = DataLakeServiceClient(endpoint, credential=DefaultAzureCredential())

    def once(text):
        return [item.name for item in service.list_file_systems()], text

    return once


def zenml_round():
    import datetime
    import tempfile
    import uuid

    # What any fsspec file system takes where its caller names no host.
    os.environ["FSSPEC_ABFS_ACCOUNT_HOST"] = endpoint.removeprefix("https://")
    directory = tempfile.TemporaryDirectory()
    os.environ["ZENML_CONFIG_PATH"] = directory.name
    os.environ["ZENML_ANALYTICS_OPT_IN"] = "false"
    from zenml.enums import StackComponentType
    from zenml.integrations.azure.artifact_stores import AzureArtifactStore
    from zenml.integrations.azure.flavors import AzureArtifactStoreConfig

    now = datetime.datetime.now()
    store = AzureArtifactStore(
        name="store",
        id=uuid.uuid4(),
        config=AzureArtifactStoreConfig(path="az://data"),
        flavor="azure",
        type=StackComponentType.ARTIFACT_STORE,
        user=uuid.uuid4(),
        created=now,
        updated=now,
    )

    def once(text):
        path = f"az://data/{kind}/file.txt"
        with store.open(path, "wb") as file:
            file.write(text)
        with store.open(path, "rb") as file:
            return [f"{kind}/{name}" for name in store.listdir(f"az://data/{kind}")], file.read()

    once.directory = directory  # lives as long as the store
    return once


once = {
    "zenml": zenml_round,
    "adlfs": adlfs_round,
    "azure-storage-blob": blob_round,
    "azure-cli": azure_cli_round,
    "imds": imds_round,
    "datalake": datalake_round,
}[kind]()
print("first", *once(b"one"), flush=True)
print("ready", flush=True)
sys.stdin.readline()
print("second", *once(b"two"), flush=True)
