from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from certs_province import NOW, Province

from certs.authority import Authority


@pytest.fixture(scope="session")
def _template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("province") / "ca"
    Authority.init(folder, province="Gia Lai", at=NOW)
    return folder


@pytest.fixture
def province(_template: Path, tmp_path: Path) -> Province:
    """A province with an authority of its own, fresh for this test."""
    shutil.copytree(_template, tmp_path / "ca")
    return Province(tmp_path)
