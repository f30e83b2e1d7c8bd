"""SceneVQA and nano-llava: the pictures, the questions, the training, the shipped model."""

from pathlib import Path

MODELS: dict[str, Path] = {"nano-llava": Path(__file__).parent / "nano-llava"}
"""Models that travel with the package: name -> folder for `from_pretrained`."""
