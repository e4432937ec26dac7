"""The process that works in a run directory: alive, ended, of another host, or a number that another process has."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from pipelines.errors import InputError
from pipelines.records.holder import FILE, Holder, hold, read_holder
from tests.pipelines.records import making

SLEEP = [sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(1000)"]
HOLD = """
import pathlib, sys, time
from pipelines.records.holder import hold
with hold(pathlib.Path(sys.argv[1])):
    print("ready", flush=True)
    sys.stdin.read()
"""


def start(argv: list[str]) -> subprocess.Popen[str]:
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def test_a_process_holds_a_directory_until_it_ends(tmp_path: Path) -> None:
    process = start([sys.executable, "-c", HOLD, str(tmp_path)])
    holder = read_holder(tmp_path)
    assert holder is not None and (holder.pid, holder.host, holder.is_here) == (process.pid, socket.gethostname(), True)
    assert str(holder) == f"process {process.pid}"
    with pytest.raises(InputError, match=f"is in use by another `pipeline run`, process {process.pid}"), hold(tmp_path):
        pass
    process.communicate("")
    assert read_holder(tmp_path) is None and not (tmp_path / FILE).exists()
    with hold(tmp_path):
        assert read_holder(tmp_path) == Holder(os.getpid(), socket.gethostname(), psutil.Process().create_time())


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    process = start([sys.executable, "-c", HOLD, str(tmp_path)])
    process.kill()
    # It is a zombie until its parent has waited for it.
    assert (tmp_path / FILE).exists()
    process.communicate()
    assert read_holder(tmp_path) is None
    with hold(tmp_path):
        pass


def test_a_number_that_another_process_has_been_given(tmp_path: Path) -> None:
    making.hold(tmp_path, started=psutil.Process().create_time() - 3600)
    assert read_holder(tmp_path) is None


def test_a_process_of_another_host_is_assumed_to_run(tmp_path: Path) -> None:
    making.hold(tmp_path, pid=2**22 + 1, host="elsewhere")
    holder = read_holder(tmp_path)
    assert holder is not None and (holder.is_here, holder.is_alive) == (False, True)
    assert str(holder) == f"process {2**22 + 1} of elsewhere"


def test_a_holder_of_version_0_2_is_a_number(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(f"{os.getpid()}\n")
    holder = read_holder(tmp_path)
    assert holder is not None and holder.pid == os.getpid() and holder.is_here


@pytest.mark.parametrize("text", ["", "x", "\xff", "1 host notanumber"])
def test_a_damaged_file_names_nobody(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text, encoding="latin-1")
    assert read_holder(tmp_path) is None


def test_interrupt_is_ctrl_c() -> None:
    process = start(SLEEP)
    Holder(process.pid, socket.gethostname(), psutil.Process(process.pid).create_time()).interrupt()
    process.communicate()
    assert process.returncode == -signal.SIGINT


def test_a_process_that_has_taken_the_number_is_not_interrupted() -> None:
    process = start(SLEEP)
    Holder(process.pid, socket.gethostname(), psutil.Process(process.pid).create_time() - 3600).interrupt()
    Holder(2**22 + 1, socket.gethostname(), 1.0).interrupt()
    assert process.poll() is None
    process.kill()
    process.communicate()
