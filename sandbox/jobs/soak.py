# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random rounds of `run-exclusive` and `consume` as real processes: killed, frozen, delivered twice, too late.

    python -m sandbox.jobs.soak [--rounds 1000] [--seed 1] [--at-once 6]

What a round injects follows from its seed. The jobs themselves keep the journal that judges. Ends with 1 when a piece of work was
lost, was run again after a success that nothing had disturbed, or ran beside itself without a machine that stood still.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..endpoint import Caller, Endpoint
from ..endpoint.sqs import show_again
from ..world.processes import kill_all, with_environment

ROOT = Path(__file__).resolve().parents[2]
KEY, REGION, TABLE, OWNER = "AKIASOAK000000000000", "ap-northeast-1", "jobs", "SANDBOX_SOAK"
KINDS = ("dir", "dynamodb", "queue", "queue once")
FAULTS = ("kill", "freeze", "standstill")
LEASE, VISIBILITY, MESSAGES, NODES = 1.0, 3.0, 3, 3
TRIES = 8  # healthy nodes that may come after the faults until the work is known to be done
# the job holds a lock while it runs: whoever finds it held says so
JOB = """key=${HOTSTANDBY_MESSAGE_ID:-run}; exec 9>>"lock.$key"
flock -n 9 || echo "beside $key $HOTSTANDBY_NODE" >>journal
echo "begin $key $HOTSTANDBY_NODE" >>journal; sleep "$WORK"; echo "end $key $HOTSTANDBY_NODE" >>journal"""


@dataclass(frozen=True)
class Fault:
    """What happens to one node, so many seconds after the round's start; a freeze ends after `lasts`."""

    what: str
    node: int
    at: float
    lasts: float


@dataclass(frozen=True)
class Round:
    """One round. `again` are the moments at which the queue shows a message that is at work a second time."""

    seed: int
    kind: str
    work: float
    starts: tuple[float, ...]
    faults: tuple[Fault, ...]
    again: tuple[float, ...]


def drawn(seed: int) -> Round:
    """The round of a seed."""
    rnd = random.Random(seed)
    kind = KINDS[seed % len(KINDS)]
    starts = tuple(rnd.uniform(0, 0.4) for _node in range(NODES))
    hit = rnd.sample(range(NODES), rnd.choice((0, 1, 1, 2)))
    faults = tuple(
        Fault(rnd.choice(FAULTS), node, rnd.uniform(0.1, 1.6), rnd.uniform(0.2, 2.5)) for node in hit
    )
    again = tuple(rnd.uniform(0.3, 1.5) for _time in range(rnd.choice((0, 1, 2))))
    return Round(seed, kind, rnd.choice((0.0, 0.2, 0.5)), starts, faults, again if "queue" in kind else ())


@dataclass
class Judged:
    """What became of a round. `twice` and `beside` are faults of ours, `unknown` are repeats of what nobody could know done."""

    kind: str
    lost: int = 0
    twice: int = 0
    beside: int = 0
    unknown: int = 0
    repeats: int = 0
    overlaps: int = 0
    odd: list[str] = field(default_factory=list)

    @property
    def well(self) -> bool:
        """Nothing that must not be."""
        return not (self.lost or self.twice or self.beside or self.odd)


