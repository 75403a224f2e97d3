# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two Rundeck servers on one database: yes, no, and not known."""

from __future__ import annotations

import pytest
from ansible_collections.hotstandby.ops.plugins.module_utils.rundeck_server import (
    host_of,
    parse_properties,
    problems,
    shown,
    wrong_url,
)

PATH = "/etc/rundeck/rundeck-config.properties"
# as the package installs it, but for the database
GOOD = """#loglevel.default is the default log level for jobs: ERROR,WARN,INFO,VERBOSE,DEBUG
loglevel.default=INFO
rdeck.base=/var/lib/rundeck

rss.enabled=false
grails.serverURL=http://rundeck.example.internal:4440
dataSource.dbCreate = none
dataSource.url = jdbc\\:mysql://db.example.internal/rundeck?autoReconnect=true&password=hunter2
dataSource.username = rundeckuser
dataSource.password = hunter3
rundeck.storage.converter.1.config.password=hunter4
"""


def test_properties_as_java_reads_them() -> None:
    text = "a=1\n b : 2\nc 3\n# d=4\n! e=5\nf\\ g=h\\\n   i\n\nj=\\u30ab\\n\nk\na=6\nl=x\\\\\nm=end\\"
    assert parse_properties(text) == {
        "a": "6", "b": "2", "c": "3", "f g": "hi", "j": "\u30ab\n", "k": "", "l": "x\\", "m": "end",
    }  # fmt: skip
    assert parse_properties("") == {} == parse_properties("\r\n#x\\\r\n")
    assert parse_properties("a=1\r\nb=2\r\n") == {"a": "1", "b": "2"}


def test_one_database_is_well() -> None:
    assert problems({"rd-a": GOOD, "rd-b": GOOD.replace("INFO", "WARN")}, PATH) == []


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (None, "is not set"),
        ("", "is not set"),
        ("jdbc:h2:file:/var/lib/rundeck/data/rundeckdb;DB_CLOSE_ON_EXIT=FALSE", "jdbc:h2:file:/var/lib/rundeck/data/rundeckdb, a database in files"),
        ("JDBC:H2:mem:x", "a database in files"),
        ("jdbc:mysql://localhost/rundeck", "each node's own machine"),
        ("jdbc:postgresql://user:pw@127.0.0.1:5432/rundeck", "jdbc:postgresql://127.0.0.1:5432/rundeck, which is each node's own"),
        ("jdbc:mariadb://[::1]/rundeck", "each node's own machine"),
        ("jdbc:oracle:thin:@localhost:1521:XE", "each node's own machine"),
        ("jdbc:sqlserver://localhost;databaseName=Rundeck", "each node's own machine"),
        ("${RUNDECK_DATABASE_URL}", "no JDBC URL"),
    ],
)  # fmt: skip
def test_a_database_of_the_nodes_own(url: str | None, why: str) -> None:
    said = wrong_url(url)
    assert why in said and "pw" not in said
    text = "rdeck.base=/x\n" + (f"dataSource.url={url}\n" if url is not None else "")
    (one, two) = problems({"rd-a": text, "rd-b": text}, PATH)
    assert one.startswith("rd-a: dataSource.url is") and two.startswith("rd-b: ")
    assert one.endswith("give both nodes the same dataSource.url")


def test_hosts_of_jdbc_urls() -> None:
    found = {
        "jdbc:mysql://DB.example/rundeck?x=1": "db.example",
        "jdbc:mysql:aurora://cluster.example:3306/rundeck": "cluster.example",
        "jdbc:oracle:thin:@db.example:1521:XE": "db.example",
        "jdbc:oracle:thin:@//db.example:1521/XE": "db.example",
        "jdbc:sqlserver://db.example;databaseName=R": "db.example",
        "jdbc:postgresql://[2001:db8::1]:5432/r": "[2001:db8::1]",
        "jdbc:odd": "",
    }
    assert {url: host_of(url) for url in found} == found
    assert all(wrong_url(url) == "" for url in found)


def test_databases_that_differ_are_told_without_passwords() -> None:
    (said,) = problems({"rd-a": GOOD, "rd-b": GOOD.replace("db.ex", "old.ex")}, PATH)
    assert (
        "jdbc:mysql://db.example.internal/rundeck on rd-a and jdbc:mysql://old.example.internal/rundeck on rd-b"
        in said
    )
    assert "hunter" not in said and shown("jdbc:x://a:hunter@b/c?d") == "jdbc:x://b/c"


def test_keys_that_the_other_could_not_read() -> None:
    (said,) = problems({"rd-a": GOOD, "rd-b": GOOD.replace("hunter4", "hunter5")}, PATH)
    assert "rundeck.storage.converter.* differs" in said and "hunter" not in said


def test_what_cannot_be_read_is_not_known_and_no_yes() -> None:
    (said,) = problems({"rd-a": GOOD, "rd-b": None}, PATH)
    assert said.startswith(f"rd-b: {PATH} cannot be read, so which database it works on is not known")
    assert len(problems({"rd-a": None, "rd-b": None}, PATH)) == 2
    # a file that was read, and is empty, is something else
    (said,) = problems({"rd-a": GOOD, "rd-b": ""}, PATH)
    assert said.startswith("rd-b: dataSource.url is not set")
