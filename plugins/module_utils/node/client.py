# Copyright (c) 2026, hotstandby.ops contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets the daemon of this node answer a command, in a few milliseconds; whatever is odd is left to the command itself.

Imports next to nothing: that is the point. `_socket` is the C module below `socket`. The launcher runs this file by itself,
beside the program that it stands for: finding the way into an archive takes longer than everything here.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # typing alone takes longer to load than the daemon to answer
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Optional

SERVED = ("look", "status", "start", "stop", "may-start", "ssm")
NEVER = ("--without-record", "-h", "--help")  # a matter between a person and a terminal
DEFAULT = "/etc/hotstandby/pair.json"
VARIABLE = "HOTSTANDBY_SOCKET"  # where the launcher found the daemon's socket
USERS = ("SUDO_USER", "LOGNAME", "USER")
PATIENCE = 1.0  # seconds for the daemon to take the request; what it then does has limits of its own
TAKEN = b"+"  # its word that it has; a daemon that hangs says nothing, and must not make its node mute
CHUNK = 65536


def stamp(path: str) -> str:
    """What tells one version of a file from another: its size, time and number."""
    try:
        found = os.stat(path)
    except OSError:
        return "-"
    return f"{found.st_size}.{found.st_mtime_ns}.{found.st_ino}"


def version(program: str, config: str) -> str:
    """What the two sides must have in common: this program and this configuration, unchanged since they were read."""
    return f"{os.path.realpath(program)} {stamp(program)} {os.path.realpath(config)} {stamp(config)}"


def served(argv: Sequence[str]) -> Optional[str]:
    """The configuration that a command line names, when it is one that the daemon may answer; else None."""
    config, words = DEFAULT, list(argv)
    while words and words[0].startswith("--"):
        word = words.pop(0)
        if word == "--config" and words:
            config = words.pop(0)
        elif word != "--json":
            return None
    if not words or words[0] not in SERVED or any(word in NEVER for word in words):
        return None
    return config


def _quoted(text: str) -> str:
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    import json  # slow to load, and hardly ever needed

    return json.dumps(text)


def request(argv: Sequence[str], program: str, config: str) -> str:
    """The one line that is sent."""
    users = {name: os.environ[name] for name in USERS if os.environ.get(name)}
    named = ",".join(f"{_quoted(name)}:{_quoted(value)}" for name, value in users.items())
    words = ",".join(_quoted(word) for word in argv)
    return f'{{"version":{_quoted(version(program, config))},"argv":[{words}],"users":{{{named}}}}}\n'


def reply(line: str) -> Optional[tuple[int, str]]:
    """(exit code, answer) of `{"exit":N,"answer":{...}}`; None for anything else, such as a refusal."""
    head, comma, rest = line.rstrip("\n").partition(',"answer":')
    code = head[8:]
    if head[:8] != '{"exit":' or not comma or not code.isdigit() or rest[:1] != "{" or rest[-2:] != "}}":
        return None
    return int(code), rest[:-1]


def ask(path: str, line: str) -> Optional[str]:
    """Send one line, wait for the line that comes back; None when there is no daemon, or it says nothing."""
    import _socket

    channel = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    folder = -1
    try:
        # an address has 107 bytes, a path may have more
        folder = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        channel.settimeout(PATIENCE)
        channel.connect(f"/proc/self/fd/{folder}/{os.path.basename(path)}")
        data = line.encode()
        while data:
            data = data[channel.send(data) :]
        if channel.recv(1) != TAKEN:
            return None
        channel.settimeout(None)
        found = b""
        while not found.endswith(b"\n"):
            more = channel.recv(CHUNK)
            if not more:
                return None
            found += more
        return found.decode("utf-8", "replace")
    except OSError:
        return None
    finally:
        channel.close()
        if folder >= 0:
            os.close(folder)


def warm(argv: Sequence[str], program: str) -> Optional[int]:
    """Let the daemon answer: prints the answer and returns the exit code; None when the command must do it itself."""
    path, config = os.environ.get(VARIABLE), served(argv)
    if not path or config is None or sys.stderr.isatty():
        return None
    line = ask(path, request(argv, program, config))
    found = None if line is None else reply(line)
    if found is None:
        return None
    try:
        sys.stdout.write(found[1] + "\n")
        sys.stdout.flush()
    except OSError:
        pass  # nobody listens any more; the exit code still tells
    return found[0]


def begin(program: str, argv: Sequence[str], here: bool = True) -> None:
    """What `program` does first: ends here if the daemon answered; else goes on with a Python that has its packages.

    `here` tells that this process is the program and may simply go on where its Python is a whole one.
    """
    code = warm(argv, program)
    if code is not None:
        os._exit(code)
    asked = os.environ.pop(VARIABLE, None)
    if not here or (asked and sys.flags.no_site):  # the launcher left them out, to be quick
        os.execv(sys.executable, [sys.executable, program, *argv])


if __name__ == "__main__":
    begin(sys.argv[1], sys.argv[2:], here=False)
