"""Checkpoints of a deep agent in safetensors: all that it remembers, so that it goes on bit for bit."""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from arr_coc.agent.deep.agent import DeepAgent
from arr_coc.agent.deep.replay import FIELDS


def save(agent: DeepAgent, path: Path) -> None:
    """Write weights, optimizers, what was lived, what the search remembers, and the state of the luck.

    Between episodes: the policy that is being followed is not kept.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    # Tensors that share memory cannot be saved as two.
    save_file({name: value.detach().clone().contiguous() for name, value in _tensors(agent).items()}, part)
    part.replace(path)


def restore(agent: DeepAgent, path: Path) -> None:
    """Make an agent of the same shape and settings what the saved one was.

    Raises FileNotFoundError, or ValueError if the file is of an agent of another kind.
    """
    saved = load_file(path)
    n = int(saved["replay.added"])
    lived = min(n, len(agent.replay.obs))
    modules = _modules(agent)
    wanted = {f"{name}.{key}": value.shape for name, module in modules.items() for key, value in
              module.state_dict().items()}  # fmt: skip
    wrong = [key for key, shape in wanted.items() if key not in saved or saved[key].shape != shape]
    if wrong or len(saved["replay.obs"]) != lived:
        what = f"{wrong[0]!r}" if wrong else "the capacity of the replay"
        raise ValueError(
            f"{path} is of an agent of another shape: {what} differs; build it with the same settings"
        )
    for name, module in modules.items():
        module.load_state_dict({key: saved[f"{name}.{key}"] for key in module.state_dict()})
    for name, optimizer in agent.optimizers.items():
        for i, parameter in enumerate(_parameters(optimizer)):
            prefix = f"optimizer.{name}.{i}."
            keys = [key for key in saved if key.startswith(prefix)]
            if keys:
                optimizer.state[parameter] = {key[len(prefix) :]: saved[key].clone() for key in keys}
    for field in FIELDS:
        getattr(agent.replay, field)[:lived] = saved[f"replay.{field}"]
    agent.replay.added, agent.updates = n, int(saved["updates"])
    memory = {
        key[len("memory.") :]: value.clone() for key, value in saved.items() if key.startswith("memory.")
    }
    agent.memory = memory or None
    agent.found, agent.since = None, 0
    agent.generator.set_state(saved["generator"])


def _modules(agent: DeepAgent) -> dict[str, nn.Module]:
    modules: dict[str, nn.Module] = {"model": agent.model, "value": agent.value}
    if isinstance(agent.preference, nn.Module):
        modules["preference"] = agent.preference
    return modules


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _tensors(agent: DeepAgent) -> dict[str, Tensor]:
    out = {"generator": agent.generator.get_state(), "updates": torch.tensor(agent.updates)}
    for name, module in _modules(agent).items():
        out |= {f"{name}.{key}": value for key, value in module.state_dict().items()}
    for name, optimizer in agent.optimizers.items():
        for i, parameter in enumerate(_parameters(optimizer)):
            state = optimizer.state.get(parameter, {})
            out |= {f"optimizer.{name}.{i}.{key}": value for key, value in state.items()}
    for field in FIELDS:
        out[f"replay.{field}"] = getattr(agent.replay, field)[: len(agent.replay)]
    out["replay.added"] = torch.tensor(agent.replay.added)
    for key, value in (agent.memory or {}).items():
        out[f"memory.{key}"] = value
    return out
