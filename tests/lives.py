"""Small random agents, and lives to lead them through."""

import torch
from torch import Tensor

from arr_coc.agent.agent import Agent
from arr_coc.agent.model import GenerativeModel

double = torch.double


def draw(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def table(*shape: int, seed: int) -> Tensor:
    return torch.softmax(1.5 * torch.randn(shape, generator=draw(seed), dtype=double), dim=0)


def one_factor(seed: int = 0) -> GenerativeModel:
    """Three states, four outcomes, two actions, and counts for everything."""
    A, B, D = table(4, 3, seed=seed), table(3, 3, 2, seed=seed + 1), table(3, seed=seed + 2)
    C = torch.tensor([0.0, 1.0, 2.0, 0.5], dtype=double)
    return GenerativeModel(
        A=(A,),
        B=(B,),
        C=(C,),
        D=(D,),
        pA=(5 * A,),
        pB=(5 * B,),
        pC=(5 * C.softmax(0),),
        pD=(5 * D,),
        E=torch.full((2,), 0.5, dtype=double),
        pE=torch.full((2,), 5.0, dtype=double),
    )


def lived(agent: Agent, observations: Tensor, actions: Tensor) -> list[Tensor]:
    """Free energies of one modality's recorded observations (batch, steps + 1)."""
    F = []
    for step in range(observations.shape[1]):
        agent.infer_states((observations[:, step],))
        agent.learn()
        F.append(agent.F)
        if step < actions.shape[1]:
            agent.infer_policies()
            agent.did(actions[:, step])
    return F


OBSERVATIONS = torch.tensor([[0, 3, 1, 1], [2, -1, 0, 3]])
ACTIONS = torch.tensor([[[0], [1], [1]], [[1], [1], [0]]])
