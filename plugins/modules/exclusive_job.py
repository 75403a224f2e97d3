#!/usr/bin/python
# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: exclusive_job
short_description: Runs a command on exactly one of several nodes
version_added: 0.1.0
description:
  - Of all nodes that try the same run, exactly one runs the command to its end. The others say where it ran.
  - Once a run has succeeded, no node runs it again, however late it comes.
  - A node that dies is replaced once its lease has run out. The clocks of two machines are never compared.
  - It is what C(hotstandby run-exclusive) does, with the command's output in the result.
author:
  - hotstandby.ops contributors (@hotstandby)
extends_documentation_fragment:
  - hotstandby.ops.attributes
attributes:
  check_mode:
    support: full
    details:
      - The store is read, and nothing is claimed or run.
  diff_mode:
    support: none
  idempotent:
    support: full
    details:
      - For the same O(run), once it has succeeded.
options:
  store:
    description:
      - Where the runs are kept, V(dynamodb:TABLE) (keys C(pair) and C(item)) or V(dir:/PATH), a folder that the nodes share.
    type: str
    required: true
  mounted:
    description:
      - With V(dir:/PATH) refuses a folder that lies on the root file system. A shared folder that is not mounted is an empty directory
        of each node's own, where each would run the command.
    type: bool
    default: false
  job:
    description:
      - The name of the job.
    type: str
    required: true
  run:
    description:
      - Which run of the job. All nodes must be told the same, such as a date, a build number or Rundeck's execution.
    type: str
    required: true
  argv:
    description:
      - The command as a list of arguments. No shell sees it.
    type: list
    elements: str
    required: true
  chdir:
    description:
      - Where it runs.
    type: path
  node:
    description:
      - This node's name, as the others shall see it. Without it, C(HOTSTANDBY_NODE) or the host name.
    type: str
  lease:
    description:
      - Seconds after which a node that does not renew is replaced, from 1 to 3600.
    type: float
    default: 30
  after_failure:
    description:
      - V(stop) ends the run with a failure. V(next) lets the next node try.
    type: str
    choices: [stop, next]
    default: stop
  wait:
    description:
      - Seconds to wait for the result when another node runs it. The module then fails when that failed.
      - Without it, the module does not wait for another node's result.
    type: float
  slots:
    description:
      - Makes it a semaphore. Each node runs the command, at most so many of the job at once, and waits for a slot.
    type: int
  grace:
    description:
      - Seconds between SIGTERM and SIGKILL when the module itself is ended.
    type: float
    default: 10
  region:
    description:
      - The region of the table. Without it, C(AWS_REGION) of the node's environment.
    type: str
  endpoint_url:
    description:
      - The address of another DynamoDB.
    type: str
notes:
  - With DynamoDB the node's own credentials are used (environment, instance profile). It needs the rights C(dynamodb:GetItem) and
    C(dynamodb:PutItem).
  - A machine that stands still for longer than its lease runs beside its successor until its next tick. No lease can do better,
    the result says so with RV(overlap).
seealso:
  - module: hotstandby.ops.ssm_run
"""

EXAMPLES = r"""
- name: One node migrates the database, the others wait for it
  hotstandby.ops.exclusive_job:
    store: dynamodb:hotstandby
    region: ap-northeast-1
    job: migrate
    run: "{{ app_version }}"
    argv: [/opt/app/bin/migrate, --yes]
    wait: 600

- name: Restart at most two at once
  hotstandby.ops.exclusive_job:
    store: dir:/shared/jobs
    job: restart
    run: "{{ app_version }}"
    argv: [systemctl, restart, app]
    slots: 2
"""

RETURN = r"""
outcome:
  description:
    - V(ran) (here), V(skipped) (it ran or runs elsewhere), V(busy) (waited in vain), V(lost) (the lease was lost while it ran here),
      V(interrupted), V(unrecorded) (it ran, and the store could not be told), V(unavailable) (the store did not answer, nothing
      was run), or V(would_contend) in check mode.
  returned: always
  type: str
  sample: ran
ran_on:
  description: The node that ran it, as far as known.
  returned: always
  type: str
  sample: app-1
rc:
  description: The command's exit code, where it is known.
  returned: always
  type: int
  sample: 0
stdout:
  description: What it printed here, at most the last mebibyte.
  returned: always
  type: str
  sample: done
stderr:
  description: What it complained of here, at most the last mebibyte.
  returned: always
  type: str
  sample: ""
seconds:
  description: How long it ran here.
  returned: always
  type: float
  sample: 12.4
took_over:
  description: The node whose lease had run out, if this one took over.
  returned: always
  type: str
  sample: ""
overlap:
  description: For at most so many seconds it ran beside its successor, after the lease was lost.
  returned: always
  type: float
  sample: 0.0
