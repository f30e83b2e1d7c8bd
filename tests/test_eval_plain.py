"""All tokens through the evaluation give what plain transformers code gives on the same items."""

import json
import subprocess
import sys
from pathlib import Path

from arr_coc.eval.config import RunConfig
from arr_coc.eval.nano import MODELS
from arr_coc.eval.run import evaluate
from arr_coc.eval.samples import read
from arr_coc.eval.tasks.scene_vqa import SceneVQA

N = 16


def test_the_full_model_answers_as_plain_transformers_code_does(tmp_path: Path) -> None:
    model = str(MODELS["nano-llava"])
    lines = []
    for item in SceneVQA().items("test", N):
        item.image.save(tmp_path / f"{item.id}.png")
        lines.append(json.dumps({"picture": str(tmp_path / f"{item.id}.png"), "question": item.question}))
    (tmp_path / "items.jsonl").write_text("\n".join(lines))
    words = [model, str(tmp_path / "items.jsonl"), str(SceneVQA.max_new_tokens)]
    script = [sys.executable, str(Path(__file__).with_name("plain.py")), *words]

    evaluate(RunConfig(methods=("full",), budgets=(1.0,), limit=N, batch_size=8, out=str(tmp_path / "out")))
    plain = json.loads(subprocess.run(script, capture_output=True, text=True, check=True).stdout)

    ours = {s.id: s.answer for s in read(tmp_path / "out" / "samples.jsonl") if s.method == "full"}
    assert [ours[name] for name in sorted(ours)] == plain
    assert len(set(plain)) > 4  # a model that always says the same would agree with anything


def test_the_plain_script_knows_nothing_of_ours() -> None:
    source = Path(__file__).with_name("plain.py").read_text()

    assert "arr_coc" not in source
    assert len(source.splitlines()) <= 40
