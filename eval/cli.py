"""The command `arr-coc`: says in one line what was wrong, and which extra is missing."""

import os
import sys
from typing import NoReturn

from arr_coc.eval.extras import missing

EXTRAS = ("typer", "rich", "matplotlib", "scipy", "jinja2", "accelerate", "datasets", "open_clip")
"""What extras of `arr-coc` install; everything else that is missing is a broken installation."""


def main() -> None:
    """A mistake of the user is one line and exit code 2; ARR_COC_DEBUG=1 shows where it came from."""
    try:
        from arr_coc.eval.commands import app

        app(prog_name="arr-coc")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] not in EXTRAS:
            raise
        _fail(missing(error.name), error)
    except KeyError as error:
        _fail(str(error.args[0]) if error.args else repr(error), error)
    except (ValueError, OSError) as error:
        _fail(str(error) or type(error).__name__, error)


def _fail(message: str, error: Exception) -> NoReturn:
    if os.environ.get("ARR_COC_DEBUG"):
        raise error
    print("error: " + " ".join(message.split()), file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    main()
