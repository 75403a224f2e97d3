# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Auto Scaling groups as they are: capacity is a wish, instances boot and die by themselves, protection and hooks count."""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING, Any

from . import ec2

if TYPE_CHECKING:
    from . import Endpoint

LIFECYCLE = "/latest/meta-data/autoscaling/target-lifecycle-state"
TERMINATING = "autoscaling:EC2_INSTANCE_TERMINATING"


class Groups:
    """Brings each group's instances to what is wished for; `second` is how long a second of its rules lasts.

    `activities` lists what was done, the oldest first: (epoch seconds, group, "launch" | "terminate" | "replace", instance).
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._since: dict[str, float] = {}  # an instance's launch, or its wait for a hook
        self.activities: list[tuple[float, str, str, str]] = []
        self.second = 1.0

    def forget(self) -> None:
        """Nothing has happened."""
        self._since.clear()
        self.activities.clear()

    def reconcile(self, now: float) -> None:
        """One look at every group."""
        from .mended import regions

        moto = self._endpoint.moto
        if "autoscaling" in self._endpoint.faults.down:
            return
        for backend in regions("autoscaling"):
            for group in list(backend.autoscaling_groups.values()):
                with moto.lock("autoscaling"), moto.lock("ec2"):
                    self._look(backend, group, now)

    def _note(self, now: float, group: Any, what: str, instance: Any) -> None:
        self.activities.append((now, group.name, what, instance.id))

    def _look(self, backend: Any, group: Any, now: float) -> None:
        for state in list(group.instance_states):
            self._age(backend, group, state, now)
        dying = getattr(group, "dying", False)
        if dying and not group.instance_states:
            backend.autoscaling_groups.pop(group.name, None)
            for name in [
                one.name for one in backend.policies.values() if one.auto_scaling_group_name == group.name
            ]:
                backend.policies.pop(name)
            for name in [
                key
                for key, hook in backend.lifecycle_hooks.items()
                if hook.auto_scaling_group_name == group.name
            ]:
                backend.lifecycle_hooks.pop(name)
            return
        staying = [one for one in group.instance_states if one.lifecycle_state in ("Pending", "InService")]
        wanted = 0 if dying else group.desired_capacity
        for _more in range(wanted - len(staying)):
            self._launch(group, now)
        free = [one for one in staying if dying or not one.protected_from_scale_in]
        for state in free[: max(0, len(staying) - wanted)]:
            self._end(backend, group, state, now, hooks=not dying)

    def _age(self, backend: Any, group: Any, state: Any, now: float) -> None:
        """What became of one instance since the last look."""
        power = state.instance._state.name
        broken = self._endpoint.status_checks.get(state.instance.id, "ok") != "ok"
        if power not in ("pending", "running") or broken:
            group.instance_states.remove(state)
            if state.lifecycle_state in ("Pending", "InService"):
                self._note(now, group, "replace", state.instance)
            if power in ("pending", "running"):
                ec2.terminate(group.ec2_backend, state.instance)
        elif state.lifecycle_state == "Pending" and power == "running":
            state.lifecycle_state = "InService"
        elif state.lifecycle_state == "Terminating:Wait":
            hook = _hook(backend, group)
            late = (
                hook is None or now - self._since[state.instance.id] >= hook.heartbeat_timeout * self.second
            )
            if getattr(state, "completed", False) or late:
                state.lifecycle_state = "Terminating:Proceed"
                ec2.terminate(group.ec2_backend, state.instance)

    def _launch(self, group: Any, now: float) -> None:
        from moto.autoscaling.models import InstanceState

        version = group.ec2_launch_template.get_version(group.launch_template_version)
        data = version.data
        tags = {"aws:autoscaling:groupName": group.name, **group.get_propagated_tags()}
        made = group.ec2_backend.run_instances(
            data.get("ImageId"),
            1,
            None,
            list(data.get("SecurityGroups") or []),
            instance_type=data.get("InstanceType") or "t4g.small",
            is_instance_type_default=True,
            tags={"instance": tags},
            placement=group.availability_zones[len(self.activities) % len(group.availability_zones)],
            subnet_id=group.vpc_zone_identifier.split(",")[0] if group.vpc_zone_identifier else None,
            security_group_ids=list(data.get("SecurityGroupIds") or []),
        )
        instance = made.instances[0]
        instance.sandbox_user_data = base64.b64decode(str(data.get("UserData") or "")).decode()
        instance.sandbox_profile = (data.get("IamInstanceProfile") or {}).get("Arn", "")
        instance.sandbox_shutdown = data.get("InstanceInitiatedShutdownBehavior", "stop")
        instance.autoscaling_group = group
        state = InstanceState(
            instance, "Pending", protected_from_scale_in=group.new_instances_protected_from_scale_in
        )
        group.instance_states.append(state)
        self._since[instance.id] = now
        self._note(now, group, "launch", instance)
        ec2.boot(instance)

    def _end(self, backend: Any, group: Any, state: Any, now: float, hooks: bool) -> None:
        self._note(now, group, "terminate", state.instance)
        self._endpoint.set_metadata(state.instance.id, LIFECYCLE, "Terminated")
        if hooks and _hook(backend, group) is not None:
            state.lifecycle_state = "Terminating:Wait"
            self._since[state.instance.id] = now
            return
        state.lifecycle_state = "Terminating"
        ec2.terminate(group.ec2_backend, state.instance)

    # -- policies

    def execute(self, region: str, arn: str, over: float, now: float | None = None) -> bool:
        """Run a step policy with a metric so far over (or under) its alarm's threshold. False when there is none."""
        from .mended import backend as backend_of

        backend = backend_of("autoscaling", region)
        with self._endpoint.moto.lock("autoscaling"):
            policy = next((one for one in backend.policies.values() if arn in (one.arn, one.name)), None)
            group = backend.autoscaling_groups.get(policy.auto_scaling_group_name) if policy else None
            if policy is None or group is None:
                return False
            step = next((one for one in policy.step_adjustments if _within(one, over)), None)
            if step is not None:
                self._adjust(
                    group, policy, int(step["ScalingAdjustment"]), time.time() if now is None else now
                )
        return True

    def _adjust(self, group: Any, policy: Any, by: int, now: float) -> None:
        staying = [one for one in group.instance_states if one.lifecycle_state in ("Pending", "InService")]
        warmup = getattr(group, "sandbox_warmup", 0.0)
        if by > 0 and policy.estimated_instance_warmup is not None:
            warmup = group.sandbox_warmup = float(policy.estimated_instance_warmup) * self.second
        warm = [one for one in staying if now - self._since.get(one.instance.id, 0.0) >= warmup]
        if policy.adjustment_type == "ChangeInCapacity":
            # what boots or is still wished for has been added for the same reason already
            wished = max(group.desired_capacity, len(warm) + by) if by > 0 else group.desired_capacity + by
        elif policy.adjustment_type == "ExactCapacity":
            wished = by
        else:
            raise NotImplementedError(f"policy of {policy.adjustment_type}")
        # nothing shrinks while something that was added is still warming up
        growing = len(warm) < len(staying) or len(staying) < group.desired_capacity
        if wished >= group.desired_capacity or not growing:
            group.desired_capacity = min(max(wished, group.min_size), group.max_size)


