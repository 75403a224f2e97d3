#!/usr/bin/python
# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: warp_flow_check
short_description: Finds in flow projects what does not survive a switch to the other node
version_added: 0.1.0
description:
  - Reads the project files below O(paths) and reports each place that calls a node's own address, keeps an intermediate file on
    a node's own disk, or is a flow without the settings that let another server take it up.
  - It is a reading of text. The format of the project files is not published, so the names of elements are options; a flow that
    builds an address or a path while it runs is not found.
  - Files are read with bounds, symbolic links are not followed, and a document type declaration is refused. What could not be
    read is in RV(skipped), never passed over in silence.
  - Changes nothing.
author:
  - hotstandby.ops contributors (@hotstandby)
extends_documentation_fragment:
  - hotstandby.ops.attributes
  - hotstandby.ops.attributes.info
options:
  paths:
    description:
      - Files, or directories that are searched through.
    type: list
    elements: path
    required: true
  patterns:
    description:
      - Names of the files to read in the directories.
    type: list
    elements: str
    default: ["*.xfp", "*.xml"]
  addresses:
    description:
      - Addresses and host names of all nodes, which no flow should call.
    type: list
    elements: str
    default: []
  local_paths:
    description:
      - Places that are each node's own.
    type: list
    elements: str
    default: ["/tmp", "/var/tmp", "/dev/shm", "C:", "D:"]
  shared_paths:
    description:
      - Places that both nodes see, also where they lie below one of O(local_paths).
    type: list
    elements: str
    default: []
  checkpoints:
    description:
      - Whether each flow must have C(OtherServerRetry=true) and C(BeginCheckpoint=Use). Checkpoints are part of the Enterprise
        edition; turn this off elsewhere.
    type: bool
    default: true
  flow_element:
    description:
      - Regular expression for the whole name of the element that is a flow.
    type: str
    default: "Flow|FlowService"
  rules:
    description:
      - What else to look for, in the value of every attribute and the text of every element.
    type: list
    elements: dict
    default: []
    suboptions:
      id:
        description: Name of the rule.
        type: str
        required: true
      pattern:
        description: Regular expression that is searched in values.
        type: str
        required: true
      unless:
        description: Regular expression; a value in which it is found is well.
        type: str
      setting:
        description: Regular expression for the whole name of the setting; any when it is left out.
        type: str
      why:
        description: Why it is a trouble.
        type: str
        required: true
      instead:
        description: What to write instead.
        type: str
        required: true
  max_bytes:
    description:
      - Largest file that is read, in bytes.
    type: int
    default: 16777216
  max_files:
    description:
      - How many files are read at most. More than that is a failure, since the rest would be unknown.
    type: int
    default: 10000
  strict:
    description:
      - Whether to fail when there is a finding, or a file that could not be read.
    type: bool
    default: false
seealso:
  - module: hotstandby.ops.warp_status
"""

EXAMPLES = r"""
- name: Read all projects of this node
  hotstandby.ops.warp_flow_check:
    paths: [/data/asteria/home]
    addresses: "{{ groups['warp'] | map('extract', hostvars, 'ansible_host') | list }}"
    shared_paths: [/shared/asteria]
    rules:
      - id: old-proxy
        pattern: "proxy-old\\.example\\.com"
        why: this proxy is gone
        instead: proxy.example.com
  register: flows

- name: Show what to mend
  ansible.builtin.debug:
    msg: "{{ item.file }}:{{ item.line }} {{ item.value }}: {{ item.why }}; write {{ item.instead }}"
  loop: "{{ flows.findings }}"
"""

RETURN = r"""
findings:
  description: Each place, by file and line, with the rule, what stands there, why it is a trouble and what to write instead.
  returned: success
  type: list
  elements: dict
  sample:
    - file: /data/asteria/home/app/order.xfp
      line: 42
      rule: own-address
      value: "url: http://10.0.1.10:21380/order"
      why: after a switch this calls the node that was left
      instead: localhost
files:
  description: How many files were read.
  returned: success
  type: int
  sample: 12
skipped:
  description: Each file that could not be read, with why.
  returned: success
  type: list
  elements: dict
  sample: [{"file": "/data/asteria/home/app/old.xml", "why": "it has a document type declaration, which is not read"}]
msg:
  description: A summary.
  returned: always
  type: str
  sample: 1 finding in 12 files, 1 file was not read
