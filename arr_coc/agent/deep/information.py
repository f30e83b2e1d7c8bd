"""What an observation is expected to teach: of the state, and of the parameters; in nats."""

import math

from jaxtyping import Float
from torch import Tensor

from arr_coc.agent.deep.gaussian import Gaussian


def state_information_gain(
    prior: Float[Tensor, "*batch dims"], posterior: Float[Tensor, "*batch dims"]
) -> Float[Tensor, "*batch"]:
    """I(s; o) = H[Q(s)] - E_o H[Q(s|o)] of two Gaussians, from their log-variances.

    Noise that no observation takes away is in both and cancels: it is not worth anything.
    """
    return 0.5 * (prior - posterior).sum(-1)


def parameter_information_gain(members: Gaussian, dim: int = 0) -> Float[Tensor, "*batch"]:
    """I(theta; s) = H[mixture] - E_theta H[member], between 0 and ln(members), from above.

    Each member of an ensemble along `dim` is one theta, all as likely. The entropy of the mixture is
    bounded by that of the Gaussian with its moments, and the gain by the ln(members) nats that there are to
    learn: which member is right. What all members call noise earns nothing.
    """
    n = members.mean.shape[dim]
    var = members.var
    # Not torch.var, which takes ten times as long across a short leading axis.
    apart = (members.mean - members.mean.mean(dim, keepdim=True)).square()
    mixed = (apart + var).mean(dim)
    gain = 0.5 * (mixed.log() - members.log_var.mean(dim)).sum(-1)
    return gain.clamp(0.0, math.log(n))
