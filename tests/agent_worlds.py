"""One of every world, for tests over all of them."""

from arr_coc.agent.worlds.bandit import Bandit
from arr_coc.agent.worlds.chain import EpistemicChain
from arr_coc.agent.worlds.grid import GridWorld
from arr_coc.agent.worlds.imagined import Imagined
from arr_coc.agent.worlds.slots import SlotMachines
from arr_coc.agent.worlds.tmaze import TMaze
from arr_coc.agent.worlds.world import World
from tests.lives import one_factor

WORLDS: dict[str, World] = {
    "tmaze": TMaze(reward_probability=0.8, cue_reliability=0.9),
    "grid": GridWorld(slip=0.3, blur=0.4),
    "chain": EpistemicChain(
        rows=3, columns=3, first=(1, 0), second=((0, 1), (2, 1)), rewards=((0, 2), (2, 2))
    ),
    "bandit": Bandit(chances=(0.1, 0.5, 0.9)),
    "drawn bandit": Bandit(arms=4),
    "imagined": Imagined(one_factor()),
    "slots": SlotMachines(hint_reliability=0.8, left_better=0.6),
}
