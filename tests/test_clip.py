"""A CLIP beside the model: its maps by its own parts, alone and in company, and what it is loaded from."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize
from torch.testing import assert_close

from arr_coc.clip import OpenClip, load_clip
from tests.clips import CONFIG, HIGH, WIDE, WORDS, open_clip, saved, tiny_clip

QUESTIONS = ["what color is the circle ?", "how many dogs are there ?"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> OpenClip:
    return load_clip(saved(tmp_path_factory.mktemp("clip")))


def picture(seed: int, size: tuple[int, int] = (WIDE, HIGH)) -> Image.Image:
    draw = torch.Generator().manual_seed(seed)
    return Image.fromarray(torch.randint(0, 256, (*size[::-1], 3), generator=draw).byte().numpy())


def pixels_of(image: Image.Image) -> Tensor:
    """A picture of the tower's size, in [-1, 1]."""
    return torch.tensor(list(image.tobytes())).reshape(HIGH, WIDE, 3).permute(2, 0, 1)[None] / 127.5 - 1


def by_hand(model: Any, pixels: Tensor, question: str) -> Tensor:
    """Class token first: the cosine of each with the question, from the parts of the model."""
    tower = model.visual
    x = tower.conv1(pixels).flatten(2).transpose(1, 2)
    x = torch.cat([tower.class_embedding.expand(len(x), 1, -1), x], dim=1) + tower.positional_embedding
    for block in (tower.ln_pre, *tower.transformer.resblocks, tower.ln_post):
        x = block(x)
    ids = open_clip.SimpleTokenizer(context_length=WORDS)(question)
    words = model.token_embedding(ids) + model.positional_embedding
    for block in model.transformer.resblocks:
        words = block(words, attn_mask=model.attn_mask)
    end = model.ln_final(words)[0, ids.argmax()] @ model.text_projection
    return normalize(x[0] @ tower.proj, dim=1) @ normalize(end, dim=0)


