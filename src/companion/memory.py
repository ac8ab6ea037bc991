"""The most memory that a run has used, on each system in the same unit."""

import ctypes
import sys

import torch

BYTES_PER_MB = 2**20


def peak_memory_mb(device: str) -> float:
    """The most memory used so far, in MB of 2²⁰ bytes: by the process on a CPU, by torch on a GPU.

    Args:
        device: such as "cpu", "cuda:0" or "mps".

    Returns:
        On a device whose memory torch keeps account of, such as a GPU, the most that torch's tensors held there at
        once. On any other, such as a CPU, the most that the process had in physical memory at once (its peak resident
        set; on Windows its peak working set, which is the same thing).

    Raises:
        OSError: Windows does not tell.
    """
    most = getattr(getattr(torch, torch.device(device).type, None), "max_memory_allocated", None)
    if most:
        return most(device) / BYTES_PER_MB
    return peak_resident_bytes() / BYTES_PER_MB


def peak_resident_bytes() -> int:
    """The most bytes of physical memory that this process had at once."""
    if sys.platform == "win32":
        return peak_working_set()
    import resource  # Unix has it, Windows does not

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 2**10  # bytes on macOS, units of 1,024 bytes elsewhere


class MemoryCounters(ctypes.Structure):
    """PROCESS_MEMORY_COUNTERS of the Windows API (psapi.h)."""

    _fields_ = [("size", ctypes.c_uint32), ("page_faults", ctypes.c_uint32)] + [
        (name, ctypes.c_size_t)
        for name in (
            "peak_working_set working_set peak_paged_pool paged_pool peak_nonpaged_pool nonpaged_pool pagefile "
            "peak_pagefile"
        ).split()
    ]


def peak_working_set() -> int:
    """The most bytes in this process's working set, as GetProcessMemoryInfo tells it."""
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    kernel.GetCurrentProcess.restype = ctypes.c_void_p
    ask = kernel.K32GetProcessMemoryInfo
    ask.argtypes = [ctypes.c_void_p, ctypes.POINTER(MemoryCounters), ctypes.c_uint32]
    counters = MemoryCounters(size=ctypes.sizeof(MemoryCounters))
    if not ask(kernel.GetCurrentProcess(), ctypes.byref(counters), counters.size):
        raise OSError(f"Windows does not tell how much memory this process used (error {ctypes.get_last_error()}).")
    return counters.peak_working_set
