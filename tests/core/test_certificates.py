import os
import ssl
from pathlib import Path

import pytest

from core.certificates import trusting


def test_a_file_that_cannot_be_used_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no certificate")
    os.mkfifo(tmp_path / "pipe")
    for name, words in (
        ("notes.txt", "it holds no certificate in PEM"),
        ("pipe", "it is no file"),
        ("gone", "No such file or directory"),
    ):
        with pytest.raises(OSError, match=words) as refused:
            trusting(tmp_path / name)
        assert refused.value.strerror == words


def test_without_a_file_the_system_is_trusted_and_what_is_old_is_not() -> None:
    context = trusting(None)
    assert (context.verify_mode, context.minimum_version) == (ssl.CERT_REQUIRED, ssl.TLSVersion.TLSv1_2)
