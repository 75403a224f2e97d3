# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Three nodes of ASTERIA Warp behind a load balancer: one after the other, stopped at the first failure, taken back."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from moto.elbv2.models import FakeTargetGroup

from sandbox.endpoint import Caller, Endpoint
from sandbox.standins.journal import Journal
from sandbox.standins.warp.install import install
from sandbox.world import processes
from tests.integration.pair.rig import BIN, ROOT, Played, Run

KEY, REGION = "AKIACONTROLLER000000", "ap-northeast-1"
OWN = ("system/conf/server.xconf", "system/license")


class Farm:
    """Nodes n1 to n3 on this machine, and a load balancer that asks each whether it runs."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.names = ("n1", "n2", "n3")
        self.told: list[tuple[str, str]] = []
        self.patch = pytest.MonkeyPatch()
        self._listen()
        self.endpoint = Endpoint()
        self.endpoint.keys = {KEY: Caller("controller", "controller")}
        self.endpoint.start()
        self.elb, ec2 = (self.client(name) for name in ("elbv2", "ec2"))
        made = ec2.run_instances(ImageId="ami-12345678", MinCount=3, MaxCount=3)["Instances"]
        self.ids = {name: item["InstanceId"] for name, item in zip(self.names, made)}
        vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        self.group = self.elb.create_target_group(
            Name="warp", Protocol="HTTP", Port=80, VpcId=vpc, HealthCheckPath="/active", TargetType="instance"
        )["TargetGroups"][0]["TargetGroupArn"]
        self.servers = {name: self._server(name) for name in self.names}
        self.trees = {
            name: install(self.state / name, name, self.state, self.journal(name)) for name in self.names
        }
        hosts = {}
        for name in self.names:
            self.command(name, "boot/bin/flowsvc")
            target = {"Id": self.ids[name], "Port": self.servers[name].server_port}
            self.elb.register_targets(TargetGroupArn=self.group, Targets=[target])
            hosts[name] = {
                "hotstandby_root": str(self.state / name),
                "warp_rollout_install_dir": str(self.trees[name][0]),
                "warp_rollout_data_dir": str(self.trees[name][1]),
                "warp_rollout_target_id": self.ids[name],
                "warp_rollout_target_port": self.servers[name].server_port,
            }
        # with `gone` n2 cannot be reached any more once it has got its copy
        hosts["n2"]["ansible_remote_tmp"] = (
            "{{ '/dev/null/x' if gone is defined and hostvars['n2'].warp_rollout_synced is defined else '~/.ansible/tmp' }}"
        )
        given = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "hotstandby_become": False,
            "warp_rollout_target_group": self.group,
            "warp_rollout_region": REGION,
            "warp_rollout_endpoint_url": self.endpoint.url,
            "warp_rollout_required_services": ["http"],
            "warp_rollout_start_timeout": 15,
            "warp_rollout_healthy_timeout": 20,
        }
        (state / "inventory.yml").write_text(yaml.safe_dump({"hotstandby": {"hosts": hosts, "vars": given}}))

    def client(self, service: str) -> Any:
        return boto3.session.Session(KEY, "secret", region_name=REGION).client(
            service, endpoint_url=self.endpoint.url
        )

    def journal(self, name: str) -> Path:
        # each is a service of its own: they run side by side
        path = self.state / f"{name}-journal"
        Journal(str(path))
        return path

    def _server(self, name: str) -> http.server.HTTPServer:
        farm = self

        class Active(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200 if farm.runs(name) else 503)
                self.end_headers()

            def log_message(self, *_words: Any) -> None:
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Active)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    def command(self, name: str, command: str) -> None:
        subprocess.run(
            [str(self.trees[name][0] / command)], env={"PATH": "/usr/bin:/bin"}, check=False, timeout=60
        )

    def runs(self, name: str) -> bool:
        return bool(Journal(str(self.journal(name))).running())

    def events(self, name: str) -> list[str]:
        return [event["event"] for event in Journal(str(self.journal(name))).read()["events"]]

    def knob(self, name: str, **knobs: bool) -> None:
        (self.state / name / "var/sandbox/knobs.json").write_text(json.dumps(knobs))

    def serving(self) -> list[str]:
        found = self.elb.describe_target_health(TargetGroupArn=self.group)["TargetHealthDescriptions"]
        healthy = [item["Target"]["Id"] for item in found if item["TargetHealth"]["State"] == "healthy"]
        return [name for name in self.names if self.ids[name] in healthy]

    def files(self, name: str) -> dict[str, bytes]:
        """{path: content} of all that has to be equal."""
        found = {}
        for root in self.trees[name]:
            for path in root.rglob("*"):
                short = str(path.relative_to(root))
                mine = root == self.trees[name][1] and short.startswith((*OWN, "log"))
                if path.is_file() and not mine:
                    found[short] = path.read_bytes()
        return found

    def moves(self) -> list[tuple[str, str]]:
        """What the load balancer was told since the last question."""
        names = {ident: name for name, ident in self.ids.items()}
        found = [(way, names[ident]) for way, ident in self.told]
        self.told.clear()
        return found

    def _listen(self) -> None:
        """Note what the load balancer is told: the endpoint lives in this process."""
        for way, name in (("in", "register"), ("out", "deregister")):
            real = getattr(FakeTargetGroup, name)

            def heard(group: Any, targets: list[dict[str, Any]], way: str = way, real: Any = real) -> Any:
                self.told += [(way, item["Id"]) for item in targets]
                return real(group, targets)

            self.patch.setattr(FakeTargetGroup, name, heard)

    def playbook(self, *arguments: str, **extra: Any) -> Played:
        out = self.state / "result.json"
        out.unlink(missing_ok=True)
        argv = [
            str(BIN / "ansible-playbook"), "-i", str(self.state / "inventory.yml"), "hotstandby.ops.warp_rollout",
            f"-ehotstandby_result_file={out}", *(f"-e{key}={value}" for key, value in extra.items()), *arguments,
        ]  # fmt: skip
        env = {
            "PATH": f"{BIN}:{os.environ['PATH']}", "HOME": os.environ.get("HOME", "/"), "LC_ALL": "C.UTF-8",
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "collections"), "ANSIBLE_LOCALHOST_WARNING": "false",
            "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": "secret", "PWD": str(self.state),
        }  # fmt: skip
        return Run(argv, self.state, env, out).end()

    def end(self) -> None:
        for name in self.names:
            processes.kill(str(self.state), name)
            self.servers[name].shutdown()
            self.servers[name].server_close()
        self.endpoint.stop()
        self.patch.undo()


@pytest.fixture(scope="module")
def farm() -> Iterator[Farm]:
    state = Path(os.path.realpath(tempfile.mkdtemp(prefix="hotstandby-")))
    made = Farm(state)
    yield made
    made.end()
    shutil.rmtree(state, ignore_errors=True)


def test_one_node_after_the_other_gets_the_version_that_was_saved(farm: Farm) -> None:
    assert farm.serving() == list(farm.names)
    own = {name: (farm.trees[name][1] / OWN[0]).read_text() for name in farm.names}
    (farm.trees["n3"][1] / "home/app/新しい flow.xml").write_text("<flow/>")
    (farm.trees["n2"][1] / "home/stale.xml").write_text("to go")
    farm.moves()
    plan = farm.playbook("--check", source="n3")
    assert plan.rc == 0 and plan.result["changed"] and farm.moves() == [], plan.text
    assert [farm.events(name) for name in farm.names] == [["start"]] * 3
    assert farm.files("n3") != farm.files("n1")
    done = farm.playbook(reason="a new flow", source="n3", serial=2)
    assert done.rc == 0 and done.result["source"] == "n3" and done.result["next"] == "", done.text
    told = {name: (item["changed"], item["deleted"]) for name, item in done.result["nodes"].items()}
    assert told == {"n1": (True, 0), "n2": (True, 1), "n3": (False, 0)}
    # first the source, then the two others at once
    moves = farm.moves()
    assert moves[:2] == [("out", "n3"), ("in", "n3")] and [way for way, _name in moves[2:4]] == ["out", "out"]
    assert sorted(moves[2:]) == [("in", "n1"), ("in", "n2"), ("out", "n1"), ("out", "n2")]
    assert [farm.events(name) for name in farm.names] == [["start", "stop", "start"]] * 3
    assert farm.files("n1") == farm.files("n2") == farm.files("n3") and farm.serving() == list(farm.names)
    assert own == {name: (farm.trees[name][1] / OWN[0]).read_text() for name in farm.names}


def test_it_stops_at_the_first_failure_and_is_taken_back(farm: Farm) -> None:
    before = farm.files("n1")
    (farm.trees["n1"][1] / "home/app/bad.xml").write_text("<bad/>")
    farm.knob("n1", start_fails=True)
    farm.moves()
    failed = farm.playbook(reason="a bad one")
    assert failed.rc != 0 and "n1, the source: " in failed.text and "Nothing was rolled out" in failed.text, (
        failed.text
    )
    assert (
        "-e source=n1" in failed.text and farm.moves() == [("out", "n1")] and farm.serving() == ["n2", "n3"]
    )
    # the same again starts it (its name may be given, so that one that stopped goes on); the node that is gone in the middle of
    # its turn stays out, the third one is not touched
    farm.knob("n1")
    name, third = "20260102T030405Z", farm.events("n3")
    failed = farm.playbook(rollout=name, reason="a bad one", gone="yes")
    assert (
        failed.rc != 0 and f"Next: ansible-playbook hotstandby.ops.warp_rollout -e undo={name}" in failed.text
    )
    assert "n2: it cannot be reached any more" in failed.text and farm.moves() == [
        ("in", "n1"),
        ("out", "n2"),
    ]
    assert farm.serving() == ["n1", "n3"] and farm.files("n2") != before
    assert farm.events("n3") == third and farm.files("n3") == before
    events = [farm.events(node) for node in ("n1", "n3")]
    undone = farm.playbook(undo=name)
    assert undone.rc == 0 and undone.result["undone"] and undone.result["source"] == "n1", undone.text
    assert [node for node, item in undone.result["nodes"].items() if item["changed"]] == ["n2"]
    assert farm.files("n2") == before and farm.serving() == list(farm.names)
    # those that it had not reached were left alone: the source still has the new version, and the way back is told
    assert [farm.events(node) for node in ("n1", "n3")] == events and farm.files("n1") != before
    words = undone.result["next"].split("hotstandby.ops.warp_rollout ")[1]
    assert words == "-e source=n2 --limit n2,n1" and undone.result["next"] in undone.text
    back = farm.playbook(*words.split())
    assert back.rc == 0 and farm.files("n1") == before and farm.serving() == list(farm.names), back.text
    assert farm.events("n3") == events[1]


@pytest.mark.parametrize("trouble", ["start_fails", "gone"])
def test_a_node_under_way_beside_one_that_fails_ends_its_turn(farm: Farm, trouble: str) -> None:
    before, name = farm.files("n1"), "20260203T040506Z" if trouble == "gone" else "20260203T040507Z"
    new = farm.trees["n3"][1] / "home/app/beside.xml"
    new.write_text("<beside/>")
    farm.moves()
    count = len(farm.events("n1"))
    if trouble == "start_fails":
        farm.knob("n2", start_fails=True)
    failed = farm.playbook(
        source="n3", serial=2, rollout=name, **({"gone": "yes"} if trouble == "gone" else {})
    )
    farm.knob("n2")
    assert (
        failed.rc != 0
        and f"n2: {'not running' if trouble == 'start_fails' else 'it cannot be'}" in failed.text
    )
    # n1 was taken out with n2, and is back with what was rolled out; n2 stays out
    moves = farm.moves()
    assert sorted(moves[2:4]) == [("out", "n1"), ("out", "n2")] and moves[4:] == [("in", "n1")]
    assert farm.events("n1")[count:] == ["stop", "start"] and farm.runs("n1") and not farm.runs("n2")
    assert farm.serving() == ["n1", "n3"] and farm.files("n1") == farm.files("n3") != before
    if trouble == "gone":
        # on with it under the same name: n2 is done too
        on = farm.playbook(source="n3", serial=2, rollout=name)
        assert on.rc == 0 and farm.serving() == list(farm.names), on.text
        assert farm.files("n2") == farm.files("n3")
    undone = farm.playbook(undo=name, serial=2)
    assert undone.rc == 0 and farm.files("n1") == farm.files("n2") == before, undone.text
    assert farm.serving() == list(farm.names)
    new.unlink()


def test_what_cannot_be_rolled_out_is_refused(farm: Farm) -> None:
    farm.moves()
    events = [farm.events(name) for name in farm.names]
    for extra, said in (
        ({"source": "n9"}, "source: n9 is no host of this run"),
        # nobody is taken out while fewer than that many others serve
        ({"warp_rollout_min_healthy": 3}, "min_healthy: 2 other healthy targets"),
        ({"undo": "yesterday"}, "undo: yesterday is no name of a rollout"),
        ({"undo": "20010101T000000Z"}, "undo: no backup on n1, n2, n3 is of a rollout 20010101T000000Z"),
    ):
        refused = farm.playbook(**extra)
        assert refused.rc != 0 and said in " ".join(refused.text.split()), refused.text
    assert farm.moves() == [] and farm.serving() == list(farm.names)
    assert events == [farm.events(name) for name in farm.names]
