"""The vendored files of onnxruntime-web are those of the npm package, and their README says so."""

import re
import shutil

import pytest

from scripts import vendor_onnxruntime_web as vendor


@pytest.mark.parametrize("name", vendor.FILES.values())
def test_the_readme_has_version_and_checksum_of_each_file(name):
    words = (vendor.FOLDER / "README.md").read_text()
    row = next(line for line in words.splitlines() if line.startswith(f"| {name} |"))
    content = vendor.vendored(name)
    assert re.search(r"`([0-9a-f]{64})`", row)[1] == vendor.sha256(content)
    assert f"| {len(content):,} | {(vendor.FOLDER / f'{name}.gz').stat().st_size:,} |" in row
    assert f"# onnxruntime-web {vendor.VERSION}" in words
    assert vendor.PACKAGE_SHA256 in words


def test_the_licence_lies_beside_them():
    assert "Copyright (c) Microsoft Corporation" in (vendor.FOLDER / "LICENSE").read_text()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("npm") is None, reason="npm downloads the package")
def test_the_files_are_those_of_the_package(capsys):
    try:
        differs = vendor.main(["--check"])
    except SystemExit as error:
        if "failed" in str(error):
            pytest.skip(f"no registry answers: {error}")
        raise
    assert not differs, capsys.readouterr().out