"""

import fnmatch
import os
from collections.abc import Iterator
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hotstandby.ops.plugins.module_utils import flows
from ansible_collections.hotstandby.ops.plugins.module_utils._ansible import ModuleFailure, finish

Skipped = list[dict[str, str]]


def listed(paths: list[str], patterns: list[str], skipped: Skipped) -> Iterator[str]:
    """The files to read, in order. Fails for a path that is not there."""
    for path in paths:
        if os.path.isfile(path):
            yield path
            continue
        if not os.path.isdir(path):
            raise ModuleFailure(f"paths: {path} is neither a file nor a directory here", code="bad_option")

        def unreadable(error: OSError) -> None:
            skipped.append({"file": str(error.filename), "why": str(error.strerror)})

        for folder, folders, names in os.walk(path, onerror=unreadable):
            folders.sort()
            for name in sorted(names):
                if any(fnmatch.fnmatch(name, pattern) for pattern in patterns):
                    yield os.path.join(folder, name)


def content(path: str, most: int) -> bytes:
    """A file's bytes. Raises FlowError for what is no plain file, or too large."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            raw = file.read(most + 1)
    except OSError as error:
        raise flows.FlowError(
            "it is a symbolic link, which is not followed" if os.path.islink(path) else str(error.strerror)
        ) from None
    if len(raw) > most:
        raise flows.FlowError(f"it is larger than max_bytes ({most})")
    return raw


def looked_for(params: dict[str, Any]) -> tuple[list[flows.Rule], tuple[flows.Needed, ...]]:
    """The rules as the options say. Raises FlowError."""
    flows.compiled(params["flow_element"], "flow_element")
    ours = (
        flows.own_addresses(params["addresses"]),
        flows.local_paths(params["local_paths"], params["shared_paths"]),
    )
    rules = [rule for rule in ours if rule is not None]
    rules += [
        flows.rule_of({key: value for key, value in raw.items() if value is not None})
        for raw in params["rules"]
    ]
    return rules, flows.checkpoints(params["flow_element"]) if params["checkpoints"] else ()


def examine(params: dict[str, Any]) -> dict[str, Any]:
    """Read everything."""
    for option in ("max_bytes", "max_files"):
        if params[option] < 1:
            raise ModuleFailure(f"{option}: must be at least 1", code="bad_option")
    rules, needed = looked_for(params)
    skipped: Skipped = []
    findings: list[dict[str, Any]] = []
    read = 0
    for path in listed(params["paths"], params["patterns"], skipped):
        if read + len(skipped) >= params["max_files"]:
            raise ModuleFailure(
                f"max_files: there are more than {params['max_files']} files; name fewer paths, or raise it",
                code="bad_option",
            )
        try:
            found = flows.check(content(path, params["max_bytes"]), rules, needed)
        except flows.FlowError as error:
            skipped.append({"file": path, "why": str(error)})
            continue
        read += 1
        findings += [item.plain(path) for item in found]
    message = f"{counted(len(findings), 'finding')} in {counted(read, 'file')}"
    if skipped:
        message += f", {counted(len(skipped), 'file')} could not be read"
    result = {"changed": False, "findings": findings, "files": read, "skipped": skipped, "msg": message}
    if params["strict"] and (findings or skipped):
        del result["msg"]
        raise ModuleFailure(message, **result)
    return result


def counted(number: int, word: str) -> str:
    """A number and its word."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def main() -> None:
    rule = {
        **{key: {"type": "str", "required": True} for key in ("id", "pattern", "why", "instead")},
        **{key: {"type": "str"} for key in ("unless", "setting")},
    }
    module = AnsibleModule(
        argument_spec={
            "paths": {"type": "list", "elements": "path", "required": True},
            "patterns": {"type": "list", "elements": "str", "default": ["*.xfp", "*.xml"]},
            "addresses": {"type": "list", "elements": "str", "default": []},
            "local_paths": {
                "type": "list",
                "elements": "str",
                "default": ["/tmp", "/var/tmp", "/dev/shm", "C:", "D:"],
            },
            "shared_paths": {"type": "list", "elements": "str", "default": []},
            "checkpoints": {"type": "bool", "default": True},
            "flow_element": {"type": "str", "default": "Flow|FlowService"},
            "rules": {"type": "list", "elements": "dict", "default": [], "options": rule},
            "max_bytes": {"type": "int", "default": 16777216},
            "max_files": {"type": "int", "default": 10000},
            "strict": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    finish(module, lambda: examine(module.params))


if __name__ == "__main__":
    main()