msg:
  description: One line for the operator.
  returned: always
  type: str
  sample: "skipped: ran on app-1"
"""

import argparse
import os
import tempfile
from collections.abc import Mapping
from typing import IO, Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hotstandby.ops.plugins.module_utils._ansible import ModuleFailure, finish
from ansible_collections.hotstandby.ops.plugins.module_utils.jobs import (
    JobError,
    JobNotMounted,
    JobStoreError,
    Key,
    Policy,
    check_policy,
    make_key,
)
from ansible_collections.hotstandby.ops.plugins.module_utils.jobs_run import Contender, JobStore
from ansible_collections.hotstandby.ops.plugins.module_utils.node.around import RealAround
from ansible_collections.hotstandby.ops.plugins.module_utils.node.job_run import (
    node_name,
    open_store,
    told,
)
from ansible_collections.hotstandby.ops.plugins.module_utils.node.keeper import KeptCommand

MOST = 1 << 20  # bytes of each output


def _tail(handle: IO[bytes]) -> str:
    handle.seek(max(0, handle.seek(0, os.SEEK_END) - MOST))
    return handle.read(MOST).decode("utf-8", "replace")


def _look(store: JobStore, key: Key, policy: Policy) -> dict[str, Any]:
    """What a run would meet."""
    found = store.read(key) if policy.once else None
    result = found and found.result
    if result:
        text = f"skipped: ran on {result.node}"
        return {"changed": False, "outcome": "skipped", "ran_on": result.node, "rc": result.rc, "msg": text}
    text = "would contend for the run"
    return {"changed": True, "outcome": "would_contend", "ran_on": "", "rc": None, "msg": text}


def _run(params: Mapping[str, Any], store: JobStore, key: Key, policy: Policy, node: str) -> dict[str, Any]:
    around = RealAround().listen()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, open(os.devnull, "rb") as nothing:
        files = (nothing.fileno(), out.fileno(), err.fileno())
        command = KeptCommand(params["argv"], around, files=files, cwd=params["chdir"])
        outcome = Contender(store, key, node, policy, around, command, params["grace"]).run()
        answer = told(outcome)
        result = {
            "changed": outcome.outcome in ("ran", "lost", "interrupted", "unrecorded"),
            "ran_on": answer.pop("node"),
            "msg": answer.pop("message"),
            "stdout": _tail(out),
            "stderr": _tail(err),
            **{name: answer[name] for name in ("outcome", "rc", "seconds", "took_over", "overlap")},
        }
    if outcome.exit and outcome.outcome in ("ran", "skipped"):
        raise ModuleFailure(result.pop("msg"), **result, code="job_failed")
    if outcome.exit:
        raise ModuleFailure(result.pop("msg"), **result, code="job_not_done")
    return result


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "store": {"type": "str", "required": True},
            "mounted": {"type": "bool", "default": False},
            "job": {"type": "str", "required": True},
            "run": {"type": "str", "required": True},
            "argv": {"type": "list", "elements": "str", "required": True},
            "chdir": {"type": "path"},
            "node": {"type": "str"},
            "lease": {"type": "float", "default": 30},
            "after_failure": {"type": "str", "choices": ["stop", "next"], "default": "stop"},
            "wait": {"type": "float"},
            "slots": {"type": "int"},
            "grace": {"type": "float", "default": 10},
            "region": {"type": "str"},
            "endpoint_url": {"type": "str"},
        },
        supports_check_mode=True,
    )

    def work() -> dict[str, Any]:
        params = module.params
        try:
            if not params["argv"] or not params["argv"][0]:
                raise JobError("argv: must name a command")
            policy = check_policy(
                Policy(params["lease"], params["slots"], params["after_failure"], params["wait"])
            )
            key = make_key(params["job"], params["run"])
            node = node_name(
                {**os.environ, **({"HOTSTANDBY_NODE": params["node"]} if params["node"] else {})}, None
            )
            where = {name: params[name] or "" for name in ("store", "region", "endpoint_url")}
            given = argparse.Namespace(**where, lease=params["lease"], mounted=params["mounted"])
            store = open_store(given, None, module.check_mode)
        except JobError as error:
            raise ModuleFailure(str(error), code="bad_option") from None
        except JobNotMounted as error:
            text = f"not run: {error}"
            raise ModuleFailure(text, outcome="unavailable", code="job_not_mounted") from None
        except JobStoreError as error:
            text = f"not run, the store cannot be used: {error}"
            raise ModuleFailure(text, outcome="unavailable", code="job_not_done") from None
        try:
            if module.check_mode:
                return _look(store, key, policy)
        except JobStoreError as error:
            raise ModuleFailure(str(error), outcome="unavailable", code="job_not_done") from None
        return _run(params, store, key, policy, node)

    finish(module, work)


if __name__ == "__main__":
    main()
