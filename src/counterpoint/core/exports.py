"""Names that a package offers and imports only when they are used (PEP 562), and packages that can be called.

    if TYPE_CHECKING:
        from counterpoint.policy.checkpoint import load_checkpoint
    else:
        __getattr__, __dir__ = lazy_exports(__name__, {"counterpoint.policy.checkpoint": ("load_checkpoint",)})

Type checkers and editors read the first branch; at run time `import counterpoint` costs a millisecond and needs
neither torch nor pyarrow.
"""

from __future__ import annotations

import sys
from importlib import import_module

TYPE_CHECKING = False  # type checkers take it for `typing.TYPE_CHECKING`, and `typing` is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def lazy_exports(
    package: str, modules: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` of a package that offers names of these modules.

    A name must differ from the package's own submodules: importing a submodule would put it in the name's place.
    """
    homes = {name: module for module, names in modules.items() for name in names}

    def module_getattr(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}{_nearest(name, homes)}")
        found = import_module(homes[name])
        value = getattr(found, name) if homes[name] != f"{package}.{name}" else found
        setattr(sys.modules[package], name, value)
        return value

    def module_dir() -> list[str]:
        return sorted({*vars(sys.modules[package]), *homes})

    return module_getattr, module_dir


def make_callable(package: str, function: str) -> None:
    """Let calling the package call one of its functions: `counterpoint.train(...)` calls `counterpoint.train.train`."""

    class CallablePackage(type(sys)):  # type: ignore[misc]  # types.ModuleType, without importing types
        def __call__(self, *args: object, **keywords: object) -> object:
            return getattr(self, function)(*args, **keywords)

    sys.modules[package].__class__ = CallablePackage


def _nearest(name: str, known: Mapping[str, str]) -> str:
    from difflib import get_close_matches  # slow to import, and hardly ever needed

    near = [] if name.startswith("_") else get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
