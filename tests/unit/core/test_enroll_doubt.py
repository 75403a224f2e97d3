# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every doubt that leaves a record as it was: nothing written, one line that says why; and what check mode tells."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.enroll import Enrolled, EnrollError, Enrolment

from tests.simulation.world import World

NEW = "i-0cccccccccccccccc"
WRITES = {"dynamodb:PutItem", "dynamodb:UpdateItem", "ec2:StopInstances", "ec2:AssociateAddress"}


def deploy(world: World, **more: Any) -> Enrolled:
    return Enrolment(world.pair(), world.ports(), "keiko", **more).run()


def refused(world: World, **more: Any) -> str:
    before = copy.deepcopy(world.dynamo.items)
    with pytest.raises(EnrollError) as caught:
        deploy(world, **more)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    assert world.dynamo.items == before, "nothing is written"
    assert world.events == []
    return text


def bare(a: str = "stopped", b: str = "stopped", **changes: Any) -> World:
    """A pair without a record, with the product in these states."""
    world = World(**changes)
    world.nodes["hub-a"].product, world.nodes["hub-b"].product = a, b
    return world


# -- created


@pytest.mark.parametrize(
    ("a", "b", "active"),
    [("running", "stopped", "hub-a"), ("stopped", "running", "hub-b"), ("stopped", "stopped", "hub-a")],
)
def test_it_is_made_from_what_runs(a: str, b: str, active: str) -> None:
    world = bare(a, b)
    found = deploy(world)
    record = world.record()
    assert (found.action, found.changed, found.before, found.record) == ("created", True, None, record)
    assert (record.active, record.epoch, record.state, record.move, record.lease) == (
        active,
        1,
        "steady",
        None,
        None,
    )
    assert record.nodes == world.pair().instance_ids()
    assert record.times["active_since"] == pytest.approx(1_790_000_000, abs=10)
    assert active in found.message
    assert world.events == [], "a running service is adopted, never restarted"
    assert deploy(world).action == "unchanged"


@pytest.mark.parametrize(("node", "seen", "floor"), [("hub-a", 9, 3), ("hub-b", 2, 9), ("hub-b", 9, 9)])
def test_its_epoch_is_above_what_both_have_seen(node: str, seen: int, floor: int) -> None:
    world = bare("running")
    world.nodes[node].seen, world.nodes[node].floor = seen, floor
    deploy(world)
    assert world.record().epoch == 10


def test_a_move_works_with_a_record_made_so() -> None:
    world = bare("running")
    world.nodes["hub-a"].seen = world.nodes["hub-b"].floor = 6
    deploy(world)
    assert world.run(mode="switchover").outcome == "moved"
    assert world.overlaps == 0


def silence(world: World) -> None:
    world.nodes["hub-b"].online = False


def freeze(world: World) -> None:
    world.nodes["hub-b"].frozen = True


def set_product(state: str) -> Any:
    def change(world: World) -> None:
        world.nodes["hub-b"].product = state

    return change


def no_count(world: World) -> None:
    world.nodes["hub-b"].detail["processes"] = None


def no_replicas_known(world: World) -> None:
    world.network.denied = {"dynamodb:DescribeTable"}


def foreign(world: World) -> None:
    world.nodes["hub-b"].eligible["marker"] = "hub-test"


def no_table(world: World) -> None:
    world.raw = {**world.raw, "table": "nowhere"}


def no_right(world: World) -> None:
    world.network.denied = {"ssm:SendCommand"}


def no_ssm(world: World) -> None:
    world.network.down = {"ssm"}


def no_dynamo(world: World) -> None:
    world.network.down = {"dynamodb"}


TROUBLES = [
    (silence, "hub-b gives no answer (its SSM agent is not registered or not online)"),
    (freeze, "hub-b gives no answer"),
    (set_product("hung"), "hub-b cannot tell whether the service runs there: hung"),
    (set_product("unknown"), "hub-b cannot tell whether the service runs there: unknown"),
    (foreign, "the shared folder on hub-b belongs to pair 'hub-test', not to 'hub-prod'"),
    (no_table, "there is no table 'nowhere'"),
    (no_count, "hub-b"),
    (no_replicas_known, "whether the table has replicas must be known first"),
    (no_right, "the right for this call is missing"),
    (no_ssm, "SSM SendCommand"),
    (no_dynamo, "DynamoDB GetItem"),
]


@pytest.mark.parametrize(("change", "text"), TROUBLES, ids=lambda value: getattr(value, "__name__", None))
@pytest.mark.parametrize("check", [False, True])
def test_no_record_is_made_in_doubt(change: Any, text: str, check: bool) -> None:
    world = bare("running")
    change(world)
    assert text in refused(world, check=check)


