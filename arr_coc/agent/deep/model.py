"""The deep generative model: recognition q(s|o), likelihood p(o|s), transition p(s'|s, a, theta)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from arr_coc.agent.deep.gaussian import Gaussian, cross_entropy, kl_divergence, nll
from arr_coc.agent.deep.networks import Ensemble, mlp


@dataclass(frozen=True)
class ModelShape:
    """Sizes of a deep model."""

    obs_dim: int
    n_actions: int
    state_dim: int | None = None
    """Dimensions of the hidden state. None: nothing is hidden, the state is the observation, standardised."""
    hidden: int = 32
    depth: int = 2
    """Hidden layers of a transition."""
    members: int = 5
    """Networks that hold different opinions of the transition; what they disagree on is to be learned."""
    least_log_var: float = -6.0
    """Smallest log-variance of a transition, over that of one step: finer differences teach nothing."""

    def __post_init__(self) -> None:
        if min(self.obs_dim, self.n_actions, self.hidden, self.members) < 1:
            raise ValueError(f"sizes of a model must be positive, got {self}")


@dataclass(frozen=True)
class FreeEnergy:
    """Variational free energy of transitions, in nats, an upper bound of -ln p(o'|o, a)."""

    complexity: Float[Tensor, "members batch"]
    """KL[q(s'|o') || p(s'|s, a)]: how far what was seen moved the belief from what had been predicted."""
    accuracy: Float[Tensor, "members batch"]
    """E_q[ln p(o'|s')]."""

    @property
    def total(self) -> Float[Tensor, "members batch"]:
        """F = complexity - accuracy."""
        return self.complexity - self.accuracy


class DeepModel(nn.Module):
    """What the agent believes of its world. Networks see standardised numbers; callers never do."""

    obs_mean: Tensor
    obs_std: Tensor
    step_std: Tensor

    def __init__(self, shape: ModelShape, generator: torch.Generator) -> None:
        super().__init__()
        self.shape = shape
        dims = shape.state_dim or shape.obs_dim
        self.dims = dims
        self.transition = Ensemble(
            shape.members, dims + shape.n_actions, 2 * dims, shape.hidden, shape.depth, generator
        )
        if shape.state_dim is not None:
            self.recognition = mlp(shape.obs_dim, 2 * dims, shape.hidden, generator)
            self.decoder = mlp(dims, shape.obs_dim, shape.hidden, generator)
            self.decoder_log_var = nn.Parameter(torch.zeros(shape.obs_dim))
        self.register_buffer("obs_mean", torch.zeros(shape.obs_dim))
        self.register_buffer("obs_std", torch.ones(shape.obs_dim))
        self.register_buffer("step_std", torch.ones(dims))

    def standardise(self, obs: Float[Tensor, "n obs"], next_obs: Float[Tensor, "n obs"]) -> None:
        """Take units from what was seen: of an observation, and of how much of it changes in one step."""
        self.obs_mean.copy_(obs.mean(0))
        self.obs_std.copy_(obs.std(0).clamp_min(1e-6))
        if self.shape.state_dim is None:
            self.step_std.copy_(((next_obs - obs) / self.obs_std).std(0).clamp_min(1e-6))

    def recognise(self, obs: Float[Tensor, "*batch obs"]) -> Gaussian:
        """q(s|o). Where nothing is hidden, a point: a hundredth of what changes in one step."""
        x = (obs - self.obs_mean) / self.obs_std
        if self.shape.state_dim is None:
            return Gaussian(x, 2 * (0.01 * self.step_std).log().expand_as(x))
        mean, log_var = self.recognition(x).chunk(2, -1)
        return Gaussian(mean, _bounded(log_var, -10.0, 4.0))

    def decode(self, state: Float[Tensor, "*batch states"]) -> Gaussian:
        """p(o|s), in units of the observation."""
        if self.shape.state_dim is None:
            seen = Gaussian(state, 2 * (0.01 * self.step_std).log().expand_as(state))
        else:
            mean = self.decoder(state)
            seen = Gaussian(mean, _bounded(self.decoder_log_var, -10.0, 4.0).expand_as(mean))
        return seen.affine(self.obs_std, self.obs_mean)

    def predict(
        self, state: Float[Tensor, "members rows states"], action: Float[Tensor, "members rows actions"]
    ) -> Gaussian:
        """p(s'|s, a, theta) of every member; actions are one-hot or probabilities."""
        return self.spread(state, self.transition(torch.cat([state, action], -1)))

    def see(self, state: Gaussian) -> Gaussian:
        """What is seen of a predicted state, on top of its own spread, in units of the observation.

        Where nothing is hidden the state itself; else what is decoded of its mean.
        """
        if self.shape.state_dim is None:
            return state.affine(self.obs_std, self.obs_mean)
        return self.decode(state.mean)

    def spread(
        self, state: Float[Tensor, "*batch states"], raw: Float[Tensor, "*batch twice_states"]
    ) -> Gaussian:
        """The density that the transition's outputs stand for, given the state they start from."""
        mean, log_var = raw.float().chunk(2, -1)
        log_var = _bounded(log_var, self.shape.least_log_var, 1.0) + 2 * self.step_std.log()
        return Gaussian(state + self.step_std * mean, log_var)

    def free_energy(
        self,
        obs: Float[Tensor, "members batch obs"],
        action: Int[Tensor, "members batch"],
        next_obs: Float[Tensor, "members batch obs"],
        generator: torch.Generator | None = None,
    ) -> FreeEnergy:
        """F of one step: the prior of a state is what was predicted of it, never N(0, I)."""
        state = self.recognise(obs).sample(generator)
        one_hot = functional.one_hot(action, self.shape.n_actions).to(state.dtype)
        prior, posterior = self.predict(state, one_hot), self.recognise(next_obs)
        if self.shape.state_dim is None:
            # Both are the same Gaussian about the other's mean: exact, no sample needed.
            seen = Gaussian(posterior.mean, posterior.log_var).affine(self.obs_std, self.obs_mean)
            accuracy = -cross_entropy(seen, self.decode((next_obs - self.obs_mean) / self.obs_std))
        else:
            accuracy = -nll(next_obs, self.decode(posterior.sample(generator)))
        return FreeEnergy(kl_divergence(posterior, prior), accuracy)

    def initial_free_energy(
        self, obs: Float[Tensor, "*batch obs"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "*batch"]:
        """F of an episode's first observation, the only one whose prior is N(0, I)."""
        q = self.recognise(obs)
        prior = Gaussian(torch.zeros_like(q.mean), torch.zeros_like(q.log_var))
        return kl_divergence(q, prior) + nll(obs, self.decode(q.sample(generator)))


def _bounded(x: Tensor, low: float, high: float) -> Tensor:
    """Smoothly between two bounds, from the middle at 0."""
    return low + (high - low) * torch.sigmoid(x.float())
