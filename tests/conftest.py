"""Check every shape annotation of arr_coc while testing, on one thread."""

import jaxtyping
import torch

jaxtyping.install_import_hook("arr_coc", "beartype.beartype")
torch.set_num_threads(1)
