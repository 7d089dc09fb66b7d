"""What tests of the benchmarks share: stored models in the place of trainings, a call as of the command line."""

from __future__ import annotations

import typer
from typer.testing import CliRunner

from upcrack_lite.pretrained import stored_run


def stand_in(monkeypatch, benchmark, model: str) -> list:
    """Let a stored model stand for each training that a benchmark asks for; returns what it asks for."""
    asked: list = []

    def train(experiment, *_, **__):
        asked.append((dict(experiment.overrides), experiment.seed))
        return stored_run(model)

    monkeypatch.setattr(benchmark, "train_experiment", train)
    return asked


def run(benchmark, folder, *words):
    """Call a benchmark that trains below a folder, and writes its lines there."""
    app = typer.Typer()
    app.command()(benchmark.main)
    where = ["--data-root", "none", "--runs", str(folder), "--out", str(folder / "lines.json")]
    return CliRunner().invoke(app, [*where, *words])
