"""SPM12's stored runs: the model each was given, what happened, and what SPM made of it.

The files are no part of the project: tests that need them are skipped where they are absent.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from arr_coc.agent.maths import normalised
from arr_coc.agent.model import GenerativeModel

STORED = Path(__file__).resolve().parents[2] / "shared" / "data" / "spm"
needs_files = pytest.mark.skipif(
    not STORED.is_dir(), reason="SPM's stored outputs are not at ../shared/data/spm"
)
EXACT = {"atol": 1e-10, "rtol": 0.0}


def tensor(x: Any) -> Tensor:
    return torch.tensor(np.asarray(x, dtype=float))


def cell(x: Any) -> list[Tensor]:
    return [tensor(v) for v in x.ravel()]


def loaded(name: str) -> Any:
    loadmat = pytest.importorskip("scipy.io", reason="scipy reads the stored files").loadmat
    return loadmat(STORED / f"{name}.mat")


@dataclass(frozen=True)
class Run:
    """One stored run of policies that are given."""

    model: GenerativeModel
    policies: Tensor
    """(policies, steps, controls)."""
    outcomes: Tensor
    """(modalities, time)."""
    M: Any
    """The stored output."""

    @property
    def time(self) -> int:
        return self.outcomes.shape[1]

    def stored(self, name: str) -> Tensor:
        return tensor(self.M[name])


def run_of(name: str) -> Run:
    data = loaded(name)
    given, M = data["in"][0, 0], data["M"][0, 0]
    counts: dict[str, Any] = {}
    if "a" in given.dtype.names:
        counts = {"pA": cell(given["a"]), "pB": cell(given["b"]), "pD": [d.ravel() for d in cell(given["d"])]}
        counts["pE"] = tensor(given["e"]).ravel()
    V = torch.tensor(given["V"].astype(int) - 1)
    E = counts.get("pE", tensor(given["E"]).ravel())
    model = GenerativeModel(
        A=[normalised(a) for a in counts.get("pA", cell(given["A"]))],
        B=[normalised(b) for b in counts.get("pB", cell(given["B"]))],
        C=[c.T for c in cell(given["C"])],
        D=[normalised(d) for d in counts.get("pD", [d.ravel() for d in cell(given["D"])])],
        E=normalised(E),
        **counts,
    )
    policies = (V if V.ndim == 3 else V[:, :, None]).permute(1, 0, 2)
    return Run(model, policies, torch.tensor(M["o"].astype(int) - 1), M)
