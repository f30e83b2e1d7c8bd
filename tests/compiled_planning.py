"""Print the largest difference that compiling makes to G and q_pi, over a few random cases."""

import torch

from arr_coc.agent.planning import Plan, compiled, infer_policies
from tests.planning_models import drawn


def main() -> None:
    """Compile without a code generator: what is tested is that a plan is one graph."""
    differences = []
    for seed in (0, 3, 5):
        case = drawn(seed)
        plan = Plan.of(case.model, case.policies)
        told = compiled(plan, backend="aot_eager", fullgraph=True)(case.qs, 2.0)
        plain = infer_policies(plan, case.qs, 2.0)
        differences += [(a - b).abs().max().item() for a, b in zip(told, plain, strict=True)]
    print(max(differences))  # noqa: T201  (read by the test that started this process)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
