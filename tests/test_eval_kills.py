"""An evaluation that is killed again and again ends like one that nobody stopped."""

import sys
from pathlib import Path

import pytest

from arr_coc.eval.bench import kills
from arr_coc.eval.config import RunConfig
from tests.tiny_llava import folder

CONFIG = RunConfig(model=str(folder()), methods=("stride",), budgets=(16,), limit=60, batch_size=8)


@pytest.mark.skipif(sys.platform == "win32", reason="no fork on this system")
def test_a_run_that_is_killed_at_random_moments_ends_with_the_records_of_an_unbroken_one() -> None:
    found = kills.measure(CONFIG, kills=4, seed=3, slack=0.05, start=kills.Forked)

    assert (found["records"], found["distinct_records"]) == (180, 180)
    assert found["kills"] == 4
    assert max(found["records_at_kill"]) < 180
    assert max(found["records_at_kill"]) > 0
    assert found["same"]


def test_a_run_that_fails_is_not_taken_for_a_finished_one(tmp_path: Path) -> None:
    class Broken:
        """Ends at once."""

        def __init__(self, config: RunConfig) -> None: ...

        def kill(self) -> None: ...

        def poll(self) -> int:
            return 2

        def wait(self) -> int:
            return 2

    with pytest.raises(RuntimeError, match="exit code 2"):
        kills.measure(CONFIG, kills=1, start=Broken)