class Soak:
    """The endpoint and the program that all rounds share."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.program = place / "hotstandby.pyz"
        subprocess.run(
            [sys.executable, str(ROOT / "hack" / "build_zipapp.py"), str(self.program)],
            check=True,
            timeout=120,
        )
        self.endpoint = Endpoint()
        self.endpoint.keys = {KEY: Caller("soak", "controller")}
        self.endpoint.start()
        import boto3

        self._session = boto3.session.Session(KEY, "secret", region_name=REGION)
        self.sqs = self._session.client("sqs", endpoint_url=self.endpoint.url)
        self._session.client("dynamodb", endpoint_url=self.endpoint.url).create_table(
            TableName=TABLE, BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pair", "item")],
            KeySchema=[{"AttributeName": "pair", "KeyType": "HASH"}, {"AttributeName": "item", "KeyType": "RANGE"}],
        )  # fmt: skip

    def close(self) -> None:
        """Nothing of it runs any more."""
        kill_all(OWNER, f"{self.place}:", prefix=True)
        self.endpoint.stop()

    def play(self, seed: int) -> Judged:
        """One round, to its end."""
        return _Played(self, drawn(seed)).run()


class _Played:
    def __init__(self, soak: Soak, plan: Round) -> None:
        self._soak, self._plan = soak, plan
        self._folder = soak.place / str(plan.seed)
        (self._folder / "store").mkdir(parents=True)
        self._hit: set[str] = set()
        self._sent: list[str] = []
        self._url = ""
        if "queue" in plan.kind:
            self._url = soak.sqs.create_queue(QueueName=f"q{plan.seed}")["QueueUrl"]
            self._sent = [
                soak.sqs.send_message(QueueUrl=self._url, MessageBody="{}")["MessageId"]
                for _message in range(MESSAGES)
            ]

    def run(self) -> Judged:
        plan, judged = self._plan, Judged(self._plan.kind)
        began = time.monotonic()
        nodes: dict[int, subprocess.Popen[str]] = {}
        todo: list[tuple[float, Any]] = [
            (at, lambda n=number: nodes.update({n: self._start(f"n{n}")}))
            for number, at in enumerate(plan.starts)
        ]
        for fault in plan.faults:
            todo.append((fault.at, lambda f=fault: self._strike(f, nodes.get(f.node))))
            if fault.what != "kill":
                todo.append((fault.at + fault.lasts, lambda f=fault: self._thaw(f, nodes.get(f.node))))
        todo += [(at, self._show_again) for at in plan.again]
        for at, act in sorted(todo, key=lambda one: one[0]):
            time.sleep(max(0.0, began + at - time.monotonic()))
            act()
        answers = [self._end(f"n{number}", node, judged) for number, node in nodes.items()]
        self._finish(answers, judged)
        self._judge(judged)
        if self._url:
            self._soak.sqs.delete_queue(QueueUrl=self._url)
        return judged

    # -- the nodes

    def _start(self, name: str) -> subprocess.Popen[str]:
        plan, url = self._plan, self._soak.endpoint.url
        store = f"dir:{self._folder / 'store'}" if plan.kind in ("dir", "queue once") else f"dynamodb:{TABLE}"
        where = ["--region", REGION, "--endpoint-url", url]
        once = ["--store", store, "--lease", str(LEASE)]
        words = (
            ["run-exclusive", *once, *where, "--job", "soak", "--run", str(plan.seed), "--wait", "20"]
            if not self._url
            else ["consume", "--queue", self._url, *where, "--visibility", str(VISIBILITY), "--poll", "1",
                  "--idle-exit", "1", "--backoff", "0", *(once if plan.kind == "queue once" else [])]
        )  # fmt: skip
        env = {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": "/nonexistent", "LC_ALL": "C.UTF-8",
            "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": "secret", "WORK": str(plan.work),
            "HOTSTANDBY_NODE": name, OWNER: f"{self._soak.place}:{plan.seed}:{name}",
        }  # fmt: skip
        return subprocess.Popen(
            [sys.executable, str(self._soak.program), *words, "--", "sh", "-c", JOB],
            cwd=self._folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def _all_of(self, name: str) -> list[int]:
        return with_environment(OWNER, f"{self._soak.place}:{self._plan.seed}:{name}")

    def _strike(self, fault: Fault, node: subprocess.Popen[str] | None) -> None:
        if node is None or node.poll() is not None:
            return
        self._hit.add(f"n{fault.node}")
        if fault.what == "kill":
            node.kill()
        elif fault.what == "freeze":
            os.kill(node.pid, signal.SIGSTOP)
        else:
            _signal(self._all_of(f"n{fault.node}"), signal.SIGSTOP)

    def _thaw(self, fault: Fault, node: subprocess.Popen[str] | None) -> None:
        if node is not None and f"n{fault.node}" in self._hit:
            _signal(
                [*self._all_of(f"n{fault.node}"), *([node.pid] if node.poll() is None else [])],
                signal.SIGCONT,
            )

    def _show_again(self) -> None:
        show_again(REGION, self._url.rpartition("/")[2])

    def _end(self, name: str, node: subprocess.Popen[str], judged: Judged) -> dict[str, Any]:
        try:
            out, err = node.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            judged.odd.append(f"{name} never ended")
            node.kill()
            node.communicate()
            return {}
        if "Traceback" in err:
            judged.odd.append(f"{name}: {err[-400:]}")
        lines = out.strip().splitlines()
        if node.returncode == -signal.SIGKILL:
            return {}
        if not lines:
            judged.odd.append(f"{name} said nothing and ended with {node.returncode}: {err[-200:]}")
            return {}
        return {**json.loads(lines[-1]), "exit": node.returncode}

    def _finish(self, answers: list[dict[str, Any]], judged: Judged) -> None:
        """Healthy nodes come until the work is known to be done, and one more that is too late."""
        for number in range(TRIES):
            if self._done(answers):
                break
            name = f"m{number}"
            answers.append(self._end(name, self._start(name), judged))
        else:
            judged.odd.append(f"not known to be done after {TRIES} healthy nodes: {answers[-1]}")
        before = self._journal()
        for number in range(TRIES):
            late = self._end(f"late{number}", self._start(f"late{number}"), judged)
            # on a busy machine the store may be too slow for it: it runs nothing, and comes again
            if late.get("outcome") != "unavailable":
                break
        if self._journal() != before:
            judged.twice += 1
        if late.get("exit") != 0:
            judged.odd.append(f"the late node ended with {late}")

    def _done(self, answers: list[dict[str, Any]]) -> bool:
        if not self._url:
            return any(one.get("exit") == 0 for one in answers)
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self._soak.sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=names)["Attributes"]
        return not any(int(found[name]) for name in names)

    # -- the verdict

    def _journal(self) -> list[list[str]]:
        found = self._folder / "journal"
        return [line.split() for line in found.read_text().splitlines()] if found.exists() else []

    def _judge(self, judged: Judged) -> None:
        journal = self._journal()
        still = any(fault.what == "standstill" for fault in self._plan.faults)
        for key in self._sent or ["run"]:
            ends = [node for what, its, node in journal if (what, its) == ("end", key)]
            judged.lost += not ends
            # a node that was hit may have done it and not have been able to tell
            extra = max(0, len(ends) - 1)
            if self._plan.kind == "queue":
                judged.repeats += extra
            else:
                undisturbed = sum(node not in self._hit for node in ends[:-1])
                judged.twice += undisturbed
                judged.unknown += extra - undisturbed
            beside = sum((what, its) == ("beside", key) for what, its, _node in journal)
            if still or self._plan.kind == "queue":
                judged.overlaps += beside
            else:
                judged.beside += beside


def _signal(pids: list[int], number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def soak(
    rounds: int, seed: int, at_once: int, told: Any = None
) -> tuple[dict[str, Counter[str]], list[tuple[int, Judged]]]:
    """Play them; ({kind: counts}, the rounds that went wrong). `told` hears how many are done."""
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    wrong: list[tuple[int, Judged]] = []
    lock = threading.Lock()
    with tempfile.TemporaryDirectory(prefix="hotstandby-soak-") as place:
        world = Soak(Path(place))

        def one(number: int) -> None:
            judged = world.play(number)
            with lock:
                count = counts[judged.kind]
                count["rounds"] += 1
                count["with a fault"] += bool(drawn(number).faults or drawn(number).again)
                for name in ("lost", "twice", "beside", "unknown", "repeats", "overlaps"):
                    count[name] += getattr(judged, name)
                if not judged.well:
                    wrong.append((number, judged))
                if told is not None:
                    told(sum(each["rounds"] for each in counts.values()))

        try:
            with ThreadPoolExecutor(at_once) as pool:
                list(pool.map(one, range(seed, seed + rounds)))
        finally:
            world.close()
    return counts, wrong


def main() -> int:
    """Print a table; 1 when a round went wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=6)
    asked = parser.parse_args()

    def told(done: int) -> None:
        if done % 50 == 0:
            print(f"{done} of {asked.rounds} rounds", file=sys.stderr, flush=True)

    counts, wrong = soak(asked.rounds, asked.seed, asked.at_once, told)
    names = ("rounds", "with a fault", "lost", "twice", "beside", "unknown", "repeats", "overlaps")
    print(f"{'':12}" + "".join(f"{name:>14}" for name in names))
    for kind, count in counts.items():
        print(f"{kind:12}" + "".join(f"{count[name]:14}" for name in names))
    for number, judged in wrong:
        print(f"round {number} ({judged.kind}): {judged} {drawn(number)}")
    print("soak ok" if not wrong else f"{len(wrong)} rounds went WRONG")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
