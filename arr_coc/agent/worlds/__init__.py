"""Worlds to show an agent in: they keep their own state, and say what to believe of them at first."""

from arr_coc.agent.worlds.bandit import Bandit
from arr_coc.agent.worlds.chain import EpistemicChain
from arr_coc.agent.worlds.grid import GridWorld
from arr_coc.agent.worlds.gym import GymWorld, as_gymnasium
from arr_coc.agent.worlds.imagined import Imagined
from arr_coc.agent.worlds.slots import SlotMachines
from arr_coc.agent.worlds.tmaze import TMaze
from arr_coc.agent.worlds.world import Environment, World

__all__ = [
    "Bandit",
    "Environment",
    "EpistemicChain",
    "GridWorld",
    "GymWorld",
    "Imagined",
    "SlotMachines",
    "TMaze",
    "World",
    "as_gymnasium",
]
