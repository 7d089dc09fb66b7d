"""All methods side by side: which records make a line, in which order, and what the page says of them."""

from __future__ import annotations

import pytest
from conftest import ROOT
from test_table_pages import lines, text, write

from upcrack_lite.errors import UserError
from upcrack_lite.reproduction import comparison, records
from upcrack_lite.reproduction.experiments import Experiment
from upcrack_lite.reproduction.records import scores
from upcrack_lite.reproduction.tables import Ours, Score
from upcrack_lite.show.comparison import Comparison

AWAY = "cfd_patches"


@pytest.fixture
def folder(tmp_path):
    """Five networks and a training-free baseline at home, two of them away, and records that belong to no line."""
    for i, name in enumerate(("unet", "enet", "ddrnet", "riad", "tf_gabor_otsu")):
        write(tmp_path, Experiment(name, scale="full" if name.startswith("tf_") else "lite"), 0.15 + 0.05 * i)
    for name in ("unet", "enet"):
        write(tmp_path, Experiment(name, test_set=AWAY))
    for seed in (0, 1):
        write(tmp_path, Experiment(seed=seed))
    write(tmp_path, Experiment(recipe="released"))
    write(tmp_path, Experiment("unet", scale="full"))  # another scale
    write(
        tmp_path, Experiment("unet", train_set="crack500_kept", test_set="crack500_heldout")
    )  # another home
    write(tmp_path, Experiment(overrides=(("lambda_adv", 0.0),)))  # another row: a choice of losses
    return tmp_path


def test_a_line_is_a_method_and_a_recipe(folder):
    standing = comparison.standings(records.load_all(folder))
    names = {(one.key, one.recipe, one.kind) for one in standing}
    assert names == {
        *((key, "paper", "supervised") for key in ("unet", "enet", "ddrnet")),
        ("riad", "paper", "unsupervised"),
        ("upcracknet", "paper", "unsupervised"),
        ("upcracknet", "released", "unsupervised"),
        ("tf_gabor_otsu", "paper", "training-free"),
    }
    assert len(standing) == len(names)
    kinds = [list(comparison.GROUPS).index(one.kind) for one in standing]
    assert kinds == sorted(kinds)
    for kind in set(kinds):
        f1 = [one.f1("deepcrack") for one, k in zip(standing, kinds, strict=True) if k == kind]
        assert f1 == sorted(f1, reverse=True)
    (unet,) = [one for one in standing if one.key == "unet"]
    assert set(unet.ours) == {"deepcrack", AWAY}
    assert unet.ours["deepcrack"].scale == "lite"
    (own,) = [one for one in standing if one.recipe == "paper" and one.key == "upcracknet"]
    assert own.ours["deepcrack"].seeds == (0, 1)


def test_home_comes_first(folder):
    given = records.load_all(folder)
    assert comparison.test_sets(comparison.standings(given), "deepcrack") == ["deepcrack", AWAY]
    other = comparison.standings(given, "crack500_kept")
    assert comparison.test_sets(other, "crack500_kept") == ["crack500_heldout"]
    assert comparison.test_sets([], "deepcrack") == []


@pytest.mark.parametrize("names", [("cfd",), ("deepcrack", "huge"), ("", "lite"), ("deepcrack", "")])
def test_unknown_names_are_refused(names):
    with pytest.raises(UserError):
        comparison.standings([], *names)


def test_all_marked_is_the_f1_of_marking_all(folder):
    (line,) = [one for one in comparison.standings(records.load_all(folder)) if one.key == "riad"]
    ours = line.ours["deepcrack"]
    precision = ours.records[0].test.crack_share / 100
    assert comparison.all_marked(ours) == pytest.approx(200 * precision / (precision + 1.0))


