"""Figures of the sources this library's agents come from, made again: `python -m arr_coc.eval.sources`."""
