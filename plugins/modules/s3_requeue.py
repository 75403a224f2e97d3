#!/usr/bin/python
# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: s3_requeue
short_description: Moves the requests of a dead worker in S3 back to waiting
version_added: 0.1.0
description:
  - Moves objects from one prefix of a bucket to another one, so that what a worker had in work when it died waits again.
  - Nothing is ever overwritten, and nothing is deleted that is not what was copied. Each copy is made on the condition that
    its source is unchanged and its target is free, each delete on the condition that the source is still what was copied.
  - Whenever it is killed, run it again. A request is then in one place, or waiting twice and counted in RV(duplicates); it is
    never in none.
  - An ETag tells bytes and not who claimed them. With the flat layout C(processing/KEY) run it only while no worker of the
    bucket runs, or with O(min_age) at least the time since the host has booted. With O(owner) it may run at any time at which
    that owner does not.
author:
  - hotstandby.ops contributors (@hotstandby)
extends_documentation_fragment:
  - hotstandby.ops.attributes
  - hotstandby.ops.attributes.aws
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
attributes:
  check_mode:
    support: full
    details:
      - Lists what would be moved and writes nothing. A name that is taken already is only met by the real run.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  bucket:
    description:
      - The bucket, or the alias or ARN of an access point of it.
    type: str
    required: true
  source_prefix:
    description:
      - Where the requests in work are. A slash at its end is added when it is missing.
    type: str
    default: processing/
  target_prefix:
    description:
      - Where the waiting requests are. Must not be, hold, or lie within O(source_prefix).
    type: str
    default: wait/
  pattern:
    description:
      - Which objects are meant, as C(fnmatch) reads it, over the whole key below the prefix. V(*) covers slashes too.
      - As C(aws s3 mv --exclude "*" --include PATTERN), except that case counts on every system, that there is one pattern, and
        that an object that only stands for a folder stays.
    type: str
    default: "*request.json"
  min_age:
    description:
      - Seconds that must have passed since the object was written, on S3's own clock.
    type: float
    default: 0
  owner:
    description:
      - Only the work of this owner.
    type: str
  owner_in:
    description:
      - V(key) when the owner's objects are at C(processing/OWNER/KEY), V(metadata) when the owner is in the object's metadata
        C(hotstandby-owner), which costs one more request for each object.
    type: str
    choices: [key, metadata]
    default: key
  max_attempts:
    description:
      - How often a request may go back to waiting. It is counted in the object's metadata C(hotstandby-attempts), which costs
        two more requests for each object. V(0) counts nothing.
      - Needs O(failed_prefix).
    type: int
    default: 0
  failed_prefix:
    description:
      - Where a request goes that has been tried O(max_attempts) times. Needs O(max_attempts).
    type: str
  on_conflict:
    description:
      - What happens when another object of the same name waits already. When it holds the same bytes, an earlier run copied it
        and died, so the source is only deleted.
      - With V(keep_both) the object goes to a name beside it that still matches O(pattern), with V(skip) it stays, with V(fail)
        it stays and the module fails after all the others.
    type: str
    choices: [keep_both, skip, fail]
    default: keep_both
  requester_pays:
    description:
      - Say that the caller pays, for buckets that want that.
    type: bool
    default: false
  workers:
    description:
      - How many copies are made at once.
    type: int
    default: 8
notes:
  - Needs the rights C(s3:ListBucket), C(s3:GetObject), C(s3:GetObjectTagging), C(s3:PutObject), C(s3:PutObjectTagging) and
    C(s3:DeleteObject); above 5 GB C(s3:ListBucketMultipartUploads) and C(s3:AbortMultipartUpload) too.
  - An object keeps its metadata, tags, content type and storage class. Up to 5 GB its encryption is the bucket's default, unless
    O(max_attempts) or an owner in the metadata makes the module look at it first; then, and above 5 GB, it is kept as well.
  - Where a store does not keep the conditions, which is found out on the first object, each object is looked at first and
    RV(conditional) is V(false). Amazon's own S3 is known to keep them.
  - An unfinished multipart upload to a name that an object above 5 GB is moved to is aborted first, since a killed run left it.
seealso:
  - module: amazon.aws.s3_object
"""

EXAMPLES = r"""
- name: After the worker was lost, its requests wait again
  hotstandby.ops.s3_requeue:
    bucket: requests-prod
    region: ap-northeast-1
  register: requeued

- name: Only what this host had in work, at most three times each
  hotstandby.ops.s3_requeue:
    bucket: requests-prod
    region: ap-northeast-1
    owner: "{{ inventory_hostname }}"
    max_attempts: 3
    failed_prefix: failed/

- name: A store of our own
  hotstandby.ops.s3_requeue:
    bucket: requests
    region: us-east-1
    endpoint_url: https://minio.example.com
    on_conflict: fail
