"""The front page's sentences and its small table are computed from records: they change with them."""

from __future__ import annotations

from test_table_pages import write

from upcrack_lite.reproduction.experiments import Experiment
from upcrack_lite.show.front import substitutions


def test_without_a_record_the_front_page_says_so(tmp_path):
    said = substitutions(tmp_path / "none")
    assert "74.0 % on DeepCrack hold? It has not been run here.**" in said["holds"]
    assert "None of the 96 printed rows has been run at full scale. Of the 0 with" in said["findings"]
    assert "swapped in all 7 tables that have them, 93 rows" in said["findings"]
    assert "no record yet" in said["findings"]
    assert said["all_rows"].count('title="') == 96


def test_each_sentence_changes_with_its_record(tmp_path):
    write(tmp_path, Experiment(), 0.2)
    write(tmp_path, Experiment("drawn"), 0.2)
    first = substitutions(tmp_path)
    assert "hold? That is open.** At lite scale ours is " in first["holds"]
    assert "Of the 3 with a record" in first["findings"]
    write(tmp_path, Experiment(), 0.5)
    second = substitutions(tmp_path)
    assert {name for name in first if first[name] != second[name]} >= {"holds", "all_rows"}
    write(tmp_path, Experiment("drawn"), 0.5)
    third = substitutions(tmp_path)
    assert {name for name in second if second[name] != third[name]} == {"findings"}
    write(tmp_path, Experiment(scale="full"), 0.5)
    assert "3 of the 96 printed rows have been run at full scale" in substitutions(tmp_path)["findings"]
