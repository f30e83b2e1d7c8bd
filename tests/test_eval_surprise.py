"""How surprising an answer was: minus the log-probability that the model itself gives it."""

import pytest
import torch
from torch.testing import assert_close

from arr_coc.eval.surprise import Surprise


def test_the_surprise_is_that_of_the_tokens_up_to_the_end() -> None:
    draw = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(4, 3, 7, generator=draw)  # steps, rows, words
    new = logits.argmax(2).T.clone()
    end = int(new[1, 1])
    new[0] = torch.where(new[0] == end, (end + 1) % 7, new[0])  # the first row goes on to the last step
    log_p = logits.log_softmax(2).amax(2).T

    watch = Surprise()
    for step in logits:
        assert torch.equal(watch(new[:, :0], step), step)

    stop = [4, *(1 + row.tolist().index(end) if end in row.tolist() else 4 for row in new[1:])]
    expected = [-float(log_p[i, :n].sum()) for i, n in enumerate(stop)]
    assert_close(watch.of(new, end), expected)
    assert_close(watch.of(new, [end, 99]), expected)
    assert_close(watch.of(new, None), [-float(row.sum()) for row in log_p])


def test_near_certainty_is_told_apart() -> None:
    watch = Surprise()
    watch(torch.zeros(2, 0, dtype=torch.long), torch.tensor([[30.0, 0.0], [40.0, 0.0]]))
    sure, surer = watch.of(torch.zeros(2, 1, dtype=torch.long), None)
    assert sure == pytest.approx(torch.tensor(-30.0).exp().item())
    assert 0 < surer < sure
