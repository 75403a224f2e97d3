# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""EC2 with states that take their time: stopping until the machine is really dead, pending until it has booted."""

from __future__ import annotations

import copy
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from . import addresses

if TYPE_CHECKING:
    from . import Endpoint

CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
INSTANCE_ID = re.compile(r"i-[0-9a-f]{8}([0-9a-f]{9})?")

_mended: list[Any] = []


class State:
    """An instance's state, as moto reads it; remembers the one before the last change."""

    def __init__(self, name: str) -> None:
        self._name = self.before = name
        self.code = CODES[name]

    @property
    def name(self) -> str:
        """pending | running | shutting-down | terminated | stopping | stopped."""
        return self._name

    @name.setter
    def name(self, name: str) -> None:
        if name != self._name:
            self.before, self._name = self._name, name

    def to(self, name: str) -> None:
        """Change it."""
        self.name, self.code = name, CODES[name]


def mend(endpoint: Endpoint) -> None:
    """Replace stop, start, reboot and terminate, status checks, the stale view and the address's moves."""
    from moto.ec2.exceptions import EC2ClientError
    from moto.ec2.models import EC2Backend
    from moto.ec2.models.instances import Instance
    from moto.ec2.responses import EC2Response

    _mended[:] = [endpoint]
    if hasattr(Instance, "sandbox_mended"):
        return
    Instance.sandbox_mended = True
    machines = Machines(EC2ClientError)
    _instances(Instance, EC2Backend, machines)
    _actions(EC2Response, EC2Backend, machines)
    _addresses(EC2Response, EC2Backend, EC2ClientError)
    addresses.mend_private(EC2Backend, EC2Response, EC2ClientError)
    addresses.mend_dry_runs(EC2Response)


class Machines:
    """The power of instances. Errors are raised by their AWS codes."""

    def __init__(self, error: Callable[[str, str], Exception]) -> None:
        self.error = error

    def find(self, backend: Any, ids: list[str]) -> list[Any]:
        """All of them, or the error that AWS gives."""
        bad = [one for one in ids if not INSTANCE_ID.fullmatch(one)]
        if bad:
            raise self.error("InvalidInstanceID.Malformed", f'Invalid id: "{bad[0]}"')
        there = {one.id: one for one in backend.all_instances()}
        missing = [one for one in ids if one not in there]
        if missing:
            text = ", ".join(missing)
            plural = len(missing) > 1
            word = "IDs" if plural else "ID"
            raise self.error(
                "InvalidInstanceID.NotFound",
                f"The instance {word} '{text}' {'do' if plural else 'does'} not exist",
            )
        return [there[one] for one in dict.fromkeys(ids)]

    def _refuse(self, instance: Any, verb: str, states: tuple[str, ...]) -> None:
        if instance._state.name in states:
            raise self.error(
                "IncorrectInstanceState",
                f"The instance '{instance.id}' is not in a state from which it can be {verb}.",
            )

    def stop(self, found: list[Any], force: bool) -> list[tuple[str, str, str]]:
        """(id, previous, current) of each. All are checked before one is touched."""
        for one in found:
            if _true(one.disable_api_stop):
                raise self.error(
                    "OperationNotPermitted",
                    f"The instance '{one.id}' may not be stopped. Modify its 'disableApiStop' instance attribute and "
                    "try again.",
                )
            self._refuse(one, "stopped", ("pending", "shutting-down", "terminated"))
        answers = []
        for one in found:
            before = one._state.name
            if before == "running":
                one._state.to("stopping")
                one._reason = f"User initiated ({time.strftime('%Y-%m-%d %H:%M:%S GMT', time.gmtime())})"
                _later(one, "stopping", "stopped", partial(_hook, "on_stop", one.id, force), wait=True)
            answers.append((one.id, before, one._state.name))
        return answers

    def start(self, found: list[Any]) -> list[tuple[str, str, str]]:
        """(id, previous, current) of each."""
        for one in found:
            self._refuse(one, "started", ("stopping", "shutting-down", "terminated"))
        answers = []
        for one in found:
            before = one._state.name
            if before == "stopped":
                one._state.to("pending")
                one._reason = ""
                _later(one, "pending", "running", partial(_hook, "on_start", one.id))
            answers.append((one.id, before, one._state.name))
        return answers

    def reboot(self, found: list[Any]) -> None:
        """The state stays `running` all the while."""
        for one in found:
            self._refuse(one, "rebooted", ("pending", "stopping", "stopped", "shutting-down", "terminated"))
        for one in found:
            _later(one, "running", "running", partial(_hook, "on_reboot", one.id))

    def terminate(self, found: list[Any], bury: Callable[[Any], Any]) -> list[tuple[str, str, str]]:
        """(id, previous, current) of each; `bury` is moto's own way to take an instance apart."""
        for one in found:
            if _true(one.disable_api_termination):
                raise self.error(
                    "OperationNotPermitted",
                    f"The instance '{one.id}' may not be terminated. Modify its 'disableApiTermination' instance "
                    "attribute and try again.",
                )
        answers = []
        for one in found:
            before = one._state.name
            if before not in ("shutting-down", "terminated"):
                one._state.to("shutting-down")
                _later(one, "shutting-down", "terminated", partial(_hook, "on_terminate", one.id), bury)
            answers.append((one.id, before, one._state.name))
        return answers


