"""Where a figure comes from: commit, versions, hardware, threads, the command line."""

import os
import platform
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("arr-coc", "torch", "transformers", "numpy", "pillow", "torchvision", "open_clip_torch")
"""With torchvision, processors resize by it, and pixels differ a little."""


def environment() -> dict[str, Any]:
    """What somebody needs to measure it again."""
    return {
        "command": command(),
        "commit": commit(),
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
        "hardware": hardware(),
        "threads": torch.get_num_threads(),
    }


def command() -> str:
    """The command line, with the program's name instead of its path."""
    if sys.orig_argv[1:2] == ["-m"]:
        return shlex.join(["python", *sys.orig_argv[1:]])
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def commit() -> str | None:
    """Commit of the source checkout, `+changes` where files differ from it; None outside of one."""
    here = Path(__file__).resolve().parent.parent
    if not (here / ".git").exists():
        return None
    try:
        head = _git(here, "rev-parse", "HEAD")
        return head + "+changes" * bool(_git(here, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.CalledProcessError):
        return None


def hardware() -> str:
    """Processor, number of cores, accelerator."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line
        ]
        name = models[0] if models else name
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{name}, {os.cpu_count()} cores{gpu}"


def source_folder() -> Path | None:
    """`eval/results/` of a source checkout, where committed figures live; None in an installed package."""
    here = Path(__file__).resolve().parent
    return here / "results" if (here.parent / "pyproject.toml").exists() else None


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