"""

RETURN = r"""
requeued:
  description: Objects that wait again.
  returned: always, once the bucket could be listed
  type: int
  sample: 12
quarantined:
  description: Objects that went to O(failed_prefix).
  returned: always, once the bucket could be listed
  type: int
  sample: 0
conflicts:
  description: Objects whose name was taken by other bytes.
  returned: always, once the bucket could be listed
  type: int
  sample: 0
duplicates:
  description: Objects that may be waiting twice, since somebody changed, finished or moved them at the same time.
  returned: always, once the bucket could be listed
  type: int
  sample: 0
skipped:
  description: Objects that match O(pattern) and were left alone on purpose. What does not match is not counted.
  returned: always, once the bucket could be listed
  type: int
  sample: 0
failed:
  description: Objects that could not be moved; they are where they were. The module fails when there is one.
  returned: always, once the bucket could be listed
  type: int
  sample: 0
left:
  description: Objects that were not tried any more after an error that would have met each of them.
  returned: always, once the bucket could be listed
  type: int
  sample: 0
objects:
  description: The first 1,000 objects.
  returned: always, once the bucket could be listed
  type: list
  elements: dict
  contains:
    key:
      description: Where it was.
      type: str
    to:
      description: Where it is now.
      type: str
    outcome:
      description: V(requeued), V(quarantined), V(skipped), V(failed) or V(left).
      type: str
    detail:
      description: Why.
      type: str
  sample:
    - key: processing/42-request.json
      to: wait/42-request.json
      outcome: requeued
      detail: ""
conditional:
  description: Whether the store kept the conditions; none when that was not to be found out.
  returned: always, once the bucket could be listed
  type: bool
  sample: true
requests:
  description: Requests sent to the store, repeated ones included.
  returned: always, once the bucket could be listed
  type: int
  sample: 15
seconds:
  description: How long it took.
  returned: always, once the bucket could be listed
  type: float
  sample: 0.42
msg:
  description: One line for the operator.
  returned: always
  type: str
  sample: 12 went back to waiting
"""

import time
from collections.abc import Mapping
from typing import Any

from ansible_collections.hotstandby.ops.plugins.module_utils._ansible import ModuleFailure
from ansible_collections.hotstandby.ops.plugins.module_utils._aws import aws_module, bulk_client, finish_aws
from ansible_collections.hotstandby.ops.plugins.module_utils.requeue import RequeueError, make_rules
from ansible_collections.hotstandby.ops.plugins.module_utils.requeue_pool import WORKERS, threads
from ansible_collections.hotstandby.ops.plugins.module_utils.requeue_run import requeue
from ansible_collections.hotstandby.ops.plugins.module_utils.requeue_s3 import Bucket

OPTIONS: dict[str, Any] = {
    "bucket": {"type": "str", "required": True},
    "source_prefix": {"type": "str", "default": "processing/"},
    "target_prefix": {"type": "str", "default": "wait/"},
    "pattern": {"type": "str", "default": "*request.json"},
    "min_age": {"type": "float", "default": 0},
    "owner": {"type": "str"},
    "owner_in": {"type": "str", "choices": ["key", "metadata"], "default": "key"},
    "max_attempts": {"type": "int", "default": 0},
    "failed_prefix": {"type": "str"},
    "on_conflict": {"type": "str", "choices": ["keep_both", "skip", "fail"], "default": "keep_both"},
    "requester_pays": {"type": "bool", "default": False},
}


def main() -> None:
    module = aws_module({**OPTIONS, "workers": {"type": "int", "default": WORKERS}})

    def work() -> Mapping[str, Any]:
        params = module.params
        rules = make_rules(**{name: params[name] for name in OPTIONS})
        workers = params["workers"]
        if not 1 <= workers <= 64:
            raise RequeueError(f"workers: must be between 1 and 64, not {workers}")
        began = time.monotonic()
        bucket = Bucket(
            bulk_client(module, "s3", workers), rules.bucket, time.sleep, requester_pays=rules.requester_pays
        )
        report = requeue(bucket, rules, threads(workers), check=module.check_mode)
        result = {
            "changed": report.changed,
            "requeued": report.requeued,
            "quarantined": report.quarantined,
            "conflicts": report.conflicts,
            "duplicates": report.duplicates,
            "skipped": report.skipped,
            "failed": report.failed,
            "left": report.left,
            "objects": report.objects,
            "conditional": report.conditional,
            "requests": report.requests,
            "seconds": round(time.monotonic() - began, 3),
        }
        if report.error or report.failed:
            why = report.error or report.first_failure
            raise ModuleFailure(f"{report.text()}: {why}", **result)
        return {**result, "msg": report.text()}

    finish_aws(module, work)


if __name__ == "__main__":
    main()