def _hook(name: str, *args: Any) -> None:
    getattr(_mended[0].hypervisor, name)(*args)


def _later(
    instance: Any,
    during: str,
    then: str,
    act: Callable[[], None],
    bury: Callable[[Any], Any] | None = None,
    wait: bool = False,
) -> None:
    """Let the hypervisor act in a thread, then change the state, unless somebody else has meanwhile."""
    endpoint = _mended[0]

    def run() -> None:
        try:
            act()
        except Exception:
            # a machine that could not be stopped stays `stopping`, as on AWS
            traceback.print_exc(file=sys.stderr)
            return
        if wait and endpoint.stop_seconds > 0:
            time.sleep(endpoint.stop_seconds)
        with endpoint.moto.lock("ec2"):
            if instance._state.name != during:
                return
            if bury is not None:
                bury(instance)
                endpoint.agents.unregister(instance.id)
            instance._state.to(then)

    threading.Thread(target=run, name=f"{then}-{instance.id}", daemon=True).start()


def _bury(backend: Any, instance: Any) -> None:
    for address in list(backend.addresses):
        if address.instance is instance:
            backend.disassociate_address(association_id=address.association_id)
    instance.moto_terminate()


def terminate(backend: Any, instance: Any) -> None:
    """End one instance, as its group does. Call with the lock of EC2 held."""
    if instance._state.name in ("shutting-down", "terminated"):
        return
    instance._state.to("shutting-down")
    bury = partial(_bury, backend)
    _later(instance, "shutting-down", "terminated", partial(_hook, "on_terminate", instance.id), bury)


def boot(instance: Any) -> None:
    """Let a new instance boot, as one of a group does. Call with the lock of EC2 held."""
    instance._state.to("pending")
    _later(instance, "pending", "running", partial(_hook, "on_start", instance.id))


def _instances(Instance: Any, EC2Backend: Any, machines: Machines) -> None:
    init, reservations = Instance.__init__, EC2Backend.all_reservations

    def new(instance: Any, *args: Any, **kwargs: Any) -> None:
        init(instance, *args, **kwargs)
        instance._state = State("running")

    def checks(instance: Any) -> dict[str, Any]:
        if instance._state.name != "running":
            return {"Status": "not-applicable"}
        word = _mended[0].status_checks.get(instance.id, "ok")
        passed = "passed" if word == "ok" else "failed"
        return {"Details": [{"Name": "reachability", "Status": passed}], "Status": word}

    def all_reservations(backend: Any, filters: Any = None) -> list[Any]:
        if not getattr(_view, "stale", False):
            return list(reservations(backend, filters))
        from moto.ec2.utils import filter_reservations

        found = reservations(backend)
        for one in found:
            one.instances = [_as_before(instance) for instance in one.instances]
        return found if filters is None else list(filter_reservations(found, filters))

    Instance.__init__ = new
    Instance.instance_status = property(checks)
    EC2Backend.all_reservations = all_reservations
    EC2Backend.stop_instances = _unused
    EC2Backend.start_instances = _unused
    EC2Backend.reboot_instances = _unused
    EC2Backend.terminate_instances = _unused
    Instance.moto_terminate = Instance.terminate


def _unused(_backend: Any, _ids: list[str]) -> Any:
    raise NotImplementedError("an instance's power by another way than its own API")


_view = threading.local()


def _as_before(instance: Any) -> Any:
    """The instance in the state before its last change."""
    shown = copy.copy(instance)
    shown._private_ips = set()  # or the copy's end would free the addresses
    shown._state = State(instance._state.before)
    return shown