@torch.no_grad()
def test_a_map_is_the_cosine_of_patches_with_the_question_by_the_models_own_parts(clip: OpenClip) -> None:
    image = picture(0)

    ((rating,),) = clip.rates([[image]], QUESTIONS[:1])

    first, *patches = by_hand(clip.model, pixels_of(image), QUESTIONS[0])
    assert rating.shape == (1, HIGH // 16, WIDE // 16)
    assert_close(rating.flatten(), torch.stack(patches))
    assert rating.std() > 0.01  # not all alike
    # The class token goes through the same parts, and there the model itself says the cosine.
    image_features, text_features, _ = clip.model(pixels_of(image), clip.tokenize(QUESTIONS[:1]))
    assert_close(first, image_features[0] @ text_features[0])


def test_rows_and_pictures_of_a_batch_are_rated_as_if_they_were_alone(clip: OpenClip) -> None:
    rows = [[picture(1), picture(2, (100, 30))], [], [picture(3, (20, 70))]]
    questions = [*QUESTIONS, QUESTIONS[0]]

    together = clip.rates(rows, questions)
    in_twos = OpenClip(clip.model, clip.prepare, clip.tokenize, batch_size=2).rates(rows, questions)

    assert [len(row) for row in together] == [2, 0, 1]
    for row, shown in enumerate(rows):
        for nth, image in enumerate(shown):
            ((alone,),) = clip.rates([[image]], [questions[row]])
            assert_close(together[row][nth], alone)
            assert_close(in_twos[row][nth], alone)
    assert (together[0][0] - clip.rates([[picture(1)]], QUESTIONS[1:])[0][0]).abs().max() > 1e-3


def test_the_whole_of_a_picture_is_looked_at_whatever_its_shape(clip: OpenClip) -> None:
    half = Image.new("RGB", (400, 20), "black")
    half.paste((255, 255, 255), (200, 0, 400, 20))

    pixels = clip.prepare(half)

    assert pixels.shape == (3, HIGH, WIDE)
    assert_close(pixels[..., : WIDE // 2 - 4], torch.full((3, HIGH, WIDE // 2 - 4), -1.0))
    assert_close(pixels[..., WIDE // 2 + 4 :], torch.full((3, HIGH, WIDE // 2 - 4), 1.0))


def test_a_picture_with_a_palette_or_alpha_is_rated_by_its_colors(clip: OpenClip) -> None:
    image = picture(4).quantize(16)

    rated = clip.rates([[image], [image.convert("RGB")], [image.convert("RGBA")]], QUESTIONS[:1] * 3)

    assert torch.equal(rated[0][0], rated[1][0])
    assert torch.equal(rated[0][0], rated[2][0])


def test_what_does_not_fit_into_the_text_side_is_cut_off(clip: OpenClip) -> None:
    long = " ".join(["dog"] * (WORDS - 2))

    (fits,), (longer,), (shorter,) = clip.rates([[picture(5)]] * 3, [long, long + " and a cat", long[4:]])

    assert torch.equal(fits, longer)
    assert not torch.equal(fits, shorter)


@pytest.mark.parametrize("tower", [{"attentional_pool": True}, {"layers": [1, 1, 1, 1], "image_size": 32}])
def test_a_tower_whose_patches_do_not_live_among_words_is_refused(tower: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="choose one with a plain ViT"):
        OpenClip(tiny_clip(**tower), lambda image: pixels_of(image)[0], open_clip.SimpleTokenizer())


def test_the_weights_of_a_folder_are_those_in_the_file(clip: OpenClip) -> None:
    ours, theirs = clip.model.state_dict(), tiny_clip().state_dict()

    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert not clip.model.training


@pytest.fixture
def named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A name under which open_clip knows the tiny configuration."""
    factory = open_clip.factory
    monkeypatch.setattr(factory, "_MODEL_CONFIGS", dict(factory._MODEL_CONFIGS))
    monkeypatch.setattr(factory, "_MODEL_CONFIG_PATHS", list(factory._MODEL_CONFIG_PATHS))
    (tmp_path / "Tiny-32.json").write_text(json.dumps(CONFIG))
    open_clip.add_model_config(tmp_path / "Tiny-32.json")
    return "Tiny-32"


def test_a_model_that_open_clip_knows_by_name_is_loaded_from_a_file(
    tmp_path: Path, named: str, clip: OpenClip
) -> None:
    saved(tmp_path)

    loaded = load_clip(named, str(tmp_path / "open_clip_model.safetensors"))

    mine = OpenClip(
        loaded.model, clip.prepare, loaded.tokenize
    )  # a file of weights does not say mean and std
    images = [[picture(6)]]
    assert torch.equal(mine.rates(images, QUESTIONS[:1])[0][0], clip.rates(images, QUESTIONS[:1])[0][0])


def test_what_cannot_be_loaded_says_why(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="no model called 'ViT-L-15'"):
        load_clip("ViT-L-15", "openai")
    with pytest.raises(ValueError, match=r"'ViT-B-32' needs weights: a file, or one of .*openai"):
        load_clip("ViT-B-32")
    with pytest.raises(
        FileNotFoundError, match=r"cannot load the CLIP 'ViT-B-32' with the weights 'gone\.pt'"
    ):
        load_clip("ViT-B-32", "gone.pt")
    with pytest.raises(FileNotFoundError, match="cannot load the CLIP 'local-dir:gone'"):
        load_clip("local-dir:gone")
    with pytest.raises(FileNotFoundError, match="cannot load the CLIP 'local-dir"):
        load_clip(saved(tmp_path, weights=False))  # open_clip itself would draw them


class Runs:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_weights_are_read_and_not_run(tmp_path: Path, named: str) -> None:
    weights = {"visual.proj": Runs(tmp_path / "ran")}
    (tmp_path / "bare.pt").write_bytes(pickle.dumps(weights, protocol=2))
    torch.save(weights, tmp_path / "zipped.pt")

    for name in ("bare.pt", "zipped.pt"):
        with pytest.raises(FileNotFoundError, match="cannot load the CLIP"):
            load_clip(named, str(tmp_path / name))

    assert not (tmp_path / "ran").exists()
