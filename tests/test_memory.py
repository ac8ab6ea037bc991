"""The peak of memory is in MB on every system, and the package can be imported on each of them."""

import ctypes
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from companion import memory
from companion.memory import MemoryCounters, peak_memory_mb

# What only Unix has. The names are blocked before anything is imported, and then every module of the package is.
UNIX_ONLY = ["fcntl", "grp", "pwd", "resource", "termios"]
IMPORT_ALL = f"""
import sys
sys.modules |= dict.fromkeys({UNIX_ONLY})
import importlib, pkgutil
import companion
for module in pkgutil.walk_packages(companion.__path__, "companion."):
    importlib.import_module(module.name)
    print(module.name)
"""


def test_every_module_is_imported_without_what_only_unix_has():
    run = subprocess.run([sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    needed = {"companion.training", "companion.records", "companion.runs", "companion.experiment", "companion.figures"}
    assert needed | {"companion.tasks.copying", "companion.data.files"} <= set(run.stdout.split())


TAKE = """
import psutil, torch
from companion.memory import peak_memory_mb
taken = torch.ones(300 * 2**20 // 4)
print(psutil.Process().memory_info().rss / 2**20)
del taken
print(peak_memory_mb("cpu"))
"""


def test_peak_is_what_a_process_had_at_its_most():
    """300 MB are taken and given back, in a process of its own; psutil says what it has in between."""
    run = subprocess.run([sys.executable, "-c", TAKE], capture_output=True, text=True, check=True)
    taken, peak = map(float, run.stdout.split())
    assert taken > 300
    assert 0.95 * taken < peak < 20 * taken  # Linux counts what the process had that started it


@pytest.mark.parametrize(("system", "told"), [("linux", 3 * 2**10), ("darwin", 3 * 2**20)])
def test_unit_of_the_system(monkeypatch, system, told):
    """Linux tells kilobytes of 1,024 bytes, macOS bytes."""
    answer = SimpleNamespace(ru_maxrss=told)
    monkeypatch.setitem(sys.modules, "resource", SimpleNamespace(getrusage=lambda who: answer, RUSAGE_SELF=0))
    monkeypatch.setattr(sys, "platform", system)
    assert peak_memory_mb("cpu") == 3


class Windows:
    """Stands in for kernel32: the process has the handle 77, and its peak was 3 MB."""

    succeeds = True

    def __init__(self, library, use_last_error):
        assert library == "kernel32"
        self.GetCurrentProcess = lambda: 77
        self.K32GetProcessMemoryInfo = lambda handle, pointer, size: self.tell(handle, pointer._obj, size)

    def tell(self, handle, counters, size):
        assert (handle, size, counters.size) == (77, ctypes.sizeof(counters), size)
        counters.peak_working_set = 3 * 2**20
        counters.working_set = 2**20
        return self.succeeds


@pytest.fixture
def windows(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "resource", None)
    monkeypatch.setattr(ctypes, "WinDLL", Windows, raising=False)
    monkeypatch.setattr(ctypes, "get_last_error", lambda: 6, raising=False)


def test_windows_tells_its_peak_working_set(windows):
    assert peak_memory_mb("cpu") == 3


def test_windows_that_does_not_tell_is_an_error(windows, monkeypatch, sentence):
    monkeypatch.setattr(Windows, "succeeds", False)
    with pytest.raises(OSError, match="error 6") as caught:
        peak_memory_mb("cpu")
    sentence(caught)


def test_structure_is_laid_out_as_windows_has_it():
    """Two words of 32 bits, then eight of the machine's size (PROCESS_MEMORY_COUNTERS in psapi.h)."""
    word = ctypes.sizeof(ctypes.c_void_p)
    assert MemoryCounters.page_faults.offset == 4
    assert MemoryCounters.peak_working_set.offset == 8
    assert ctypes.sizeof(MemoryCounters) == 8 + 8 * word


def test_on_a_gpu_torch_is_asked(monkeypatch):
    asked = []
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: asked.append(device) or 5 * 2**20)
    monkeypatch.setattr(memory, "peak_resident_bytes", lambda: pytest.fail("the process was asked"))
    assert peak_memory_mb("cuda:1") == 5
    assert asked == ["cuda:1"]


def test_where_torch_keeps_no_account_the_process_is_asked(monkeypatch):
    monkeypatch.setattr(memory, "peak_resident_bytes", lambda: 3 * 2**20)
    assert not hasattr(torch.mps, "max_memory_allocated")
    assert peak_memory_mb("mps") == 3
    monkeypatch.setattr(torch.xpu, "max_memory_allocated", lambda device: 7 * 2**20)
    assert peak_memory_mb("xpu:1") == 7