def _actions(EC2Response: Any, EC2Backend: Any, machines: Machines) -> None:
    from moto.core.responses import ActionResult, EmptyResult

    describe, status = EC2Response.describe_instances, EC2Response.describe_instance_status
    describe_attribute = EC2Response.describe_instance_attribute

    def chosen(response: Any) -> list[Any]:
        ids = response._get_param("InstanceIds", [])
        if not ids:
            raise machines.error("MissingParameter", "The request must contain the parameter InstanceIds")
        found = machines.find(response.ec2_backend, ids)
        response.error_on_dryrun()
        return found

    def changed(name: str, answers: list[tuple[str, str, str]]) -> Any:
        def shape(state: str) -> dict[str, Any]:
            return {"Code": CODES[state], "Name": state}

        return ActionResult(
            {
                name: [
                    {"InstanceId": one, "PreviousState": shape(before), "CurrentState": shape(now)}
                    for one, before, now in answers
                ]
            }
        )

    def stop_instances(response: Any) -> Any:
        if response._get_bool_param("Hibernate", False):
            raise NotImplementedError("StopInstances Hibernate")
        force = bool(response._get_bool_param("Force", False))
        return changed("StoppingInstances", machines.stop(chosen(response), force))

    def start_instances(response: Any) -> Any:
        return changed("StartingInstances", machines.start(chosen(response)))

    def reboot_instances(response: Any) -> Any:
        machines.reboot(chosen(response))
        return EmptyResult()

    def terminate_instances(response: Any) -> Any:
        bury = partial(_bury, response.ec2_backend)
        return changed("TerminatingInstances", machines.terminate(chosen(response), bury))

    def describe_instances(response: Any) -> Any:
        machines.find(response.ec2_backend, response._get_param("InstanceIds", []))
        _view.stale = bool(_mended[0].faults.stale_ec2)
        try:
            return describe(response)
        finally:
            _view.stale = False

    def describe_instance_status(response: Any) -> Any:
        machines.find(response.ec2_backend, response._get_param("InstanceIds", []))
        return status(response)

    def describe_instance_attribute(response: Any) -> Any:
        machines.find(response.ec2_backend, [response._get_param("InstanceId")])
        return describe_attribute(response)

    EC2Response.stop_instances = stop_instances
    EC2Response.start_instances = start_instances
    EC2Response.reboot_instances = reboot_instances
    EC2Response.terminate_instances = terminate_instances
    EC2Response.describe_instances = describe_instances
    EC2Response.describe_instance_status = describe_instance_status
    EC2Response.describe_instance_attribute = describe_instance_attribute


def _addresses(EC2Response: Any, EC2Backend: Any, error: Callable[[str, str], Exception]) -> None:
    associate, response_associate = EC2Backend.associate_address, EC2Response.associate_address

    def associate_address(
        backend: Any,
        instance: Any = None,
        eni: Any = None,
        address: str | None = None,
        allocation_id: str | None = None,
        reassociate: bool = False,
    ) -> Any:
        found = (
            backend.address_by_ip([address]) if address else backend.address_by_allocation([allocation_id])
        )
        elastic = found[0]
        nic = eni or instance.nics[0]
        if instance is not None and instance._state.name not in ("pending", "running", "stopping", "stopped"):
            raise error(
                "IncorrectInstanceState", f"The instance '{instance.id}' is not in a valid state for this."
            )
        if elastic.eni is nic and elastic.association_id:
            return elastic  # the same again is a success, with the same association
        if elastic.eni is not None:
            if not reassociate:
                raise error(
                    "Resource.AlreadyAssociated",
                    f"resource {elastic.allocation_id} is already associated with associate-id "
                    f"{elastic.association_id}",
                )
            backend.disassociate_address(association_id=elastic.association_id)
        for other in backend.addresses:  # one address for each private address: the older one is let go
            if other is not elastic and other.eni is nic:
                if not reassociate:
                    raise error(
                        "Resource.AlreadyAssociated",
                        f"resource {nic.id} is already associated with associate-id {other.association_id}",
                    )
                backend.disassociate_address(association_id=other.association_id)
        return associate(backend, instance=instance, eni=eni, address=elastic.public_ip, reassociate=True)

    def checked(response: Any) -> Any:
        if response._get_param("PrivateIpAddress"):
            raise NotImplementedError("AssociateAddress PrivateIpAddress")
        return response_associate(response)

    EC2Backend.associate_address = associate_address
    EC2Response.associate_address = checked


def _true(value: Any) -> bool:
    return str(value).lower() == "true"
