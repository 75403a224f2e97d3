# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guard: the only way by which the product is started or stopped on a node of a pair."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Optional, Protocol, Union

from ..products.base import Product
from ..record import Heartbeat, Record, RecordMissing, SchemaMismatch, StoreError
from ..runbook import command
from . import rules
from .config import Config
from .control import Control
from .host import Host, StateError
from .outcome import Outcome, failed, refused
from .rules import ASK, BOOT, OATH, ORDER, PERSON, Asked, Decision, Facts, Shared
from .state import MARKER, State

POLL = 0.1  # seconds between two looks at the lock
KNOW = 2.0  # seconds a start gets to tell its epoch before a stop ends it all the same
PATIENCE = 2.0  # seconds between SIGTERM and SIGKILL
FOLDER = 10.0  # seconds the shared folder gets to answer; a dead NFS server never does
BOOT_LIMIT = 600.0  # seconds that boot waits for network and mounts
BOOT_PAUSE = 5.0
LEAST, SHARE, MOST = 0.01, 20, 1.0  # seconds between two looks for a grant: a twentieth of the wait
QUICK = 5.0  # seconds for a status that only decorates a refusal


class Store(Protocol):
    """What the guard reads of the pair's table. Both raise StoreError."""

    def prepare(self) -> None:
        """Load and connect what the reads need; never fails."""

    def read(self) -> Record:
        """The record, strongly consistent."""

    def heartbeat(self, node: str) -> Optional[Heartbeat]:
        """A node's last heartbeat."""


def read_record(store: Store) -> Union[Record, Decision]:
    """The record, or the refusal that its absence is."""
    try:
        return store.read()
    except RecordMissing as error:
        return Decision("record_missing", str(error))
    except SchemaMismatch as error:
        return Decision("schema", str(error))
    except StoreError as error:
        return Decision("record_unreadable", str(error))