def test_a_folder_without_a_marker_is_no_foreign_one() -> None:
    for marker in (None, "", "hub-prod"):
        world = bare("running")
        world.nodes["hub-b"].eligible["marker"] = marker
        assert deploy(world).action == "created"
    for odd in ("x", 7, [1]):
        world = bare("running")
        world.nodes["hub-b"].eligible = odd  # type: ignore[assignment]
        assert deploy(world).action == "created"


def test_a_deploy_that_was_faster_is_named() -> None:
    world = bare("running")
    moments = iter(range(1000))

    def faster(_service: str, operation: str, done: bool) -> None:
        if operation == "PutItem" and not done and next(moments) == 0:
            world.nodes["hub-b"].seen = 5  # what it saw differs, and so does its record
            deploy(world)

    world.network.hook = faster
    with pytest.raises(EnrollError, match="another deploy was faster"):
        Enrolment(world.pair(), world.ports(), "akira").run()
    assert world.record().epoch == 6


# -- there already


def test_what_is_there_is_left_alone() -> None:
    for change in (lambda world: None, silence, set_product("hung")):
        world = World().steady()
        change(world)
        before = copy.deepcopy(world.dynamo.items)
        found = deploy(world)
        assert (found.action, found.changed, found.before) == ("unchanged", False, found.record)
        assert world.dynamo.items == before


def test_a_move_in_flight_is_left_alone() -> None:
    world = World().steady()
    world.nodes["hub-a"].frozen = True
    world.stop_error = "ServiceUnavailable"
    assert world.run(assume_down=True).outcome == "unfinished"
    assert deploy(world).action == "unchanged"
    world.stop_error = ""
    assert world.run(assume_down=True, to="hub-b").outcome == "moved"


def restored(a: str = "stopped", b: str = "stopped") -> World:
    world = World().steady()
    world.nodes["hub-a"].product, world.nodes["hub-b"].product = a, b
    world.nodes["hub-b"].seen = 12
    world.nodes["hub-a"].floor = 13
    return world


def test_a_restored_record_is_mended_above_what_both_have_seen() -> None:
    world = restored()
    found = deploy(world)
    record = world.record()
    assert (found.action, found.before and found.before.epoch) == ("mended", 7)
    assert (record.active, record.epoch, record.state, record.lease, record.move) == (
        "hub-a",
        14,
        "steady",
        None,
        None,
    )
    assert record.times["deployed"] is not None
    assert found.record == record
    assert deploy(world).action == "unchanged"


def test_a_restored_record_in_mid_move_is_mended_too() -> None:
    world = World().steady()
    world.nodes["hub-a"].frozen = True
    world.stop_error = "ServiceUnavailable"
    world.run(assume_down=True)
    world.product(world.nodes["hub-a"], "stopped")
    world.nodes["hub-a"].frozen = False
    world.nodes["hub-b"].seen = 12
    deploy(world)
    record = world.record()
    assert (record.active, record.epoch, record.state, record.move) == ("hub-a", 13, "steady", None)


@pytest.mark.parametrize(("a", "b"), [("running", "stopped"), ("stopped", "running"), ("hung", "stopped")])
def test_a_restored_record_is_not_mended_while_anything_runs(a: str, b: str) -> None:
    refused(restored(a, b))


def test_a_restored_record_is_not_mended_while_a_node_is_silent() -> None:
    world = restored()
    silence(world)
    world.nodes["hub-a"].seen = 14
    assert "hub-b gives no answer" in refused(world)


# -- replaced


def replaced(name: str = "hub-b", **steady: Any) -> World:
    """The inventory names a new instance, which runs; the old one is still there, and runs as well."""
    world = World().steady(**steady)
    old = world.nodes[name].instance_id
    world.raw = copy.deepcopy(world.raw)
    next(node for node in world.raw["nodes"] if node["name"] == name)["instance_id"] = NEW
    world.nodes[name].instance_id = NEW
    world.nodes[name].seen = world.nodes[name].floor = 0
    world.gone[old] = "running"
    return world


def test_a_replaced_standby_whose_old_instance_is_off() -> None:
    world = replaced()
    world.gone["i-0bbbbbbbbbbbbbbbb"] = "stopped"
    found = deploy(world)
    record = world.record()
    assert (found.action, found.before and dict(found.before.nodes)["hub-b"]) == (
        "replaced",
        "i-0bbbbbbbbbbbbbbbb",
    )
    assert (record.nodes["hub-b"], record.active, record.epoch, record.lease) == (NEW, "hub-a", 8, None)
    assert "given_up" not in record.times
    assert world.events == []
    assert deploy(world).action == "unchanged"
    assert world.run(mode="switchover").outcome == "moved" and world.overlaps == 0


