"""What is evaluated on: one file a task, registered in `TASKS`."""

import importlib
import pkgutil

from arr_coc.eval.tasks.task import TASKS, Item, Task

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["TASKS", "Item", "Task"]