class Guard:
    """One node's guard. Times in seconds."""

    def __init__(self, config: Config, host: Host, product: Product, store: Store) -> None:
        self.config, self.host, self.store = config, host, store
        self.state = State(host, config.root, config.pair.name)
        self.control = Control(host, product)

    # -- facts

    def shared(self) -> Optional[Shared]:
        """The shared folder as this node finds it; None when the pair has none."""
        if self.config.pair.shared is None:
            return None
        path = self.config.pair.shared.path
        try:
            points = self.host.mounts()
        except StateError:
            return Shared(path)
        if path.rstrip("/") not in points and self.host.real_path(path) not in points:
            return Shared(path, mounted=False)
        reading = self.host.background(lambda: self.host.read(f"{path.rstrip('/')}/{MARKER}"))
        try:
            text = reading.get(FOLDER)
        except (StateError, TimeoutError):
            return Shared(path, mounted=True)
        return Shared(path, mounted=True, marker=(text or "").strip() or None)

    def facts(self, asked: Asked, record: Union[Record, Decision, None] = None) -> Facts:
        """Everything that the rules of a start want to know; `record` is one that was read under the same lock."""
        facts = Facts(
            pair=self.config.pair.name,
            node=self.config.node.name,
            configured_id=self.config.node.instance_id,
            instance_id=self.host.instance_id(),
            memory=self.state.recall(),
            shared=self.shared(),
        )
        if asked.who == OATH:
            return facts
        record = record or read_record(self.store)
        if isinstance(record, Decision):
            return replace(facts, record_code=record.code, record_why=record.message)
        facts = replace(facts, record=record)
        if asked.who != ORDER:  # a move has asked both nodes itself
            try:
                beat = self.store.heartbeat(self.config.other.name)
            except StoreError as error:
                return replace(facts, record=None, record_code="record_unreadable", record_why=str(error))
            facts = replace(facts, peer_epoch=None if beat is None else beat.epoch)
        return facts

    def _refused(self, decision: Decision, **detail: Any) -> Outcome:
        return refused(decision, self.control.ask(QUICK).state, **detail)

    # -- start

    def start(self, asked: Asked, limit: float, reason: str = "") -> Outcome:
        """Start the product if every rule allows it; the lock is held from reading the record until it is up."""
        if asked.who == OATH:
            if not self.host.on_terminal():
                return refused(
                    Decision(
                        "no_terminal",
                        "a start without the record takes a person at a terminal: log in and type it",
                    )
                )
            if not reason.strip():
                return refused(
                    Decision(
                        "no_reason",
                        "a start without the record needs --reason 'TEXT': how you know that the other node is off",
                    )
                )
            self.host.log(f"start without record by {self.host.user()}: {reason}")
        begun = self.host.monotonic()
        deadline = begun + limit
        # an order that was sent ahead waits no longer than leaves it the whole time of a start
        patient = deadline - self.config.pair.timeouts.start
        self.host.own_group()
        self.store.prepare()
        waits = False
        try:
            while True:
                handle = self._wait_for_lock(deadline)
                if handle is None:
                    return refused(self._busy(limit), still_stopping=self._stops())
                try:
                    self.state.sign(handle, "start", asked.epoch, oath=asked.who == OATH)
                    record = read_record(self.store) if asked.who == ORDER else None
                    waits = self._waits(asked, record, waits) and self.host.monotonic() < patient
                    if not waits:
                        return self._start(asked, handle, deadline, record)
                finally:
                    self.state.release(handle)
                # without the lock, so that a stop need not wait for a grant
                now = self.host.monotonic()
                self.host.sleep(min(max(LEAST, (now - begun) / SHARE), MOST, patient - now))
                deadline = min(self.host.monotonic(), patient) + self.config.pair.timeouts.start
        except StateError as error:
            return refused(Decision("state_not_written", f"{error}: nothing was started"))

    def _waits(self, asked: Asked, record: Union[Record, Decision, None], waited: bool) -> bool:
        """Whether an order was sent ahead of its grant. One that waits already goes on when the record cannot be read just now."""
        if isinstance(record, Record):
            return rules.awaits(asked, record, self.config.node.name)
        return waited and record is not None and record.code == "record_unreadable"

    def _start(
        self, asked: Asked, handle: Any, deadline: float, record: Union[Record, Decision, None]
    ) -> Outcome:
        """Judge and start, under the lock."""
        facts = self.facts(asked, record)
        decision = rules.may_start(asked, facts)
        if not decision.allowed:
            if decision.code == "record_unreadable" and asked.who == PERSON:
                hint = "; if the other node is surely off: sudo /usr/local/bin/hotstandby start --without-record --reason TEXT"
                decision = replace(decision, message=decision.message + hint)
            self.host.log(f"start ({asked.who}) refused: {decision.message}")
            return self._refused(decision)
        if decision.epoch is not None:
            self.state.sign(handle, "start", decision.epoch)
            # before anything runs: from here on this node obeys no earlier command
            self.state.see(decision.epoch)
        if facts.memory.held is not None:
            self.state.let_go()
        self.host.log(f"start ({asked.who}) with epoch {decision.epoch}")
        outcome = self.control.up(deadline)
        if asked.who == OATH and outcome.state == "running":
            # the record may still name the other node, which would start when it boots
            other, name = self.config.other.name, self.config.node.name
            warning = (
                f"keep {other} off. When the record is back and names {other}: here sudo /usr/local/bin/hotstandby stop, then on "
                f"the controller {command('failover', to=name)}"
            )
            outcome = replace(
                outcome, detail={**outcome.detail, "message": f"running without the record: {warning}"}
            )
        return outcome

    def _wait_for_lock(self, deadline: float) -> Optional[Any]:
        while True:
            handle = self.state.take()
            if handle is not None or self.host.monotonic() >= deadline:
                return handle
            self.host.sleep(POLL)

    def _busy(self, limit: float) -> Decision:
        holder = self.state.holder()
        who = f"{holder.verb} (pid {holder.pid}, epoch {holder.epoch})" if holder else "another command"
        look = f"ps -fp {holder.pid}" if holder else f"fuser -v {self.state.lock_path}"
        return Decision(
            "lock_busy",
            f"{who} held the lock for {limit:.0f} s. Let it end, then say this again; to look at it: {look}",
        )

    def _stops(self) -> bool:
        """Whether it is a stop that holds the lock: then waiting longer may help."""
        holder = self.state.holder()
        return holder is not None and holder.verb == "stop"

    def may_start(self, asked: Asked) -> Outcome:
        """The same questions as a start's, without the lock: the caller may be our own start under it."""
        decision = rules.may_start(asked, self.facts(asked))
        if not decision.allowed and not self._under_oath():
            return refused(decision)
        return Outcome("unknown", 0, {"message": "it may be started", "granted": decision.epoch})

    def _under_oath(self) -> bool:
        """Whether a start without the record is at work right now."""
        holder = self.state.holder()
        if holder is None or not holder.oath:
            return False
        try:
            handle = self.state.take()
        except StateError:
            return False
        if handle is not None:
            self.state.release(handle)
        return handle is None

    def boot(self, limit: float, wait: float = BOOT_LIMIT) -> Outcome:
        """A guarded start that is nobody's order; waits at most `wait` for what a machine lacks while it comes up."""
        deadline = self.host.monotonic() + wait
        while True:
            outcome = self.start(Asked(BOOT), limit)
            if outcome.detail.get("code") not in rules.PASSING or self.host.monotonic() >= deadline:
                return outcome
            self.host.sleep(BOOT_PAUSE)

    # -- stop

    def stop(self, epoch: Optional[int], mode: str, limit: float, reason: str = "", by: str = "") -> Outcome:
        """Stop the product and prove it. With an epoch it is a move's, without one a person's (`by`: who that is)."""
        deadline = self.host.monotonic() + limit
        decision = rules.may_stop(epoch, self.state.recall())
        if not decision.allowed:
            return self._refused(decision)
        try:
            got = self._lock_for_stop(epoch, deadline, limit)
        except StateError as error:
            return failed(
                "unknown",
                f"{error}: the lock cannot be taken",
                code="state_not_written",
                still_stopping=False,
            )
        if isinstance(got, Outcome):
            return got
        handle = got[0]
        try:
            return self._stop(epoch, mode, deadline, (by or self.host.user(), reason), handle)
        finally:
            self.state.release(handle)

    def _stop(
        self, epoch: Optional[int], mode: str, deadline: float, why: tuple[str, str], handle: Any
    ) -> Outcome:
        trouble = ""
        try:
            self.state.sign(handle, "stop", epoch)
        except StateError:
            pass  # nameless holders are waited for, which is right for a stop
        decision = rules.may_stop(epoch, self.state.recall())
        if not decision.allowed:
            return self._refused(decision)
        try:
            if epoch is None:
                self.state.hold(*why)
            else:
                self.state.raise_floor(epoch)
        except StateError as error:
            trouble = str(error)
        self.host.log(f"stop ({'person' if epoch is None else f'epoch {epoch}'}, {mode})")
        outcome = self.control.down(mode, deadline)
        if trouble and outcome.state == "stopped":
            # without the floor an older start could still pass: stopped, and no proof
            detail = {key: value for key, value in outcome.detail.items() if key not in ("message", "proof")}
            text = f"it is stopped, but that cannot be made to last: {trouble}"
            return failed("unknown", text, code="state_not_written", **detail)
        return outcome

    def _lock_for_stop(
        self, epoch: Optional[int], deadline: float, limit: float
    ) -> Union[tuple[Any], Outcome]:
        """The lock; a start that is not later than this stop is ended for it, every other holder is waited for."""
        met: dict[tuple[int, int], float] = {}
        ended: dict[tuple[int, int], float] = {}
        while True:
            handle = self.state.take()
            if handle is not None:
                return (handle,)
            holder = self.state.holder()
            verdict = rules.judge_holder(epoch, holder)
            now = self.host.monotonic()
            if holder is not None:
                key = (holder.pid, holder.started)
                if verdict == "refuse":
                    message = f"a start with epoch {holder.epoch} is under way; the stop carries {epoch}"
                    return refused(Decision("later_epoch_seen", message))
                if verdict == "end" or (verdict == "know" and now - met.setdefault(key, now) >= KNOW):
                    since = ended.setdefault(key, now)
                    if since == now or now - since >= PATIENCE:
                        self.host.log(f"ending the start of pid {holder.pid} for a stop with epoch {epoch}")
                        self.host.end(holder.pid, holder.pgid, force=now - since >= PATIENCE)
            if now >= deadline:
                return refused(self._busy(limit), still_stopping=self._stops())
            self.host.sleep(POLL)

    # -- self-fencing

    def self_fence(self, limit: float) -> Optional[Outcome]:
        """Stop a product that runs here although a sound record, read now and under the lock, names the other node.

        None when there is no reason to, or somebody holds the lock.
        """
        try:
            handle = self.state.take()
        except StateError:
            return None
        if handle is None:
            return None
        try:
            try:
                self.state.sign(handle, "fence", None)
            except StateError:
                pass  # nameless holders are waited for
            record = read_record(self.store)
            decision = rules.must_fence(
                self.config.node.name, record if isinstance(record, Record) else None, self.state.recall()
            )
            if not decision.allowed:
                return None
            self.host.log(f"self-fencing: {decision.message}")
            return self.control.down("force", self.host.monotonic() + limit)
        finally:
            self.state.release(handle)


__all__ = ["ASK", "BOOT", "OATH", "PERSON", "Asked", "Guard", "Store", "read_record"]
