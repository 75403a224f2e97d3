# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The promises, checked against the world's own truth while it goes on. What is broken is kept, never raised: whoever is
at work would take it for a failure of AWS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.hotstandby.ops.plugins.module_utils.answer import Answer
from ansible_collections.hotstandby.ops.plugins.module_utils.move import Request, Result

from tests.simulation.aws import START

if TYPE_CHECKING:
    from tests.simulation.det.machine import Daemon, Machine
    from tests.simulation.det.scheduler import Proc
    from tests.simulation.det.world import World

TWO = "never two products running"
UNPROVEN = "no start without proof that the other is stopped"
EPOCHS = "the epoch never goes down and never names two nodes"
OLDER = "no command of an older epoch changes anything"
HEALTHY = "no healthy active is stopped by automation"
TRUE = "outcome and history are true of the world"
KEPT = "nothing acknowledged is lost"
ALIVE = "no lease is taken from a holder that renews it"
LEASED = "nothing outside is changed without a fresh lease"
EXIT = "every state has an exit"
TOLD = "the daemons tell the function of a dead active"
STATE = "/var/lib/hotstandby/hub-prod"  # where the guard of a node keeps what it remembers
JUST = 5.0  # seconds within which a fault may have come between a look and its answer


class Rules:
    """Told of every change. `broken` is [(time, rule, what)]."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.broken: list[tuple[float, str, str]] = []
        self.controllers: dict[str, Request] = {}
        self.grants: dict[int, str] = {}
        self.ups: set[tuple[str, int]] = set()
        self.writes: dict[str, list[dict[str, Any]]] = {}  # by whom: what it made of the record
        self.before: dict[str, Any] | None = None
        self.histories: dict[str, dict[str, Any]] = {}
        self.settled: dict[str, dict[str, Any]] = {}  # by move: the history that stood there when it ended
        self.changers: set[str] = set()  # who changed which node is named
        self.trusted = (
            True  # false: somebody starts past the guard, or swears falsely; overlaps are then counted
        )
        self.overlaps: list[tuple[float, float, str]] = []  # from when, until when, who
        self.renewed_at = -1e9
        self.wrote_at: dict[str, float] = {}  # by whom: when it last wrote the record
        self.restored = False  # the record was put back from a backup
        self.closed = False
        self.calls: list[tuple[float, str]] = []  # when a watch daemon called the function, and where

    def begin(self, epoch: int, node: str) -> None:
        self.grants[epoch] = node
        self.ups.add((node, epoch))
        self.before = self.world.record()

    def fail(self, rule: str, what: str) -> None:
        if not self.closed:
            self.broken.append((self.world.now, rule, what))
            self.world.note("RULE BROKEN", rule, what)

    def _others(self, machine: Machine) -> list[Machine]:
        return [item for item in self.world.machines.values() if item is not machine]

    @staticmethod
    def starting(machine: Machine) -> bool:
        """Whether a start command of the product runs there."""
        return any(job.argv[1:2] == ("-start",) for job in machine.jobs)

    # -- the record

    def written(self, item: dict[str, Any], by: str) -> None:
        before, self.before = self.before, item
        if before is None or by == "fault":
            return
        self.writes.setdefault(by, []).append(item)
        self.wrote_at[by] = self.world.now
        old, new = before["active"].get("S"), item["active"].get("S")
        epoch0, epoch1 = int(before["epoch"]["N"]), int(item["epoch"]["N"])
        if epoch1 < epoch0:
            self.fail(EPOCHS, f"{by} lowered the epoch from {epoch0} to {epoch1}")
        if old != new and None not in (old, new):
            self.fail(EPOCHS, f"{by} named {new} while {old} was named")
        if new is not None and (new != old or epoch1 != epoch0):
            if self.grants.setdefault(epoch1, new) != new:
                self.fail(EPOCHS, f"epoch {epoch1} names {new}, and named {self.grants[epoch1]} before")
            if epoch1 <= epoch0:
                self.fail(EPOCHS, f"{by} granted {new} without a new epoch ({epoch1})")
            if self.trusted:
                for other in self._others(self.world.machines[new]):
                    if other.runs or self.starting(other):
                        self.fail(UNPROVEN, f"{by} named {new} while the product of {other.name} ran")
        elif epoch1 != epoch0:
            self.fail(EPOCHS, f"{by} changed the epoch without a grant")
        if (old, epoch0) != (new, epoch1):
            self.changers.add(by)
        if old is not None and new is None:
            self._withdrawn(old, item, by)
        self._ended(before, item, by)
        holder, fresh = before.get("lease", {}).get("M"), item.get("lease", {}).get("M")
        taken = holder and fresh and holder["owner"] != fresh["owner"]
        if taken and self.world.now - self.renewed_at < float(holder["seconds"]["N"]) * 0.95:
            self.fail(ALIVE, f"{by} took the lease of {holder['owner']['S']}, which had just renewed it")
        if fresh != holder:
            self.renewed_at = self.world.now
        paused, pause = before.get("paused", {}).get("M"), item.get("paused", {}).get("M")
        if paused and not pause and not by.startswith("resume"):
            self.fail(KEPT, f"{by} lost the pause of {paused['by']['S']}")

    def _withdrawn(self, node: str, item: dict[str, Any], by: str) -> None:
        move = item["move"].get("M")
        request = self.controllers.get(by)
        if move is None or request is None or move["kind"]["S"] != "failover" or move["rollback"]["BOOL"]:
            return
        if move["assumed"]["BOOL"]:
            return
        machine = self.world.machines[node]
        began = next(proc.began for proc in self.world.procs if proc.name == by)
        serves = machine.serves and machine.up_since < began
        candid = self.world.candid(machine, began - 1.0)
        if serves and candid:
            self.fail(HEALTHY, f"{by} withdrew {node}, which served and answered all the while")
        # an instance that is off cannot say that it was stopped on purpose: then EC2's word is all there is
        if (
            candid
            and not machine.deaf
            and machine.remembers("held")
            and machine.held_since < began
            and not machine.runs
        ):
            self.fail(KEPT, f"{by} moved the service from {node}, where a person stopped it")
        if serves and self._beats(node, began):
            self.fail(HEALTHY, f"{by} withdrew {node}, which served, and whose heartbeat said so")

    def _beats(self, node: str, began: float) -> bool:
        """Whether a node's heartbeat was fresh and well when a move began, and EC2 told no old states."""
        world = self.world
        if world.pair.profile == "fast" or world.ec2_stale or world.hid > began - 1.0:
            return False
        beat = world.table.items[("hub-prod", f"heartbeat#{node}")]
        at = float(beat["time"].get("N", 0)) - START
        return beat["state"]["S"] == "running" and began - 60 < at < began - 1.0 and world.now - at < 150

    def _ended(self, before: dict[str, Any], item: dict[str, Any], by: str) -> None:
        """A move has ended: its history must say what the record says now."""
        move = before.get("move", {}).get("M")
        if move is None or "M" in item.get("move", {}):
            return
        told = self.histories.get(move["id"]["S"])
        if told is None or move["step"]["S"] == "confirm":
            return
        self.settled[move["id"]["S"]] = told
        for key in ("active", "epoch"):
            if told[key] != item[key]:
                self.fail(TRUE, f"history of {move['id']['S']}: {key} {told[key]}, the record {item[key]}")
        broken = told["outcome"]["S"] == "broken"
        if broken != (item["state"]["S"] == "broken"):
            self.fail(TRUE, f"history says {told['outcome']['S']}, the record {item['state']['S']}")

    def history(self, item: dict[str, Any], by: str) -> None:
        move = item["id"]["S"]
        if self.settled.get(move, item) != item:
            self.fail(TRUE, f"{by} wrote over the history of {move}, which another had ended")
        self.histories[move] = item

    # -- nodes

    def ordered_start(self, machine: Machine, proc: Proc | None) -> None:
        """The product was told to start."""
        if proc is None or proc.verb == "oath":
            return
        if proc.verb not in ("start", "boot"):
            self.fail(OLDER, f"{proc.name} started the product")
        if proc.epoch is not None and proc.epoch < self.world.epoch and not self.restored:
            self.fail(OLDER, f"{proc.name} starts with epoch {proc.epoch}, {self.world.epoch} is granted")
        if not self.trusted:
            return
        for other in self._others(machine):
            if other.runs or self.starting(other):
                self.fail(UNPROVEN, f"{proc.name} starts while the product of {other.name} runs")

    def started(self, machine: Machine, proc: Proc | None) -> int:
        """A daemon begins; returns the epoch it was started with, 0 past the guard."""
        world = self.world
        epoch = 0 if proc is None or proc.verb == "oath" else int(machine.files.get(f"{STATE}/seen", "0"))
        for other in self._others(machine):
            if other.runs:
                self.overlaps.append((world.now, float("inf"), f"{machine.name} beside {other.name}"))
                if self.trusted:
                    self.fail(TWO, f"{machine.name} begins while {other.name} runs")
        if epoch and not self.restored:
            if world.epoch > epoch:
                self.fail(
                    OLDER, f"a start with epoch {epoch} came up on {machine.name}, {world.epoch} is granted"
                )
            if self.grants.get(epoch) != machine.name:
                self.fail(OLDER, f"{machine.name} starts with epoch {epoch} of {self.grants.get(epoch)}")
        return epoch

    def gone(self) -> None:
        """A daemon is gone: an overlap may have ended."""
        if self.overlaps and sum(machine.runs for machine in self.world.machines.values()) < 2:
            since, until, who = self.overlaps[-1]
            self.overlaps[-1] = since, min(until, self.world.now), who

    def up(self, machine: Machine, daemon: Daemon) -> None:
        self.ups.add((machine.name, daemon.epoch))
        machine.up_since = self.world.now

    def ordered_stop(self, machine: Machine, proc: Proc | None) -> None:
        """The product was told to stop."""
        if proc is None:
            return
        for daemon in machine.daemons.values():
            if proc.verb == "stop" and proc.epoch is not None and daemon.epoch > proc.epoch:
                self.fail(OLDER, f"{proc.name}: a stop with epoch {proc.epoch} meets epoch {daemon.epoch}")
            named = self.world.active == machine.name and daemon.epoch == self.world.epoch
            if proc.verb == "healthcheck" and named:
                self.fail(HEALTHY, f"{proc.name} stops the node that the record names")
        if proc.verb == "healthcheck" and self.world.active is None and self.trusted:
            self.fail(HEALTHY, f"{proc.name} stops the product while nobody is named")
        if proc.verb not in ("stop", "healthcheck"):
            self.fail(OLDER, f"{proc.name} stops the product")

    def outside(self, proc: Proc, what: str) -> None:
        """A controller changes something that is not the record."""
        age = self.world.now - self.wrote_at.get(proc.name, -1e9)
        if age > self.world.pair.lease and not proc.stalled:
            self.fail(LEASED, f"{proc.name}: {what}, {age:.0f} s after its last renewal")

    def powered_off(self, machine: Machine, proc: Proc) -> None:
        """StopInstances arrives."""
        self.outside(proc, f"powers {machine.name} off")
        named = self.world.active == machine.name
        if named and machine.serves and not proc.stalled:
            self.fail(HEALTHY, f"{proc.name} powers {machine.name} off, which is named and serves")

    def file(self, machine: Machine, path: str, text: str | None, proc: Proc) -> None:
        """One of the guard's files is about to be written or removed."""
        name = path.rpartition("/")[2]
        if name in ("seen", "floor"):
            old, new = int(machine.files.get(path, "0")), int(text or "0")
            if new < old:
                self.fail(OLDER, f"{proc.name} lowers {name} of {machine.name} from {old} to {new}")
            if name == "seen":
                machine.seen_before = old
        if name == "held" and text is not None:
            machine.held_since = self.world.now
        if name == "held" and text is None:
            fresh = proc.epoch is None or proc.epoch > machine.seen_before
            if proc.verb not in ("start", "oath") or not fresh:
                self.fail(KEPT, f"{proc.name} forgets that a person stopped {machine.name}")

    def answered(self, machine: Machine, proc: Proc, told: Answer) -> None:
        """A node's command is about to answer."""
        if told.action == "stop" and told.state == "stopped" and not told.refused and told.epoch is not None:
            left = [daemon for daemon in machine.daemons.values() if 0 < daemon.epoch <= told.epoch]
            if left or (self.trusted and self.starting(machine)):
                self.fail(TRUE, f"{proc.name} proves a stop while the product runs on {machine.name}")
            if int(machine.files.get(f"{STATE}/floor", "0")) < told.epoch:
                self.fail(TRUE, f"{proc.name} proves a stop that does not last: no floor")
        if told.action in ("start", "boot") and told.state == "running":
            self._runs_by(machine, proc, told)
        well = machine.well and self.world.clean(machine, self.world.now - JUST)
        if told.state == "stopped" and well and told.action in ("look", "status") and self._settled(machine):
            self.fail(TRUE, f"{proc.name} says stopped of a product that is up")

    def _runs_by(self, machine: Machine, proc: Proc, told: Answer) -> None:
        """A start says that the product runs; one that ran already is adopted by the new grant."""
        up = [daemon for daemon in machine.daemons.values() if daemon.up]
        if not up and self.world.clean(machine, self.world.now - JUST):
            self.fail(TRUE, f"{machine.name} answers a {told.action} with running, and nothing is up")
        for daemon in up:
            if not told.refused and proc.verb != "oath" and told.seen > daemon.epoch:
                daemon.epoch = told.seen
                self.ups.add((machine.name, told.seen))

    def _settled(self, machine: Machine) -> bool:
        return not self.starting(machine) and self.world.now - machine.up_since > JUST

    def called(self, machine: Machine) -> None:
        """A watch daemon calls the function."""
        self.calls.append((self.world.now, machine.name))

    # -- results

    def result(self, proc: Proc, request: Request, result: Result) -> None:
        """A transition has ended and told its caller."""
        mine = self.writes.get(proc.name, [])
        if request.check:
            if mine:
                self.fail(TRUE, f"{proc.name} ran in check mode and wrote")
            return
        pair = (str(result.active), int(result.epoch or 0))
        up = result.outcome in ("moved", "rolled_back", "unchanged", "degraded")
        if up and pair not in self.ups and not self._adopted(*pair):
            self.fail(TRUE, f"{proc.name}: {result.outcome}, but {pair[0]} was never up with epoch {pair[1]}")
        if result.outcome in ("moved", "rolled_back") and mine:
            # its own last write, or that of another holder who finished the same move with the same words
            for item in (mine[-1], self.world.record()):
                if (item["active"].get("S"), int(item["epoch"]["N"])) == pair and item["state"][
                    "S"
                ] == "steady":
                    break
            else:
                self.fail(TRUE, f"{proc.name}: {result.outcome}, but it left the record otherwise")
        if f"changed by {proc.name}" in f"{result.message} ".replace(";", " "):
            self.fail(TRUE, f"{proc.name} lost its lease to itself: {result.message[:100]}")
        quiet = "othing was changed" in result.message or "othing was stopped" in result.message
        if proc.name in self.changers and (quiet or not result.changed):
            self.fail(TRUE, f"{proc.name} says that nothing was changed: {result.message[:100]}")
        if (
            result.outcome == "broken"
            and mine
            and mine[-1]["state"]["S"] != "broken"
            and "let go" not in result.message
        ):
            self.fail(TRUE, f"{proc.name} says broken, and left the record {mine[-1]['state']['S']}")

    def _adopted(self, node: str, epoch: int) -> bool:
        """Whether a product that ran already runs under this grant, although the start that found it so gave no answer."""
        machine = self.world.machines.get(node)
        if machine is None or int(machine.remembers("seen") or "0") != epoch:
            return False
        return any(daemon.up for daemon in machine.daemons.values())
