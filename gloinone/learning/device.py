"""Which device computes, in which precision, on how many threads."""

import contextlib
import ctypes
import platform
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from gloinone.cores import available_cores
from gloinone.errors import UsageError

_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD, _M_ARENA_MAX = -3, -1, -8
"""Of glibc's malloc.h."""
_ARENAS = 2
"""Pools of memory, which threads share: each keeps what it once had."""
_KEPT_BYTES = 2**30
_CPU_INFO = Path("/proc/cpuinfo")
_AMX, _AVX512 = "amx_bf16", "avx512_bf16"
_BUILT_WITH_AMX = {"GenuineIntel", "avx512_fp16"}
"""Vendor, and a flag that came in the same generation."""


def pick_device(name: str) -> torch.device:
    """``auto``, ``cpu``, ``cuda`` or ``cuda:N``; a GPU that was asked for and is not there is an error."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cpu":
        return torch.device("cpu")
    if name != "cuda" and not (name.startswith("cuda:") and name[5:].isdigit()):
        raise UsageError(f"--device {name}: not a device; use auto, cpu, cuda or cuda:N")
    if not torch.cuda.is_available():
        raise UsageError(
            f"--device {name}: no GPU can be used here; check the driver with nvidia-smi and start the container "
            "with --gpus all (Apptainer: --nv), or use --device cpu"
        )
    index = int(name[5:]) if ":" in name else 0
    if index >= torch.cuda.device_count():
        raise UsageError(
            f"--device {name}: this machine has {torch.cuda.device_count()} GPU(s), counted from 0"
        )
    return torch.device("cuda", index)


def has_fast_bf16() -> bool:
    """Whether bfloat16 is faster than float32 on this processor.

    An Intel processor that was built with AMX multiplies bfloat16 in AVX-512 at half the speed of float32, which is
    what is left where a virtual machine hides its AMX: a detector's tile took 1.5 s there, and .92 s in float32. On
    those built without (AMD's) bfloat16 in AVX-512 takes half of float32's time (tpp-mlir, pull request 1025).
    """
    if platform.machine() not in ("x86_64", "AMD64") or not _CPU_INFO.exists():
        return False
    known = set()
    for line in _CPU_INFO.read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("vendor_id", "flags"):
            known |= set(value.split())
    return _AMX in known or (_AVX512 in known and not known >= _BUILT_WITH_AMX)


def precision_of(device: torch.device) -> torch.dtype:
    """What convolutions are computed in: bfloat16 where the hardware has it, float32 elsewhere."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.bfloat16 if has_fast_bf16() else torch.float32


def autocast(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Mixed precision for this device, or nothing where float32 is best."""
    dtype = precision_of(device)
    if dtype == torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=dtype)


def use_available_threads(wanted: int | None = None) -> int:
    """Give torch and OpenCV the cores that this process may use, or as many as were asked for; the number."""
    threads = wanted or available_cores()
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    return threads


def keep_freed_memory() -> None:
    """Tell glibc to hand freed memory out again rather than back to the system.

    By default each large map of a network comes from the system and goes back to it, and the system clears every
    page of it: a run on a section of 146 megapixels took 4.7 s of system time, and takes 2.2. Other C libraries are
    left as they are.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_M_ARENA_MAX, _ARENAS)


def to_device(images: NDArray[np.uint8], device: torch.device) -> torch.Tensor:
    """(B, 3, H, W), channels last; to a GPU through pinned memory, so that the copy does not hold up the caller."""
    x = torch.from_numpy(images).contiguous(memory_format=torch.channels_last)
    return x.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else x.to(device)


def describe_device(device: torch.device) -> str:
    """For run.json: kind, name and precision."""
    precision = str(precision_of(device)).removeprefix("torch.")
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)}, {precision})"
    return f"cpu ({torch.get_num_threads()} threads, {precision})"
