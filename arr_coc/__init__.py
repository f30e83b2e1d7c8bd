"""arr-coc: how many visual tokens a question is worth, and which, decided by expected free energy."""

import arr_coc.adapters  # noqa: F401  (registers every model family)
from arr_coc.allocate import Allocator
from arr_coc.attach import attached
from arr_coc.encode import Encoded, encoded

__all__ = ["Allocator", "Encoded", "attached", "encoded"]
__version__ = "0.1.0"
