"""The explore-exploit task of Smith, Friston and Whyte: who asks for the hint, by what a win is worth."""

from collections.abc import Callable
from typing import Any

import torch

from arr_coc.agent.action import action_marginals
from arr_coc.agent.agent import Agent
from arr_coc.agent.experience import Learning
from arr_coc.agent.retrospective import Retrospective
from arr_coc.agent.rollout import rollout
from arr_coc.agent.worlds import SlotMachines

SOURCE = (
    "Smith, Friston and Whyte (2022), A step-by-step tutorial on active inference and its application to "
    "empirical data, https://doi.org/10.1016/j.jmp.2021.102632, figures 8, 10 and 11; "
    "https://github.com/rssmith33/Active-Inference-Tutorial-Scripts, Step_by_Step_AI_Guide.m"
)
PUBLISHED = {"first_action_at_rs": {"4": "hint", "8": "a machine"}}
HINT = 1
ALPHA = 32.0
TRIALS = 30


def row(seeds: tuple[int, ...], say: Callable[[str], None], agents: int = 200) -> dict[str, Any]:
    """One trial for each rs; then many trials with learning of the context, for rs 3 and 4."""
    table = {}
    for rs in (0, 1, 2, 3, 4, 5, 6, 8):
        say(f"slot machines: rs {rs}")
        table[str(rs)] = first(SlotMachines(float(rs)))
    repeated = {str(rs): _trials(SlotMachines(float(rs)), agents, seeds[0], say) for rs in (3, 4)}
    return {
        "figure": "figure 8: at rs = 4 the hint is taken first, at rs = 8 a machine is chosen at once; "
        "figure 10: over 30 trials the hint is given up, the sooner the larger rs (3 and 4)",
        "citation": SOURCE,
        "published": PUBLISHED,
        "ours": {
            "first_action_at_rs": {rs: entry["likeliest"] for rs, entry in table.items()},
            "probability_of_hint_first": table,
            "asked_first_in_30_trials": repeated,
        },
        "seeds": [seeds[0]],
        "note": "the log-odds of asking first are ln 2 - rs / 4 at precision 1, whatever the loss, and the "
        "hint is the likeliest action below rs = 8 ln 2 = 5.545; the source's figures are single draws "
        f"without numbers; ours of the trials are means over {agents} agents",
    }


def first(world: SlotMachines) -> dict[str, Any]:
    """How probable the hint is at the start of a trial, and what is done."""
    agent = Agent(world.model(), Retrospective(world.policies, 1.0, "inferred"))
    agent.infer_states(world.reset())
    outlook = agent.infer_policies()
    p = action_marginals(outlook.q_pi, outlook.policies, (4,))[0][0].double()
    chosen = p.pow(ALPHA) / p.pow(ALPHA).sum()
    likeliest = ("wait", "hint", "a machine", "a machine")[int(p.argmax())]
    return {"posterior": p[HINT].item(), "chosen_at_alpha_32": chosen[HINT].item(), "likeliest": likeliest}


def _trials(world: SlotMachines, agents: int, seed: int, say: Callable[[str], None]) -> dict[str, Any]:
    agent = Agent(
        world.model().expand(agents),
        Retrospective(world.policies, 1.0, "inferred"),
        batch=agents,
        alpha=ALPHA,
        learning=Learning(D=0.5),
        generator=torch.Generator().manual_seed(seed),
    )
    draw, asked = torch.Generator().manual_seed(seed + 1), []
    for trial in range(TRIALS):
        say(f"slot machines: rs {world.risk_seeking:.0f}, trial {trial + 1}")
        asked.append((rollout(agent, world, 2, draw).actions[:, 0, 0] == HINT).float().mean().item())
    return {"trials": sum(asked), "share_by_trial": [round(share, 3) for share in asked]}
