"""SceneVQA, nano-llava and nano-qwen: the pictures, the questions, the training, the shipped models."""

from pathlib import Path

MODELS: dict[str, Path] = {name: Path(__file__).parent / name for name in ("nano-llava", "nano-qwen")}
"""Models that travel with the package: name -> folder for `from_pretrained`."""
