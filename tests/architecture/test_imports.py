"""The dependency rules of docs/architecture.md: work moves rightwards, and so do imports."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(p.relative_to(ROOT) for top in ("pp_assist", "pp_server") for p in (ROOT / top).rglob("*.py"))

WIRE = "pp_server.wire"
ASSIST_STAGE = ("pp_assist.core", "pp_assist.store", "pp_assist.disk", "pp_assist.posix", "pp_assist.clock", WIRE)

ALLOWED: dict[str, tuple[str, ...]] = {  # longest matching prefix decides; a package may always import itself
    "pp_server.wire": (),
    "pp_assist.core": (WIRE,),
    "pp_assist.posix": (),
    "pp_assist.disk": ("pp_assist.core", "pp_assist.posix", WIRE),
    "pp_assist.clock": (),
    "pp_assist.tls": ("pp_assist.core",),
    "pp_assist.http": ("pp_assist.core", "pp_assist.tls", WIRE),
    "pp_assist.store": ("pp_assist.core", "pp_assist.clock", WIRE),
    "pp_assist.activity": ("pp_assist.core", "pp_assist.store"),
    "pp_assist.scanner": ASSIST_STAGE,
    "pp_assist.steering": ("pp_assist.core", "pp_assist.store", "pp_assist.clock"),
    "pp_assist.checksum": (*ASSIST_STAGE, "pp_assist.steering"),
    "pp_assist.uploader": (*ASSIST_STAGE, "pp_assist.steering", "pp_assist.http"),
    "pp_assist.api": (
        "pp_assist.core",
        "pp_assist.store",
        "pp_assist.clock",
        "pp_assist.activity",
        "pp_assist.steering",
        "pp_server.bounds",
        WIRE,
    ),
    "pp_assist.restore": (
        "pp_assist.core",
        "pp_assist.disk",
        "pp_assist.posix",
        "pp_assist.http",
        "pp_assist.uploader.client",
        "pp_assist.client_connection",
        "pp_assist.cli_parsing",
        WIRE,
    ),
    "pp_assist.push": (
        "pp_assist.core",
        "pp_assist.clock",
        "pp_assist.disk",
        "pp_assist.scanner.walk",
        "pp_assist.checksum.entries",
        "pp_assist.uploader",
        "pp_assist.client_connection",
        "pp_assist.cli_parsing",
        "pp_assist.progress",
        WIRE,
    ),
    "pp_assist.indexedcp": ("pp_assist.core", "pp_assist.posix", "pp_assist.http", WIRE),
    "pp_assist.sftp": (
        "pp_assist.core",
        "pp_assist.store",
        "pp_assist.disk",
        "pp_assist.posix",
        "pp_assist.clock",
        "pp_assist.http",
    ),
    "pp_assist.cli_indexedcp": ("pp_assist", "pp_server.indexedcp", WIRE),
    "pp_assist.aliases": ("pp_assist.indexedcp", "pp_assist.sftp", "pp_server.indexedcp"),
    "pp_assist": ("pp_assist", WIRE),
    "pp_server.core": (WIRE,),
    "pp_server.posix": (),
    "pp_server.budget": ("pp_server.core",),
    "pp_server.room": ("pp_server.core", "pp_server.durable"),
    "pp_server.durable": ("pp_server.core", "pp_server.posix", WIRE),
    "pp_server.waiting": (),
    "pp_server.arriving": (),
    "pp_server.appended": ("pp_server.core", "pp_server.durable", "pp_server.posix", WIRE),
    "pp_server.receipts": (
        "pp_server.core",
        "pp_server.durable",
        "pp_server.appended",
        "pp_server.metadata.base",
        "pp_server.waiting",
        WIRE,
    ),
    "pp_server.verify": ("pp_server.core", "pp_server.files", "pp_server.metadata.base", WIRE),
    "pp_server.restore": (
        "pp_server.core",
        "pp_server.content.base",
        "pp_server.files",
        "pp_server.metadata.base",
        WIRE,
    ),
    "pp_server.content": ("pp_server.core", "pp_server.durable", "pp_server.appended", "pp_server.posix", WIRE),
    "pp_server.metadata": ("pp_server.core", "pp_server.durable", WIRE),
    "pp_server.staging": ("pp_server.core", "pp_server.durable", "pp_server.posix", WIRE),
    "pp_server.indexedcp": ("pp_server.core", "pp_server.budget", "pp_server.durable", "pp_server.posix", WIRE),
    "pp_server.auth": ("pp_server.core", "pp_server.metadata.base", WIRE),
    "pp_server.uploads": (
        "pp_server.core",
        "pp_server.budget",
        "pp_server.room",
        "pp_server.content.base",
        "pp_server.metadata.base",
        "pp_server.staging",
        "pp_server.receipts.issuer",
        "pp_server.waiting",
        "pp_server.arriving",
        WIRE,
    ),
    "pp_server.files": (
        "pp_server.core",
        "pp_server.content.base",
        "pp_server.metadata.base",
        "pp_server.receipts.issuer",
        "pp_server.waiting",
        WIRE,
    ),
    "pp_server.api": (
        "pp_server.core",
        "pp_server.budget",
        "pp_server.uploads",
        "pp_server.files",
        "pp_server.verify",
        "pp_server.restore",
        "pp_server.receipts.issuer",
        "pp_server.indexedcp",
        "pp_server.auth",
        WIRE,
    ),
    "pp_server.bounds": (WIRE,),
    "pp_server": ("pp_server",),
}


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def our_imports(source: str) -> set[str]:
    """Absolute imports of our own modules; we use no relative ones, so these are all."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] in ("pp_assist", "pp_server")}


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_point_downstream(path: Path) -> None:
    module = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
    package = max((p for p in ALLOWED if within(module, p)), key=len)
    imports = our_imports((ROOT / path).read_text())
    wrong = {n for n in imports if not any(within(n, a) for a in (package, *ALLOWED[package]))}
    assert not wrong, f"{package} may not import {sorted(wrong)}"


def test_httpx_is_imported_in_one_module_alone() -> None:
    importers = [
        str(path)
        for path in FILES
        if any(
            isinstance(node, ast.Import) and any(a.name.split(".")[0] == "httpx" for a in node.names)
            for node in ast.walk(ast.parse((ROOT / path).read_text()))
        )
    ]
    assert importers == ["pp_assist/http.py"]


def test_paramiko_is_imported_at_the_top_of_one_module_alone() -> None:
    """It is an extra: whoever has not installed it must not notice, unless SFTP is asked for."""
    importers = [
        str(path)
        for path in FILES
        if any(
            isinstance(each, ast.Import) and any(a.name.split(".")[0] == "paramiko" for a in each.names)
            for node in ast.parse((ROOT / path).read_text()).body
            for each in ast.walk(node)
        )
    ]
    assert importers == ["pp_assist/sftp/connecting.py"]
