# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""mutmut's test runner over tests that were collected once: each mutant costs a fork, not a start of pytest."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from mutmut import __main__ as mutmut
from mutmut.configuration import config
from mutmut.runners.harness import ListAllTestsResult, TestRunner
from mutmut.state import state
from mutmut.utils.file_utils import copy_also_copy_files, copy_src_dir, setup_source_paths
from mutmut.workers.isolation import ForkRunner

CPU, WALL = 5.0, 40.0  # seconds that any test may take at least; else ten times what it took without a mutant
LOOPS = 36  # the exit code that mutmut knows for a mutant that took too long


class _Seen:
    """How each test went, and which functions it reached."""

    def __init__(self, brief: bool = False) -> None:
        self.brief = brief
        self.failed = ""
        self.seconds: dict[str, float] = {}
        self.reached: dict[str, set[str]] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item: Any, call: Any) -> None:
        if (
            self.brief
            and call.excinfo is not None
            and not call.excinfo.errisinstance((pytest.skip.Exception,))
        ):
            os._exit(1)  # a report of it costs more than all else: the mutated files are long

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self.failed = f"{report.nodeid} fails without a mutant:\n{report.longreprtext}"
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration

    def pytest_runtest_teardown(self, item: Any) -> None:
        for function in state()._stats:
            self.reached.setdefault(function, set()).add(item.nodeid)
        state()._stats.clear()


class Collected(TestRunner):
    """Runs tests of one pytest session that is under way, each time in a child of its own."""

    def __init__(self, session: pytest.Session, clean: bool) -> None:
        # the copy holds nothing that the fixture `archive` could build the command from
        self._items = {item.nodeid: item for item in session.items if "archive" not in item.fixturenames}
        self._plugins = session.config.pluginmanager
        self._clean = clean
        self._limit = False
        self._breadth: dict[str, int] = {}  # how many functions each test reaches

    def _run(self, names: Iterable[str]) -> _Seen:
        items = [self._items[name] for name in names if name in self._items]
        seen = _Seen(self._limit)
        talker = self._plugins.get_plugin("terminalreporter")
        if talker is not None:
            self._plugins.unregister(talker)  # this is a child: the parent speaks
        self._plugins.register(seen)
        try:
            for item, following in zip(items, [*items[1:], None]):
                if self._limit:
                    self._set_limit(item.nodeid)
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                if seen.failed:
                    break
        finally:
            self._plugins.unregister(seen)
        return seen

    @staticmethod
    def _set_limit(name: str) -> None:
        """End this process when the test loops: by its own processor time, and by the clock when it waits for ever."""
        usual = 10 * state().duration_by_test.get(name, 0.0)
        for timer, number, least in (
            (signal.ITIMER_VIRTUAL, signal.SIGVTALRM, CPU),
            (signal.ITIMER_REAL, signal.SIGALRM, WALL),
        ):
            signal.signal(number, lambda _number, _frame: os._exit(LOOPS))
            signal.setitimer(timer, max(least, usual))

    def _apart(self, names: Iterable[str]) -> _Seen:
        """Run tests in a child, so that what they leave behind reaches no later run."""
        with tempfile.NamedTemporaryFile() as told:
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    seen = self._run(names)
                    Path(told.name).write_bytes(
                        pickle.dumps(
                            (seen.failed, seen.seconds, seen.reached, dict(state().function_dependencies))
                        )
                    )
                    code = 0
                finally:
                    os._exit(code)
            _pid, status = os.waitpid(pid, 0)
            seen = _Seen()
            seen.failed = "the tests ended their process"
            if status == 0:
                seen.failed, seen.seconds, seen.reached, callers = pickle.loads(Path(told.name).read_bytes())
                for function, known in callers.items():
                    state().function_dependencies[function] |= known
        return seen

    @staticmethod
    def _told(seen: _Seen) -> int:
        if seen.failed:
            print(seen.failed, file=sys.__stderr__)
        return int(bool(seen.failed))

    def run_stats(self, *, tests: Iterable[str]) -> int:
        names = list(tests) or list(self._items)
        whole = set(names) >= set(self._items)
        seen = self._apart(names)
        while self._told(seen):
            # what fails in the copy alone needs what is not there: named, and left out
            name = seen.failed.partition(" fails without")[0]
            if self._items.pop(name, None) is None:
                return 1
            names.remove(name)
            seen = self._apart(names)
        for name, seconds in seen.seconds.items():
            state().duration_by_test[name] = seconds
        for function, names in seen.reached.items():
            state().tests_by_mangled_function_name[function] |= names
        self._clean = whole
        return 0

    def run_tests(self, *, mutant_name: str | None, tests: Iterable[str]) -> int:
        if mutant_name is not None:  # mutmut has forked already
            self._limit = True
            return int(bool(self._run(sorted(tests, key=self._rank)).failed))
        return 0 if self._clean else self._told(self._apart(list(tests) or list(self._items)))

    def _rank(self, name: str) -> tuple[int, float]:
        """Tests of few functions first, they are about them; then the fast ones."""
        if not self._breadth:
            for names in state().tests_by_mangled_function_name.values():
                for each in names:
                    self._breadth[each] = self._breadth.get(each, 0) + 1
        return self._breadth.get(name, 0), state().duration_by_test.get(name, 0.0)

    def run_forced_fail(self) -> int:
        self._rank("")  # once, before anything forks
        return int(bool(self._apart(list(self._items)).failed))

    def list_all_tests(self) -> ListAllTestsResult:
        return ListAllTestsResult(ids=set(self._items))


class _Inside:
    """Runs something where pytest would run its tests."""

    def __init__(self, work: Callable[[pytest.Session], None]) -> None:
        self._work = work

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            raise session.Interrupted("the tests cannot be collected")
        self._work(session)
        return True


def run(patterns: list[str], workers: int, clean: bool) -> int:
    """Make the mutants of the working directory and run those that are undecided (all that match `patterns`, if any).

    `clean` tells that the tests are known to pass without a mutant. Returns pytest's exit code: not 0
    when the tests cannot be collected or fail without a mutant.
    """
    mutmut.set_mutant_under_test("mutant_generation")
    Path("mutants").mkdir(exist_ok=True)
    for step in (copy_src_dir, copy_also_copy_files, setup_source_paths):
        step()
    mutmut.create_mutants(workers)
    here = Path.cwd()

    def work(session: pytest.Session) -> None:
        runner = Collected(session, clean)
        mutmut.get_mutant_runner = lambda most=1: ForkRunner(max_workers=most, test_runner=runner)
        os.chdir(here)
        mutmut._run(patterns, workers)

    chosen = [*config().pytest_add_cli_args_test_selection, *config().pytest_add_cli_args]
    os.chdir("mutants")
    try:
        return int(pytest.main(["--rootdir=.", "-qq", "-s", "--tb=native", *chosen], plugins=[_Inside(work)]))
    finally:
        os.chdir(here)
        sys.stdout.flush()
