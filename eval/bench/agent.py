"""How fast the agent plans and perceives: beside pymdp, alternating in one run, one thread, in CPU time."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from arr_coc.agent.inference import Method, infer_states
from arr_coc.agent.maths import Beliefs
from arr_coc.agent.planning import Plan, compiled, infer_policies
from arr_coc.eval.bench.agent_cases import CASES, PROBLEMS
from arr_coc.eval.bench.alternate import Call, alternate
from arr_coc.eval.bench.limits import Counted, Rates
from arr_coc.eval.bench.pymdp_peer import Peer
from arr_coc.eval.environment import environment, source_folder

GAMMA = 16.0
NOTE = (
    "ms of CPU time, one thread, float32, medians over alternating rounds of warm blocks; 64 states, 100 "
    "outcomes where not said otherwise; ours: information per modality as pymdp's, the faster of eager and "
    "torch.compile; peer: inferactively-pymdp jitted, the faster of agent closed over and as argument; "
    "limit_ms: products, logarithms and tables read at the rates measured in this run, of state inference "
    "also the calls of torch; share: limit_ms / ours_ms"
)


def place(out: Path | None) -> Path:
    """Where the figures go. Raises ValueError if that is not given and this is no source checkout."""
    if out is not None:
        return out
    committed = source_folder()
    if committed is None:
        raise ValueError("say where the figures go: --out agent.json (only a source checkout has a place)")
    return committed / "bench" / "agent.json"


def chosen(parts: Sequence[str]) -> tuple[tuple[str, int], ...]:
    """The cases whose name has one of `parts` in it; all without any. Raises ValueError if none has."""
    names = {case: f"{PROBLEMS[case[0]].name}, batch {case[1]}" for case in CASES}
    found = tuple(case for case, name in names.items() if not parts or any(p in name for p in parts))
    if not found:
        raise ValueError(f"no case has {' or '.join(parts)} in its name. Known: {'; '.join(names.values())}")
    return found


def measure(
    rounds: int = 11,
    seed: int = 0,
    cases: Sequence[tuple[str, int]] = CASES,
    million: bool = True,
    modes: Sequence[str] = ("eager", "compiled"),
    slowest: float = 30.0,
    say: Callable[[str], None] = lambda what: None,
    save: Callable[[dict[str, Any]], None] = lambda results: None,
) -> dict[str, Any]:
    """Every case: planning, perception, then a million policies.

    `slowest`: seconds of rounds for one case. `save` is given what there is after every case.
    """
    torch.set_num_threads(1)
    say("rates of this processor")
    rates = Rates.measure()
    rows: list[dict[str, Any]] = []
    results = {
        **environment(),
        "seed": seed,
        "rounds": rounds,
        "note": NOTE,
        "rates": {
            "gflops": rates.gflops,
            "log_ns": rates.log_ns,
            "gigabytes_per_s": rates.gigabytes,
            "call_us": rates.call_us,
        },
        "rows": rows,
    }
    with torch.no_grad():
        for name, batch in cases:
            case = f"{PROBLEMS[name].name}, batch {batch}"
            say(case)
            peer = Peer(PROBLEMS[name], batch, seed, GAMMA)
            rows.append(_planning(name, batch, seed, modes, peer, rates, rounds, slowest))
            save(results)
            if name in ("1,000 policies", "4 factors"):
                say(f"state inference: {case}")
                rows.append(_perception(name, batch, seed, peer, rates, rounds, slowest))
                save(results)
    if million:
        say("1,000,000 policies")
        rows.append(_million())
        save(results)
    return results


def _planning(
    name: str,
    batch: int,
    seed: int,
    modes: Sequence[str],
    peer: Peer,
    rates: Rates,
    rounds: int,
    slowest: float,
) -> dict[str, Any]:
    problem = PROBLEMS[name]
    plan = Plan.of(problem.model(seed), problem.policies(seed), information="per_modality")
    qs = problem.beliefs(batch, seed)
    ours: dict[str, Call] = {"eager": lambda: infer_policies(plan, qs, GAMMA)}
    if "compiled" in modes:
        torch.compiler.reset()
        fast = compiled(plan)
        ours["compiled"] = lambda: fast(qs, GAMMA)
    with Counted() as counted:
        infer_policies(plan, qs, GAMMA)
    row = _row(f"{problem.name}, batch {batch}", ours, peer.planning, rounds, slowest)
    limit = rates.limit_ms(counted)
    G, neg_efe = ours["eager"]().G.numpy(), np.asarray(peer.planning["as argument"]()[1])
    return row | {
        "limit_ms": limit,
        "share": limit / row["ours_ms"],
        "multiplications": counted.multiplications,
        "logarithms": counted.logarithms,
        "largest_difference": float(np.abs(G + neg_efe).max()),
    }


def _perception(
    name: str, batch: int, seed: int, peer: Peer, rates: Rates, rounds: int, slowest: float
) -> dict[str, Any]:
    problem = PROBLEMS[name]
    model, obs = problem.model(seed), problem.observations(batch, seed)
    prior = tuple(d.expand(batch, -1) for d in model.D)  # given, as to the peer
    # Several factors: as many sweeps of coordinate ascent as the peer makes of its fixed point, none skipped.
    method: Method = "exact" if len(problem.states) == 1 else "mean_field"

    def ours() -> Beliefs:
        return infer_states(model, obs, prior, method, iterations=16, tolerance=0.0)

    ours()  # keeps what is kept of the model
    with Counted() as counted:
        qs = ours()
    shape = f"{len(problem.states)} factors" if len(problem.states) > 1 else "64 states, 100 outcomes"
    row = _row(f"state inference: {shape}, batch {batch}", {"eager": ours}, peer.perception, rounds, slowest)
    limit = rates.limit_ms(counted, called=True)
    theirs = [np.asarray(q)[:, -1] for q in peer.perception["as argument"]()]
    return row | {
        "limit_ms": limit,
        "share": limit / row["ours_ms"],
        "largest_difference": max(
            float(np.abs(a.numpy() - b).max()) for a, b in zip(qs, theirs, strict=True)
        ),
    }


def _row(
    case: str, ours: dict[str, Call], peers: dict[str, Call], rounds: int, slowest: float
) -> dict[str, Any]:
    calls = {("ours", k): call for k, call in ours.items()} | {("peer", k): call for k, call in peers.items()}
    times = alternate(calls, rounds, slowest)
    ms = {key: 1e3 * median(values) for key, values in times.items()}
    mode, form = (min((v, k[1]) for k, v in ms.items() if k[0] == who)[1] for who in ("ours", "peer"))
    ours_ms, peer_ms = ms["ours", mode], ms["peer", form]
    return {
        "case": case, "ours_ms": ours_ms, "peer": "pymdp", "peer_ms": peer_ms,
        "speedup_vs_pymdp": peer_ms / ours_ms, "mode": mode, "peer_form": form,
        "all_ms": {f"{who} {what}": value for (who, what), value in ms.items()},
        "rounds": len(times["ours", mode]),
    }  # fmt: skip


def _million() -> dict[str, Any]:
    command = [sys.executable, "-m", "arr_coc.eval.bench.million"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    found = json.loads(done.stdout.splitlines()[-1])
    return {
        "case": "1,000,000 policies: 10 actions, 6 steps, batch 1", "ours_ms": found["ms"], "peer": None,
        "peer_ms": None, "speedup_vs_pymdp": None, "limit_ms": None, "mode": "eager",
        "peak_mb": found["peak_mb"], "of_that_imports_mb": found["before_mb"],
    }  # fmt: skip
