"""`make prove-ledger`, small: whatever changes, every name is accounted for."""

from pathlib import Path

import pytest

from tests.e2e import churn


def test_the_ledger_adds_up_while_everything_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(churn, "ROUND_S", 4.0)
    monkeypatch.setattr(churn, "QUIET_EVERY", 2)
    found = churn.churn(tmp_path, 7, 15.0, lambda text: None, at_least=2)
    assert found.proven >= 1
    assert found.scans >= 2
    assert found.faults