def test_the_page_shows_what_the_records_say(folder):
    page = Comparison(results=folder)
    table = {line[0]: line[1:] for line in lines(page.table())}
    assert list(table) == [page.name(one) for one in page.lines]
    assert {"UP-CrackNet, paper", "UP-CrackNet, released", "U-Net"} <= set(table)
    for one in page.lines:
        shown = table[page.name(one)]
        assert shown[1] == f"{one.f1('deepcrack'):.1f}"
        worth = one.ours["deepcrack"].worth
        assert shown[2:4] == [f"{worth.f1:.1f}", f"{worth.average_precision:.1f}"]
        assert (shown[4] == "–") == (AWAY not in one.ours)
    said = text(page.says())
    assert "supervised networks" in said
    assert "rank correlation" not in said, "two lines are too few for an order"
    assert "U-Net" in page.alt()
    assert "nan" not in said + page.alt() + text(page.table())


def test_the_order_at_home_and_away(folder):
    for i, name in enumerate(("ddrnet", "riad", "upcracknet")):
        write(folder, Experiment(name, test_set=AWAY), 0.2 + 0.05 * i)
    page = Comparison(results=folder)
    assert "the order of the 5 trained lines" in text(page.says())


def test_a_method_trained_for_longer_has_a_line_for_each_length(folder):
    assert "No method has records of two lengths" in text(Comparison(results=folder).longer())
    write(folder, Experiment("enet", overrides=(("epochs", 240),)), 0.5)
    write(folder, Experiment("pspnet", overrides=(("epochs", 120),)))  # nothing to compare it with
    page = Comparison(results=folder)
    before, after = lines(page.longer())
    assert [before[0], after[0]] == ["ENet, 60 epochs", "ENet, 240 epochs"]
    assert before[1:] == next(line for line in lines(page.table()) if line[0] == "ENet")[1:]
    assert before[2] != after[2]
    assert after[5] == "–", "the longer training was not tested away"
    assert "one seed each" in text(page.longer())


def test_the_picture_has_a_panel_a_set(folder):
    page = Comparison(results=folder)
    figure = page.picture()
    assert [axes.get_title() for axes in figure.axes] == ["deepcrack", AWAY]
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == [page.name(one) for one in page.lines]
    labels = {entry.get_text() for entry in figure.legends[0].get_texts()}
    assert "printed in the paper" in labels
    proxy = Comparison("crack500_kept", results=folder).picture()
    labels = {entry.get_text() for entry in proxy.legends[0].get_texts()}
    assert "printed in the paper" not in labels, "a proxy set's panel has no printed numbers"


def test_nothing_marked_counts_as_nothing_found():
    nothing = {"f1": Score(*[float("nan")] * 4)}
    undefined = Ours("paper", "lite", "deepcrack", "deepcrack", (), nothing, (), "", (), (), (), {})
    assert comparison.Standing("enet", "paper", "supervised", {"deepcrack": undefined}).f1("deepcrack") == 0


def test_a_page_without_records_says_so(tmp_path):
    none = Comparison(results=tmp_path / "none")
    assert none.lines == []
    assert "no record" in text(none.table())
    assert none.alt() == "No method has a record yet."
    none.picture()


def test_what_the_page_says_of_one_level_of_darkness_chosen_twice():
    """The numbers in the page's prose are those of the committed records."""

    def percent(train_set, test_set, name):
        experiment = Experiment("tf_global_darkness", scale="full", train_set=train_set, test_set=test_set)
        return scores(records.load(ROOT / "results" / f"{experiment.slug()}.json"))[name]

    page = (ROOT / "notebooks/tables/side_by_side.ipynb").read_text(encoding="utf-8")
    first, second = (percent(one, "crack500_heldout", "recall") for one in ("deepcrack", "crack500_kept"))
    assert f"finds {first:.0f} % of the crack pixels" in page
    assert f"and finds {second:.0f} %" in page
    first, second = (percent(one, "deepcrack", "precision") for one in ("deepcrack", "crack500_kept"))
    assert f"{second:.0f} % instead of {first:.0f} %" in page
