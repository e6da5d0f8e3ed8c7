"""Ctrl-C while a library is being imported is an interruption, whatever the library makes of it."""

import pytest

from grid_inference.cli import app


@pytest.mark.parametrize("kept", ["cause", "context"])
def test_an_import_that_ctrl_c_broke_off(kept, monkeypatch, capsys):
    def broken_off(*_args, **_kwargs):
        try:
            raise KeyboardInterrupt  # noqa: TRY301
        except KeyboardInterrupt as interrupt:
            if kept == "cause":
                raise ImportError("initialization failed") from interrupt
            raise ImportError("initialization failed")  # noqa: B904

    monkeypatch.setattr(app.group, "main", broken_off)
    assert app.run(["status"]) == 130
    assert not capsys.readouterr().err


def test_an_import_that_fails_by_itself(monkeypatch, capsys):
    def missing(*_args, **_kwargs):
        raise ImportError("no such library")

    monkeypatch.setattr(app.group, "main", missing)
    assert app.run(["status"]) != 130
    assert "no such library" in capsys.readouterr().err
