"""Which of the processes of one evaluation this is, as `accelerate launch` and `torchrun` say it."""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Rank:
    """This process among its fellows. They never wait for each other: all they share is the folder."""

    index: int = 0
    of: int = 1
    local: int = 0
    """Its number on this machine: which of the machine's accelerators is its own."""

    @staticmethod
    def here() -> "Rank":
        """From RANK, WORLD_SIZE and LOCAL_RANK; alone without them."""
        index, of, local = (
            int(os.environ.get(name, default))
            for name, default in (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0"))
        )
        if not 0 <= index < of:
            raise ValueError(f"RANK must lie in [0, WORLD_SIZE), got {index} of {of}")
        return Rank(index, of, local)

    def device(self, name: str) -> str:
        """`cuda` is the accelerator of this process; any other name is taken as it is."""
        return f"{name}:{self.local}" if self.of > 1 and name in ("cuda", "xpu") else name

    def mine(self, number: int) -> bool:
        """Whether the batch of this number is for this process."""
        return number % self.of == self.index
