# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rundeck job definitions (job-yaml) whose command runs on exactly one of the nodes they are dispatched to. Pure."""

from __future__ import annotations

import re
import shlex
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from . import checks
from .checks import PairError
from .jobs import JobError, Policy, check_policy, make_key
from .jobs_store import parse_store

LEVELS = ("DEBUG", "VERBOSE", "INFO", "WARN", "ERROR")
MODES = ("exclusive", "failover", "semaphore")
# Rundeck puts these into a command's text before any shell sees it: no quoting of ours would hold
EXPANDED = re.compile(
    r"\$\{(option|unquotedoption|job|node|data|globals)\.|@(option|unquotedoption|job|node|data|globals)\."
)
FIELD = r"[0-9A-Za-z*/,?#-]+"
NAMESPACE = uuid.UUID("2f0d4a3e-55a4-4f3c-9a64-0e6f9f2d7c11")


def _command(key: str, value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return shlex.join(checks.argv(key, value))
    return str(checks.text(r"[^\x00]+", "a command")(key, value))


def _crontab(key: str, value: Any) -> str:
    found = str(checks.text(r"[^\x00-\x1f]+", "a schedule")(key, value))
    fields = found.split()
    if len(fields) not in (6, 7) or not all(re.fullmatch(FIELD, field) for field in fields):
        raise PairError(
            f"{key}: '{checks.shown(found)}' is not Quartz's form with seconds, such as '0 30 2 ? * * *'"
        )
    if [fields[3], fields[5]].count("?") != 1:
        raise PairError(f"{key}: one of day of month and day of week must be '?' (Quartz), and one only")
    return " ".join(fields)


_OPTIONAL: dict[str, checks.Check] = {
    "group": checks.text(r"[^\x00-\x1f]+", "a group"),
    "description": checks.text(r"[^\x00]*", "a description"),
    "filter": checks.text(r"[^\x00-\x1f]+", "a node filter"),
    "mode": checks.choice(*MODES),
    "slots": checks.integer(1, 100),
    "lease": checks.number(1, 3600),
    "wait": checks.number(0, 31622400),
    "timeout": checks.text(r"[0-9]+[smhdw]?( [0-9]+[smhdw])*", "a time such as 6h 30m"),
    "crontab": _crontab,
    "time_zone": checks.text(r"[A-Za-z]+(/[A-Za-z0-9_+-]+)*", "a time zone such as Asia/Tokyo"),
    "log_level": checks.choice(*LEVELS),
    "threads": checks.integer(1, 1000),
    "uuid": checks.text(r"[0-9A-Za-z-]{1,64}", "a UUID"),
}


def _wrapped(
    job: Mapping[str, Any], store: str, lease: float, hotstandby: str, name: str, mounted: bool
) -> str:
    mode = job.get("mode", "exclusive")
    words = [
        hotstandby,
        "run-exclusive",
        "--store",
        store,
        "--job",
        name,
        "--lease",
        f"{job.get('lease', lease):g}",
    ]
    if mounted:
        words.append("--mounted")
    wait: Optional[float] = job.get("wait")
    if mode == "failover":
        # who failed waits for the next one's result and passes it on, so that the job succeeds when one node does
        words += ["--after-failure", "next"]
        wait = 3600.0 if wait is None else wait
    if mode == "semaphore":
        words += ["--slots", str(job["slots"])]
    if wait is not None:
        words += ["--wait", f"{wait:g}"]
    # @job.execid@ is the same on every node of one execution; Rundeck replaces it in the script
    text = shlex.join(words) + " --run @job.execid@ -- " + shlex.join(["sh", "-c", job["command"]])
    return f"#!/bin/sh\nexec {text}\n"


def render(
    jobs: Any,
    store: str,
    lease: float = 30.0,
    node_filter: str = "tags: app",
    hotstandby: str = "hotstandby",
    mounted: bool = False,
) -> list[dict[str, Any]]:
    """The definitions, ready to be written as YAML.

    `jobs` is a list of mappings with `name` and `command` (text for sh, or a list of arguments), and optionally group,
    description, filter, mode (exclusive | failover | semaphore), slots, lease, wait, timeout, crontab, time_zone, log_level,
    threads (nodes at once), uuid. Raises PairError that names the key, JobError.
    """
    kind, _rest = parse_store(store)
    if mounted and kind != "dir":
        raise JobError(f"mounted: is for a folder (dir:PATH), and the store is {store}")
    if not isinstance(jobs, Sequence) or isinstance(jobs, (str, bytes)):
        raise PairError("jobs: must be a list of jobs")
    found: list[dict[str, Any]] = []
    seen: set[str] = set()
    required: dict[str, checks.Check] = {
        "name": checks.text(r"[^\x00-\x1f/]+", "a name"),
        "command": _command,
    }
    for index, raw in enumerate(jobs):
        where = f"jobs[{index}]"
        job = checks.mapping(where, checks.plain(raw), required, _OPTIONAL)
        if EXPANDED.search(job["command"]):
            raise PairError(
                f"{where}.command: Rundeck would put a value into the text before any shell sees it; use its variable "
                'instead, such as "$RD_OPTION_NAME" or "$RD_JOB_EXECID"'
            )
        if (job.get("mode") == "semaphore") != ("slots" in job):
            raise PairError(f"{where}.slots: belongs to mode semaphore, and is needed there")
        if "time_zone" in job and "crontab" not in job:
            raise PairError(f"{where}.time_zone: is of no use without crontab")
        full = f"{job['group'].strip('/')}/{job['name']}" if "group" in job else job["name"]
        if full in seen:
            raise PairError(f"{where}.name: there is a job '{checks.shown(full)}' already")
        seen.add(full)
        found.append(_definition(job, full, store, lease, node_filter, hotstandby, mounted))
    return found


def job_name(full: str) -> str:
    """The run-exclusive job of a Rundeck job; two that differ only in odd characters stay two."""
    name = re.sub(r"[^A-Za-z0-9._-]", "-", full).lstrip("-._")[:80]
    if name != full:
        name = f"{name or 'job'}-{uuid.uuid5(NAMESPACE, full).hex[:8]}"
    return name


def _definition(
    job: Mapping[str, Any],
    full: str,
    store: str,
    lease: float,
    node_filter: str,
    hotstandby: str,
    mounted: bool,
) -> dict[str, Any]:
    name = make_key(job_name(full), "any").job
    check_policy(Policy(job.get("lease", lease), job.get("slots"), wait=job.get("wait")))
    identifier = job.get("uuid") or str(uuid.uuid5(NAMESPACE, full))
    made: dict[str, Any] = {
        "name": job["name"],
        "description": job.get("description", ""),
        "loglevel": job.get("log_level", "INFO"),
        "id": identifier,
        "uuid": identifier,
        "multipleExecutions": False,
        "nodefilters": {
            "dispatch": {
                # a node that is down must not keep the others from trying
                "keepgoing": True,
                "excludePrecedence": True,
                "threadcount": job.get("threads", 100),
            },
            "filter": job.get("filter", node_filter),
        },
        "sequence": {
            "keepgoing": False,
            "strategy": "node-first",
            "commands": [
                {
                    "description": f"{job.get('mode', 'exclusive')}: {job['name']}",
                    "script": _wrapped(job, store, lease, hotstandby, name, mounted),
                }
            ],
        },
    }
    if "group" in job:
        made["group"] = job["group"].strip("/")
    if "timeout" in job:
        made["timeout"] = job["timeout"]
    if "crontab" in job:
        made["schedule"] = {"crontab": job["crontab"]}
        made["scheduleEnabled"] = True
    if "time_zone" in job:
        made["timeZone"] = job["time_zone"]
    return made


__all__ = ["JobError", "job_name", "render"]