@pytest.mark.parametrize("state", ["running", "stopping", "pending"])
@pytest.mark.parametrize("given_up", ["", "it burned"])
def test_an_old_instance_that_is_listed_must_be_off_whatever_is_sworn(state: str, given_up: str) -> None:
    world = replaced()
    world.gone["i-0bbbbbbbbbbbbbbbb"] = state
    text = refused(world, given_up=given_up)
    assert (
        "i-0bbbbbbbbbbbbbbbb, which was hub-b, is not proven off" in text
        and "stop or terminate it first" in text
    )


def test_an_old_instance_of_which_ec2_will_not_speak_is_not_given_up() -> None:
    world = replaced()
    world.network.down = {"ec2"}
    assert "stop or terminate it first" in refused(world, given_up="it burned")


def test_one_that_ec2_no_longer_lists_needs_somebody_who_gives_it_up() -> None:
    world = replaced()
    world.gone["i-0bbbbbbbbbbbbbbbb"] = ""
    assert "say allow_unfenced with a reason" in refused(world)
    assert deploy(world, given_up="it burned").action == "replaced"
    assert world.record().times["given_up"] == "keiko: it burned"


def test_both_at_once_are_not_replaced() -> None:
    world = replaced()
    world.raw["nodes"][0]["instance_id"] = "i-0dddddddddddddddd"
    world.nodes["hub-a"].instance_id = "i-0dddddddddddddddd"
    assert "replace one at a time" in refused(world, given_up="both burned")


def test_two_that_changed_places_are_not_replaced() -> None:
    world = World().steady()
    first, second = copy.deepcopy(world.raw["nodes"])
    first["instance_id"], second["instance_id"] = second["instance_id"], first["instance_id"]
    world.raw = {**world.raw, "nodes": [first, second]}
    assert "replace one at a time" in refused(world)


def test_a_node_that_only_got_another_name_is_refused_with_one_line() -> None:
    world = World().steady()
    world.nodes["hub-c"] = world.nodes.pop("hub-b")
    world.nodes["hub-c"].name = "hub-c"
    world.raw = {
        **world.raw,
        "nodes": [world.raw["nodes"][0], {"name": "hub-c", "instance_id": "i-0bbbbbbbbbbbbbbbb"}],
    }
    assert "hub-b" in refused(world)


@pytest.mark.parametrize("state", ["running", "hung", "offline"])
def test_the_new_one_must_answer_that_it_is_stopped(state: str) -> None:
    world = replaced()
    world.gone["i-0bbbbbbbbbbbbbbbb"] = "stopped"
    if state == "offline":
        silence(world)
    else:
        world.nodes["hub-b"].product = state
    assert "hub-b" in refused(world)


def test_not_while_a_move_is_unfinished_or_broken() -> None:
    world = World().steady()
    world.nodes["hub-a"].frozen = True
    world.stop_error = "ServiceUnavailable"
    world.run(assume_down=True)
    world.raw = copy.deepcopy(world.raw)
    world.raw["nodes"][0]["instance_id"] = NEW
    with pytest.raises(EnrollError, match="the pair is moving: finish that before"):
        deploy(world)


def test_not_while_somebody_else_holds_the_record() -> None:
    world = replaced()
    world.gone["i-0bbbbbbbbbbbbbbbb"] = "stopped"
    store = world.ports().store
    held = store.update(store.read(), lease=store.new_lease("akira@b/2", 30))

    def renew() -> None:
        store.update(held, lease=store.new_lease("akira@b/2", 30))

    world.clock.at(12, renew)
    with pytest.raises(EnrollError, match="akira@b/2"):
        deploy(world)
    assert world.record().nodes["hub-b"] == "i-0bbbbbbbbbbbbbbbb"


def test_a_record_that_changed_meanwhile_is_not_written_over() -> None:
    world = replaced()
    world.gone["i-0bbbbbbbbbbbbbbbb"] = "stopped"
    store = world.ports().store
    held = store.update(store.read(), lease=store.new_lease("dead@b/2", 30))
    world.clock.at(12, lambda: store.update(held, lease=None, epoch=11) and None)
    with pytest.raises(EnrollError, match="changed meanwhile"):
        deploy(world)
    assert world.record().epoch == 11 and world.record().lease is None


# -- check mode


@pytest.mark.parametrize("make", [lambda: bare("running"), bare, restored, replaced])
def test_check_mode_tells_the_same_and_writes_nothing(make: Any) -> None:
    world = make()
    world.gone["i-0bbbbbbbbbbbbbbbb"] = "stopped"
    before = copy.deepcopy(world.dynamo.items)
    plan = deploy(world, check=True)
    assert world.dynamo.items == before and not WRITES & set(world.network.names()[-20:])
    found = deploy(world)
    assert (plan.action, plan.message, plan.changed) == (found.action, found.message, True)
    assert (plan.record.active, plan.record.epoch, plan.record.nodes) == (
        found.record.active,
        found.record.epoch,
        found.record.nodes,
    )
