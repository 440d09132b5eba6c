"""Packages that can be called: ``her2pkpd.simulate("scenario.toml")`` beside ``from her2pkpd.simulate import ...``.

The verbs of the command line are also names of packages. Python lets a module have a class of its own, so the
package answers a call with the function it is named after, and neither has to give way.
"""

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any


def make_callable(package: str, function: Callable[..., Any]) -> None:
    """Let the package named `package` be called as `function`."""

    class CallablePackage(ModuleType):
        __doc__ = function.__doc__

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

    sys.modules[package].__class__ = CallablePackage
