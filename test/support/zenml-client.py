"""ZenML's own client against an abfs connector: logs in by a key, lists, registers, verifies, and gets
a client of a connector. Prints one JSON object."""

import json
import os
import sys

url, container = sys.argv[1], sys.argv[2]
os.environ.update(
    ZENML_STORE_TYPE="rest",
    ZENML_STORE_URL=url,
    ZENML_ANALYTICS_OPT_IN="false",
    ZENML_ENABLE_IMPLICIT_AUTH_METHODS="true",
    ZENML_DISABLE_CLIENT_SERVER_MISMATCH_WARNING="true",
)

from zenml.client import Client  # noqa: E402
from zenml.zen_stores.rest_zen_store import RestZenStore, RestZenStoreConfiguration  # noqa: E402

client = Client()
store = client.zen_store
assert isinstance(store, RestZenStore), type(store)
seen = {}
seen["types"] = [each.connector_type for each in client.list_service_connector_types()]
seen["listed"] = [each.name for each in client.list_service_connectors()]
connector, resources = client.create_service_connector(
    name="data",
    connector_type="azure",
    auth_method="implicit",
    resource_type="blob-container",
    configuration={"storage_account": os.environ["ABFS_SANDBOX_ACCOUNT"]},
)
seen["registered"] = connector.name
seen["verified"] = client.verify_service_connector(
    "data", resource_type="blob-container", resource_id=f"az://{container}"
).resources[0].resource_ids
seen["resources"] = [
    resource_id
    for each in client.list_service_connector_resources(resource_type="blob-container")
    for resource in each.resources
    for resource_id in resource.resource_ids or []
]
model = store.get_service_connector_client(connector.id, "blob-container", f"az://{container}")
seen["client"] = {
    "auth_method": model.auth_method,
    "resource_id": model.resource_id,
    "configuration": model.configuration.plain,
    "expires_at": model.expires_at,
}
try:
    client.get_service_connector_client(
        "data", resource_type="blob-container", resource_id="az://elsewhere"
    )
    seen["refused"] = None
except Exception as error:  # noqa: BLE001
    seen["refused"] = f"{type(error).__name__}: {error}"
# connect() of the instance asks Azure Resource Manager for subscriptions and accounts by itself, which
# needs Azure: what the connector answers ends here.
instance = client.get_service_connector_client(
    "data", resource_type="blob-container", resource_id=f"az://{container}", verify=False
)
seen["instance"] = [type(instance).__name__, instance.auth_method]
client.delete_service_connector("data")
seen["left"] = [each.name for each in client.list_service_connectors()]
print(json.dumps(seen))
