"""Rules of the house that no other tool checks, read from the source itself.

Names are imported from where they are defined, private things stay private, files stay short, and words are spelled
as the field does. Each exception stands below with its reason; an exception that is no longer needed fails too.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import segnst

ROOT = Path(segnst.__file__).parent
LONGEST = 320  # lines

# What is allowed although a rule forbids it: (file, what is used): why.
ALLOWED: dict[tuple[str, str], str] = {
    ("device.py", "torch.cpu._is_avx512_bf16_supported"): "torch has no public name for it in every version we support",
    ("device.py", "torch.cpu._is_amx_tile_supported"): "as above",
    ("cli/app.py", "os._exit"): "public in spite of its name: the way out that does not wait for the main thread",
    ("jobs/chunks/saved.py", "value._fields"): "public in spite of its name: the fields of a named tuple",
    ("train/segmentation_data.py", "source._classes"): "until the trainings share one run",
}
TOO_LONG: dict[str, str] = {}

BRITISH = re.compile(
    r"colour|grey|centre|neighbour|behaviour|favour|artefact|catalogue|defence|licence|labelled|modelled|unlabelled"
    r"|(?:normal|styl|stabil|optim|initial|visual|serial|recogn|organ|minim|maxim|summar|quant|general|special|local)is"
    r"(?:e|ed|er|ers|es|ing|ation)(?![a-z])|analys(?:e|ed|er|ing)(?![a-z])",
    re.IGNORECASE,
)


def _modules() -> dict[str, tuple[Path, ast.Module]]:
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = (path, ast.parse(path.read_text(encoding="utf-8")))
    return found


MODULES = _modules()


def _where(path: Path, node: ast.AST) -> str:
    return f"segnst/{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"


def _defined(body: list[ast.stmt]) -> set[str]:
    """Names that a module defines itself, as opposed to those that it imports."""
    names: set[str] = set()
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)}
        elif isinstance(node, ast.If | ast.Try | ast.With | ast.For):
            names |= _defined(node.body) | _defined(getattr(node, "orelse", []))
            for handler in getattr(node, "handlers", []):
                names |= _defined(handler.body)
    return names


DEFINED = {name: _defined(tree.body) for name, (_, tree) in MODULES.items()}


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _imports(tree: ast.Module) -> Iterator[tuple[ast.ImportFrom, str, str]]:
    """(node, module, name) of every ``from module import name``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                yield node, node.module, alias.name


def _local_modules(tree: ast.Module) -> dict[str, str]:
    """The names in a file that refer to modules of segnst, with these modules."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if f"{node.module}.{alias.name}" in MODULES:
                    names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def _only_imported(module: str, name: str) -> bool:
    return module in MODULES and f"{module}.{name}" not in MODULES and name not in DEFINED[module]


def _reexports() -> Iterator[tuple[str, str, str]]:
    for path, tree in MODULES.values():
        file = path.relative_to(ROOT).as_posix()
        for node, module, name in _imports(tree):
            if _only_imported(module, name):
                yield (
                    file,
                    f"{module}.{name}",
                    f"{_where(path, node)}: {module} only imports {name}",
                )
        local = _local_modules(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in local:
                module = local[node.value.id]
                known = DEFINED[module] | {n.rpartition(".")[2] for n in MODULES if n.startswith(module + ".")}
                if node.attr not in known and not node.attr.startswith("__"):
                    yield (
                        file,
                        f"{module}.{node.attr}",
                        f"{_where(path, node)}: {module} only imports {node.attr}",
                    )


def _privates() -> Iterator[tuple[str, str, str]]:
    for path, tree in MODULES.values():
        file = path.relative_to(ROOT).as_posix()
        for node, module, name in _imports(tree):
            if _is_private(name) or any(map(_is_private, module.split("."))):
                yield file, f"{module}.{name}", f"{_where(path, node)} imports the private {module}.{name}"
        # A class may look into another object of its own kind (``other._size``) within the file that defines it.
        own = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and _of_self(n)} | {
            n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)
        }
        for node in ast.walk(tree):
            if not isinstance(node, ast.Attribute) or not _is_private(node.attr) or node.attr in own or _of_self(node):
                continue
            text = ast.unparse(node)
            yield file, text, f"{_where(path, node)} uses the private {text}"


def _of_self(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")


def _identifiers(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    for node in ast.walk(tree):
        for field in ("name", "id", "attr", "arg", "asname"):
            value = getattr(node, field, None)
            if isinstance(value, str):
                yield node, value


def test_names_are_imported_from_where_they_are_defined() -> None:
    wrong = [message for file, what, message in _reexports() if (file, what) not in ALLOWED]
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        for node, module, name in _imports(ast.parse(path.read_text(encoding="utf-8"))):
            if _only_imported(module, name):
                wrong.append(f"tests/{path.name}:{node.lineno}: {module} only imports {name}")
    assert not wrong, "Import each from the module that defines it:\n" + "\n".join(wrong)


def test_private_members_are_used_only_where_they_belong() -> None:
    wrong = [message for file, what, message in _privates() if (file, what) not in ALLOWED]
    assert not wrong, "Make it public (no underscore) or find the public way:\n" + "\n".join(wrong)


def test_no_file_is_too_long_to_read_at_once() -> None:
    lengths = {p.relative_to(ROOT).as_posix(): len(p.read_text("utf-8").splitlines()) for p, _ in MODULES.values()}
    wrong = [f"segnst/{f} has {n} lines" for f, n in lengths.items() if n > LONGEST and f not in TOO_LONG]
    assert not wrong, f"Divide what has more than {LONGEST} lines:\n" + "\n".join(wrong)


def test_identifiers_are_spelled_in_american_english() -> None:
    wrong = {
        f"{_where(path, node)} {name}"
        for path, tree in MODULES.values()
        for node, name in _identifiers(tree)
        if BRITISH.search(name)
    }
    wrong |= {f"segnst/{p.relative_to(ROOT)}" for p, _ in MODULES.values() if BRITISH.search(str(p.relative_to(ROOT)))}
    assert not wrong, "Spell it as the field does (color, gray, center, stylize):\n" + "\n".join(sorted(wrong))


def test_every_exception_is_still_needed() -> None:
    needed = {(file, what) for file, what, _ in (*_reexports(), *_privates())}
    assert set(ALLOWED) <= needed, f"No longer needed, delete from ALLOWED: {sorted(set(ALLOWED) - needed)}"
    for file in TOO_LONG:
        path = ROOT / file
        long = path.is_file() and len(path.read_text("utf-8").splitlines()) > LONGEST
        assert long, f"segnst/{file} is short now: delete it from TOO_LONG"


@pytest.mark.parametrize(
    ("word", "british"),
    [
        *((word, True) for word in ("stylised", "colour_of", "Normaliser", "centre", "GREY")),
        *((word, False) for word in ("stylistic", "normalis", "analysis", "organism", "color")),
    ],
)
def test_the_list_of_words_knows_one_from_the_other(word: str, british: bool) -> None:
    assert bool(BRITISH.search(word)) is british
