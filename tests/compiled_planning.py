"""Print the largest difference that compiling makes to G and q_pi, over a few random cases."""

import torch

from arr_coc.agent.planning import Plan, compiled, infer_policies
from tests.planning_models import drawn


def main() -> None:
    """Compile without a code generator: what is tested is that a plan is one graph, and of this plan."""
    cases = [drawn(seed) for seed in (0, 3, 5)]
    made = [(Plan.of(case.model, case.policies), case.qs) for case in cases]
    made += [(Plan.of(cases[0].model, steps), cases[0].qs) for steps in (1, 2)]  # beliefs of the same shapes
    fast = [compiled(plan, backend="aot_eager", fullgraph=True) for plan, _ in made]
    differences = []
    for gamma in (2.0, 3.0):
        for (plan, qs), call in zip(made, fast, strict=True):
            plain = infer_policies(plan, qs, gamma)
            differences += [(a - b).abs().max().item() for a, b in zip(call(qs, gamma), plain, strict=True)]
    print(max(differences))  # noqa: T201  (read by the test that started this process)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
