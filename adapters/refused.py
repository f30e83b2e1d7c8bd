"""Models that take pictures but have no visual tokens where arr-coc could drop them, with the reason."""

from arr_coc.family import REFUSED

_CROSS = "its pictures enter by cross-attention, and no visual token stands among the words"
_QUERIES = (
    "a Q-Former has made 32 tokens of every picture already, and its generate() goes past the module in "
    "which pictures meet words"
)
_CODES = "its pictures are words of its vocabulary (codes of a quantiser), not features"
_ENCODER = "it is an encoder-decoder: what is dropped would have to be dropped from the encoder"
_INSIDE = "its pictures are merged inside the decoder, after the place where tokens could be dropped"

for _model_type, _why in {
    "blip": _CROSS,
    "blip-2": _QUERIES,
    "chameleon": _CODES,
    "emu3": _CODES,
    "florence2": _ENCODER,
    "git": _INSIDE,
    "idefics": _CROSS,
    "instructblip": _QUERIES,
    "instructblipvideo": _QUERIES,
    "kosmos-2": _INSIDE,
    "kosmos-2.5": _INSIDE,
    "mllama": _CROSS,
    "pix2struct": _ENCODER,
    "t5gemma2": _ENCODER,
    "udop": _ENCODER,
    "vision-encoder-decoder": _ENCODER,
}.items():
    REFUSED.add(_model_type, _why)
