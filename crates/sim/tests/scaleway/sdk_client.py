"""Drives the simulator with Scaleway's SDK, as a person's script would; fails on the first surprise."""

import time

from scaleway import Client
from scaleway.block.v1 import BlockV1API
from scaleway.iam.v1alpha1 import IamV1Alpha1API
from scaleway.instance.v1 import InstanceV1API, ServerAction, VolumeServerTemplate, VolumeVolumeType
from scaleway.instance.v1.custom_api import InstanceUtilsV1API
from scaleway.marketplace.v2 import MarketplaceV2API
from scaleway.product_catalog.v2alpha1 import ProductCatalogV2Alpha1PublicCatalogAPI
from scaleway_core.api import ScalewayException


def until(what, condition, limit=60.0):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"{what} did not come about in {limit} s")


def is_gone(call):
    try:
        call()
    except ScalewayException as error:
        if error.status_code == 404:
            return True
        raise
    return False


client = Client.from_config_file_and_env()
instance = InstanceUtilsV1API(client)
block = BlockV1API(client)

# Offers, over several pages.
types = instance.list_servers_types(per_page=50)
assert int(types.total_count) > 50 and len(types.servers) == 50, types.total_count
product = types.servers["DEV1-S"]
assert product.ncpus == 2 and abs(product.hourly_price - 0.008976) < 1e-6
prices = ProductCatalogV2Alpha1PublicCatalogAPI(client).list_public_catalog_products(zone="fr-par-1", page_size=100)
assert any(found.product == "DEV1-S" and found.price.retail_price.nanos == 8976000 for found in prices.products)

# An image that has local storage.
images = MarketplaceV2API(client).list_local_images(image_label="debian_bookworm", zone="fr-par-1", type_="instance_local")
image = next(found for found in images.local_images if "DEV1-S" in found.compatible_commercial_types)

# Creates; lists with paging.
created = []
for number in range(3):
    created.append(
        instance.create_server(
            name=f"sdk-{number}",
            commercial_type="DEV1-S",
            image=image.id,
            volumes={"0": VolumeServerTemplate(size=20_000_000_000, volume_type=VolumeVolumeType.L_SSD)},
            dynamic_ip_required=True,
            tags=["sdk", f"number={number}"],
        ).server
    )
assert all(server.state == "stopped" and server.public_ip is None for server in created)
until("the list of three", lambda: len(instance.list_servers_all(name="sdk-", per_page=2)) == 3)
page = instance.list_servers(name="sdk-", per_page=2, page=1)
assert int(page.total_count) == 3 and len(page.servers) == 2, page.total_count
assert [server.name for server in instance.list_servers(tags=["sdk", "number=1"]).servers] == ["sdk-1"]

# Sets user data and reads it back.
server = created[0]
instance.set_server_user_data(server_id=server.id, key="cloud-init", content=b"#cloud-config\nruncmd: [true]\n")
assert instance.get_server_user_data(server_id=server.id, key="cloud-init").content == b"#cloud-config\nruncmd: [true]\n"
assert instance.list_server_user_data(server_id=server.id).user_data == ["cloud-init"]

# Powers on.
instance.server_action(server_id=server.id, action=ServerAction.POWERON)
assert instance.get_server(server_id=server.id).server.state == "starting"
running = until("running", lambda: (lambda found: found if found.state == "running" else None)(
    instance.get_server(server_id=server.id).server))
assert running.public_ip.dynamic and running.public_ip.address.startswith("127.")
fingerprints = until("fingerprints", lambda: not is_gone(
    lambda: instance.get_server_user_data(server_id=server.id, key="ssh-host-fingerprints")))

# Terminates: the local volume goes along.
volume = running.volumes["0"]
assert instance.get_volume(volume_id=volume.id).volume.server.id == server.id
instance.server_action(server_id=server.id, action=ServerAction.TERMINATE)
until("404", lambda: is_gone(lambda: instance.get_server(server_id=server.id)))
assert is_gone(lambda: instance.get_volume(volume_id=volume.id))

# Deletes: the local volume stays.
kept = created[1].volumes["0"].id
instance.delete_server(server_id=created[1].id)
assert is_gone(lambda: instance.get_server(server_id=created[1].id))
assert instance.get_volume(volume_id=kept).volume.server is None
instance.delete_volume(volume_id=kept)
instance.server_action(server_id=created[2].id, action=ServerAction.TERMINATE)

# By a label: a block volume behind one's back, which terminate only lets go of.
behind = instance.create_server(name="label", commercial_type="PLAY2-NANO", image="debian_bookworm", tags=["sdk"]).server
root = behind.volumes["0"]
assert root.volume_type == "sbs_volume" and root.name is None
assert is_gone(lambda: instance.get_volume(volume_id=root.id))
found = block.get_volume(volume_id=root.id)
assert found.name == "Debian Bookworm_sbs_volume_0" and found.tags == [], found
until("in use", lambda: block.get_volume(volume_id=root.id).status == "in_use")
instance.server_action(server_id=behind.id, action=ServerAction.TERMINATE)
until("404", lambda: is_gone(lambda: instance.get_server(server_id=behind.id)))
until("available", lambda: block.get_volume(volume_id=root.id).status == "available")
assert root.id in [volume.id for volume in block.list_volumes_all(include_deleted=False)]
block.delete_volume(volume_id=root.id)
until("404", lambda: is_gone(lambda: block.get_volume(volume_id=root.id)))

# Flexible addresses, groups, keys.
ip = instance.create_ip(tags=["sdk"]).ip
assert instance.get_ip(ip=ip.address).ip.id == ip.id
instance.delete_ip(ip=ip.id)
group = instance.create_security_group(
    name="sdk", description="", stateful=True, inbound_default_policy="drop", outbound_default_policy="accept"
).security_group
instance.create_security_group_rule(
    security_group_id=group.id, protocol="TCP", direction="inbound", action="accept", ip_range="127.0.0.1/32",
    dest_port_from=22, position=1, editable=True,
)
assert len(instance.list_security_group_rules(security_group_id=group.id).rules) == 1
instance.delete_security_group(security_group_id=group.id)
iam = IamV1Alpha1API(client)
key = iam.create_ssh_key(name="sdk", public_key="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA sdk")
iam.delete_ssh_key(ssh_key_id=key.id)

# Errors are the typed ones.
try:
    instance.server_action(server_id=server.id, action=ServerAction.POWERON)
except ScalewayException as error:
    assert error.status_code == 404 and error.response.json()["resource"] == "instance_server"
else:
    raise AssertionError("a server that is gone was powered on")
until("the last one gone", lambda: is_gone(lambda: instance.get_server(server_id=created[2].id)))

print("ALL DONE")