def _within(step: Any, over: float) -> bool:
    low, high = step.get("MetricIntervalLowerBound"), step.get("MetricIntervalUpperBound")
    above = low is None or over >= float(low)
    return above and (high is None or (over < float(high) if float(high) > 0 else over <= float(high)))


def _hook(backend: Any, group: Any) -> Any:
    """The group's hook for the end of an instance, if it has one."""
    found = backend.describe_lifecycle_hooks(group.name)
    return next((one for one in found if one.lifecycle_transition == TERMINATING), None)


def mend(endpoint: Endpoint) -> None:
    """Let moto only remember what is wished for; and the calls that it does not know or that it takes too lightly."""
    from moto.autoscaling.exceptions import AutoscalingClientError
    from moto.autoscaling.models import AutoScalingBackend, FakeAutoScalingGroup
    from moto.autoscaling.responses import AutoScalingResponse
    from moto.core.responses import ActionResult, EmptyResult

    _mended[:] = [endpoint]
    if hasattr(FakeAutoScalingGroup, "sandbox_mended"):
        return
    FakeAutoScalingGroup.sandbox_mended = True

    def refuse(text: str, code: str = "ValidationError") -> Any:
        return AutoscalingClientError(code, text)

    def wish(group: Any, capacity: int | None) -> None:
        group.desired_capacity = group.min_size if capacity is None else capacity
        if not group.min_size <= group.desired_capacity <= group.max_size:
            raise refuse(
                f"New SetDesiredCapacity value {capacity} is outside of min {group.min_size} and max {group.max_size}"
            )

    update_group = FakeAutoScalingGroup.update

    def update(group: Any, *args: Any, **kwargs: Any) -> None:
        given, kwargs["desired_capacity"] = kwargs.get("desired_capacity"), None
        group.set_desired_capacity = lambda _capacity: None  # moto would count instances here
        try:
            update_group(group, *args, **kwargs)
        finally:
            del group.set_desired_capacity
        wanted = group.desired_capacity if given is None else given
        group.desired_capacity = min(max(wanted, group.min_size), group.max_size)

    def member(response: Any, instance_id: str) -> Any:
        name = response._get_param("AutoScalingGroupName")
        group = response.autoscaling_backend.autoscaling_groups.get(name)
        if group is None:
            raise refuse(f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found")
        for state in group.instance_states:
            if state.instance.id == instance_id:
                return state
        raise refuse(f"The instance {instance_id} is not part of Auto Scaling group {name}.")

    def set_instance_protection(response: Any) -> Any:
        states = [member(response, one) for one in response._get_param("InstanceIds", [])]
        for state in states:
            if state.lifecycle_state != "InService":
                raise refuse(
                    f"The instance {state.instance.id} is not in InService or EnteringStandby or Standby."
                )
        for state in states:
            state.protected_from_scale_in = response._get_bool_param("ProtectedFromScaleIn")
        return EmptyResult()

    def waiting(response: Any) -> Any:
        """The instance that waits at the hook which the call names."""
        state = member(response, response._get_param("InstanceId"))
        hook = _hook(response.autoscaling_backend, state.instance.autoscaling_group)
        named = hook is not None and hook.name == response._get_param("LifecycleHookName")
        # nobody is told a token here: the hook has no topic
        token = response._get_param("LifecycleActionToken")
        if state.lifecycle_state != "Terminating:Wait" or not named or token:
            raise refuse(
                f"No active Lifecycle Action found with {f'token {token}' if token else f'instance ID {state.instance.id}'}"
            )
        return state

    def complete_lifecycle_action(response: Any) -> Any:
        result = response._get_param("LifecycleActionResult")
        if result not in ("CONTINUE", "ABANDON"):
            raise refuse(f"Lifecycle action result {result} is neither CONTINUE nor ABANDON")
        waiting(response).completed = True
        return EmptyResult()

    def record_lifecycle_action_heartbeat(response: Any) -> Any:
        _mended[0].groups._since[waiting(response).instance.id] = time.time()
        return EmptyResult()

    def delete_auto_scaling_group(response: Any) -> Any:
        name = response._get_param("AutoScalingGroupName")
        group = response.autoscaling_backend.autoscaling_groups.get(name)
        if group is None:
            raise refuse(f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found")
        if group.instance_states and not response._get_bool_param("ForceDelete", False):
            raise refuse("You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s) "
                         "still in the group.", "ResourceInUse")  # fmt: skip
        group.min_size = group.desired_capacity = 0
        group.dying = True
        if not group.instance_states:
            _mended[0].groups._look(response.autoscaling_backend, group, time.time())
        return EmptyResult()

    put_scaling_policy = AutoScalingResponse.put_scaling_policy

    def put_policy(response: Any) -> Any:
        name = response._get_param("AutoScalingGroupName")
        if name not in response.autoscaling_backend.autoscaling_groups:
            raise refuse(f"Group {name} not found")
        put_scaling_policy(response)
        return ActionResult(
            {"PolicyARN": response.autoscaling_backend.policies[response._get_param("PolicyName")].arn}
        )

    def describe_policies(response: Any) -> Any:
        found = response.autoscaling_backend.describe_policies(
            autoscaling_group_name=response._get_param("AutoScalingGroupName"),
            policy_names=response._get_param("PolicyNames", []),
            policy_types=response._get_param("PolicyTypes", []),
        )
        return ActionResult({"ScalingPolicies": [_policy(one) for one in found]})

    def execute_policy(response: Any) -> Any:
        value, breach = response._get_param("MetricValue"), response._get_param("BreachThreshold")
        if value is None or breach is None:
            raise refuse("MetricValue and BreachThreshold are needed for a policy of type StepScaling")
        name = response._get_param("PolicyName")
        if not _mended[0].groups.execute(response.region, name, float(value) - float(breach)):
            raise refuse(f"Policy {name} not found")
        return EmptyResult()

    FakeAutoScalingGroup.set_desired_capacity = wish
    FakeAutoScalingGroup.update = update
    AutoScalingBackend.notify_terminate_instances = lambda _backend, _ids: None
    AutoScalingResponse.set_instance_protection = set_instance_protection
    AutoScalingResponse.complete_lifecycle_action = complete_lifecycle_action
    AutoScalingResponse.record_lifecycle_action_heartbeat = record_lifecycle_action_heartbeat
    AutoScalingResponse.delete_auto_scaling_group = delete_auto_scaling_group
    AutoScalingResponse.put_scaling_policy = put_policy
    AutoScalingResponse.describe_policies = describe_policies
    AutoScalingResponse.execute_policy = execute_policy


def _policy(one: Any) -> dict[str, Any]:
    steps = [{name: float(value) if "Bound" in name else int(value) for name, value in step.items()}
             for step in one.step_adjustments]  # fmt: skip
    told = {
        "PolicyName": one.name, "PolicyARN": one.arn, "AutoScalingGroupName": one.auto_scaling_group_name,
        "PolicyType": one.policy_type, "AdjustmentType": one.adjustment_type, "StepAdjustments": steps, "Enabled": True,
        "MetricAggregationType": one.metric_aggregation_type, "Alarms": [],
    }  # fmt: skip
    if one.estimated_instance_warmup is not None:
        told["EstimatedInstanceWarmup"] = int(one.estimated_instance_warmup)
    return told


_mended: list[Any] = []
