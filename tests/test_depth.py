"""The laws of dropping tokens between layers, for every family whose decoder is a plain stack."""

from collections.abc import Iterator
from copy import deepcopy

import pytest
import torch

from arr_coc.adapters.tiny import Tiny
from arr_coc.attach import attached
from arr_coc.cache import CACHE
from arr_coc.family import FAMILIES
from tests.deep import Falling, explained
from tests.laws import BROKEN, CLOSE, FELT  # noqa
