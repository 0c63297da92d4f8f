"""Uses adlfs by environment variables alone: a service principal, then the connection string."""

import os

from adlfs import AzureBlobFileSystem

endpoint = os.environ["AZURE_STORAGE_BLOB_ENDPOINT"]
connection_string = os.environ.pop("AZURE_STORAGE_CONNECTION_STRING")
os.environ.pop("AZURE_STORAGE_ACCOUNT_KEY")

as_principal = AzureBlobFileSystem(
    account_name=os.environ["AZURE_STORAGE_ACCOUNT_NAME"],
    account_host=endpoint.removeprefix("https://"),
    anon=False,
)
as_principal.pipe_file("data/dir/hello.txt", b"hello")
print(as_principal.ls("data/dir", detail=False), as_principal.cat("data/dir/hello.txt"))

by_key = AzureBlobFileSystem(connection_string=connection_string)
print(by_key.ls("data/dir", detail=False), by_key.cat("data/dir/hello.txt"))
