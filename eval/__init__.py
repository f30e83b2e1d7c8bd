"""Evaluation: accuracy against tokens kept. The command line is `arr-coc`."""

if __name__ != "arr_coc.eval":
    # Under a second name every registry would exist twice.
    raise ImportError(f"import this package as arr_coc.eval, not as {__name__}")
