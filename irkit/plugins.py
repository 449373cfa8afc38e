"""Plugins: ops, kernels, rules and passes of others, from a Python file, a package's folder, or an installed module.

A plugin registers when it is imported: ops by `register_op`, kernels by `register_kernel`. What else it has stands in a
`PLUGIN` of its module:

    PLUGIN = Plugin(dialects=[Signal], rules={SoftclipOp: softclip}, passes={"signal-simplify": SignalSimplify},
                    after={"graph-simplify": "signal-simplify"})
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from dialects.errors import IrkitError

if TYPE_CHECKING:
    from xdsl.ir import Dialect, Operation
    from xdsl.passes import ModulePass

    from lowering.kernel.builder import Rule


@dataclass(frozen=True)
class Plugin:
    """What a plugin adds beside ops and kernels.

    rules say how an op reads as a field of a kernel, so that it can be fused with others (`lowering.kernel.rules`). passes
    can be run by name; `after` puts one into the standard pipeline, after the pass that it names.
    """

    dialects: Sequence[Dialect] = ()
    rules: Mapping[type[Operation], Rule] = field(default_factory=dict)
    passes: Mapping[str, type[ModulePass]] = field(default_factory=dict)
    after: Mapping[str, str] = field(default_factory=dict)


LOADED: dict[str, tuple[Plugin, str]] = {}
"""Each plugin by where it came from, with a hash of its source."""


def load_plugin(source: str) -> Plugin:
    """Imports a plugin: a `.py` file, the folder of a package, or the name of an installed module. Loading one twice does
    nothing. Raises IrkitError for one that cannot be found or imported."""
    path = Path(source)
    is_file = path.suffix == ".py" or path.is_dir() or "/" in source
    name = str(path.resolve()) if is_file else source
    if name in LOADED:
        return LOADED[name][0]
    module = _import_file(path) if is_file else _import_name(source)
    plugin = getattr(module, "PLUGIN", Plugin())
    if not isinstance(plugin, Plugin):
        raise IrkitError(
            f"PLUGIN of {source} is no irkit.Plugin",
            found=type(plugin).__name__,
            expected="PLUGIN = irkit.Plugin(...)",
        )
    _install(plugin, source)
    LOADED[name] = plugin, _fingerprint(module)
    return plugin


def _import_file(path: Path) -> ModuleType:
    start = path / "__init__.py" if path.is_dir() else path
    if not start.is_file():
        raise IrkitError(f"there is no plugin {path}", expected="a .py file, or a folder with an __init__.py")
    name = path.stem if not path.is_dir() else path.resolve().name
    spec = importlib.util.spec_from_file_location(
        name, start, submodule_search_locations=[str(path)] if path.is_dir() else None
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    known = sys.modules.get(name)
    if known is not None and getattr(known, "__file__", None) != str(start):
        raise IrkitError(
            f"a module '{name}' is loaded already",
            found=str(getattr(known, "__file__", None)),
            hint="rename the plugin",
        )
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as fault:
        del sys.modules[name]
        raise _failed(str(path), fault) from fault
    return module


def _import_name(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as fault:
        raise _failed(name, fault) from fault


def _failed(source: str, fault: BaseException) -> IrkitError:
    trace = fault.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f" ({Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno})" if trace else ""
    return IrkitError(
        f"the plugin {source} cannot be imported",
        found=f"{type(fault).__name__}: {str(fault).splitlines()[0] if str(fault) else ''}{where}",
    )


def _install(plugin: Plugin, source: str) -> None:
    from irkit import pipeline
    from lowering.kernel.rules import RULES

    for before, name in plugin.after.items():
        if before not in pipeline.PASSES:
            raise IrkitError(
                f"the plugin {source} puts '{name}' after a pass that does not exist",
                found=before,
                expected="one of " + ", ".join(pipeline.PASSES),
            )
        if name not in plugin.passes:
            raise IrkitError(f"the plugin {source} has no pass '{name}'", expected="a pass of its own")
    RULES.update(plugin.rules)
    for name, cls in plugin.passes.items():
        pipeline.PASSES[name] = cls.__module__, cls.__name__
    for before, name in plugin.after.items():
        pipeline.AFTER.setdefault(before, []).append(name)


def _fingerprint(module: ModuleType) -> str:
    """A hash of a plugin's source files, so that the cache knows when one has changed."""
    digest = hashlib.sha256()
    start = Path(str(module.__file__))
    for path in sorted(start.parent.rglob("*.py")) if start.name == "__init__.py" else [start]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def fingerprints() -> list[str]:
    """What the loaded plugins are, for the key of a cached program."""
    return [mark for _, mark in LOADED.values()]


def plugin_dialects() -> list[Dialect]:
    """The dialects of all loaded plugins."""
    return [d for plugin, _ in LOADED.values() for d in plugin.dialects]
