# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The world's own dealings with the local AWS: instances, the address, the table, and states set behind its back."""

from __future__ import annotations

from typing import Any

REGION = "ap-northeast-1"
ACCOUNT = "123456789012"
CONTROLLER_KEY = "AKIASANDBOXCONTROLLER"
CONTROLLER_SECRET = "sandbox-controller"
TABLE = "hotstandby"
IMAGE = "ami-00000000000000000"

STATES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}


class Cloud:
    """Clients with the controller's key."""

    def __init__(self, url: str) -> None:
        import boto3
        from botocore.config import Config

        session = boto3.session.Session(
            aws_access_key_id=CONTROLLER_KEY, aws_secret_access_key=CONTROLLER_SECRET, region_name=REGION
        )
        config = Config(
            connect_timeout=10, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 2}
        )
        self.ec2 = session.client("ec2", endpoint_url=url, config=config)
        self.dynamodb = session.client("dynamodb", endpoint_url=url, config=config)

    def launch(self, name: str) -> str:
        """A running instance of that name; returns its id."""
        images = self.ec2.describe_images(Owners=["amazon"])["Images"]
        image = images[0]["ImageId"] if images else IMAGE
        answer = self.ec2.run_instances(
            ImageId=image,
            InstanceType="t3.small",
            MinCount=1,
            MaxCount=1,
            TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": name}]}],
        )
        return str(answer["Instances"][0]["InstanceId"])

    def terminate(self, instance_id: str) -> None:
        """End an instance for good."""
        self.ec2.terminate_instances(InstanceIds=[instance_id])

    def address(self) -> str:
        """A new Elastic IP; returns its allocation id."""
        return str(self.ec2.allocate_address(Domain="vpc")["AllocationId"])

    def associate(self, allocation_id: str, instance_id: str) -> None:
        """Put the address on an instance, wherever it was."""
        self.ec2.associate_address(
            AllocationId=allocation_id, InstanceId=instance_id, AllowReassociation=True
        )

    def items(self) -> list[dict[str, Any]]:
        """Every item of the table, in DynamoDB's own form; none when there is no table."""
        if TABLE not in self.dynamodb.list_tables()["TableNames"]:
            return []
        return [
            item
            for page in self.dynamodb.get_paginator("scan").paginate(TableName=TABLE, ConsistentRead=True)
            for item in page["Items"]
        ]

    def put(self, item: dict[str, Any]) -> None:
        """Write an item as it is."""
        self.dynamodb.put_item(TableName=TABLE, Item=item)

    def restore(self, items: list[dict[str, Any]]) -> None:
        """Make the table hold these items and no others."""
        keys = {(item["pair"]["S"], item["item"]["S"]) for item in items}
        for item in self.items():
            if (item["pair"]["S"], item["item"]["S"]) not in keys:
                self.dynamodb.delete_item(
                    TableName=TABLE, Key={name: item[name] for name in ("pair", "item")}
                )
        for item in items:
            self.put(item)


def instance(instance_id: str) -> Any:
    """moto's own instance."""
    from moto.ec2.models import ec2_backends

    return ec2_backends[ACCOUNT][REGION].get_instance(instance_id)


def state_of(instance_id: str) -> str:
    """What EC2 would say, whatever fault stands before it."""
    return str(instance(instance_id)._state.name)


def renew(instance_id: str) -> None:
    """Running, and protected against nothing, as it was launched."""
    set_state(instance_id, "running")
    one = instance(instance_id)
    one.disable_api_stop = one.disable_api_termination = False


def set_state(instance_id: str, name: str) -> None:
    """Change what EC2 says, without any hook."""
    state = instance(instance_id)._state
    state.name, state.code = name, STATES[name]


def address_of(allocation_id: str) -> str | None:
    """The instance that has the address, read in this process."""
    from moto.ec2.models import ec2_backends

    found = ec2_backends[ACCOUNT][REGION].describe_addresses(allocation_ids=[allocation_id])
    return (found[0].instance.id if found[0].instance else None) if found else None


def record(pair: str) -> dict[str, Any] | None:
    """The pair's record in DynamoDB's own form, read in this process: no call, no fault in between."""
    from moto.dynamodb.models import dynamodb_backends

    backend = dynamodb_backends[ACCOUNT][REGION]
    if TABLE not in backend.tables:
        return None
    item = backend.get_item(TABLE, {"pair": {"S": pair}, "item": {"S": "record"}})
    return None if item is None else dict(item.to_json()["Attributes"])
