"""The audit of printed tables: planted faults are found, clean tables are left alone, bad files are refused."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from upcrack_lite import cli
from upcrack_lite.errors import UserError
from upcrack_lite.metrics import METRICS, Confusion
from upcrack_lite.reproduction import intervals
from upcrack_lite.reproduction.audit import audit_paper, audit_rows, to_json
from upcrack_lite.reproduction.audit_table import PrintedRow, read_table

PIXELS = 10**8
DIGITS = pytest.mark.parametrize("digits", [1, 2, 3])


def printed(number, values, digits, fractions=False):
    """A row of text from metrics in percent."""
    cells = {m: f"{v / 100:.{digits + 2}f}" if fractions else f"{v:.{digits}f}" for m, v in values.items()}
    return PrintedRow(number, f"method {number}", cells)


def metrics_of(confusion):
    return {metric: getattr(confusion, metric) for metric in METRICS}


def confusion(rng, prevalence):
    crack = round(prevalence * PIXELS)
    tp = round(crack * rng.uniform(0.05, 0.98))
    fp = min(round(tp * (1 / rng.uniform(0.05, 0.98) - 1)), PIXELS - crack)
    return Confusion(tp, fp, crack - tp, PIXELS - crack - fp)


def clean(rng, rows, digits, prevalence=None, fractions=False):
    """A table without a fault: random confusion matrices of one test set, rounded."""
    prevalence = prevalence or rng.uniform(0.005, 0.3)
    return [printed(i + 1, metrics_of(confusion(rng, prevalence)), digits, fractions) for i in range(rows)]


def swapped(row):
    return row.changed(precision=row.cells["recall"], recall=row.cells["precision"])


def averaged(rng, rows, digits, images=40, pixels=65536):
    """Per-image averages: cracks of many sizes, detected well and badly."""
    crack = (np.clip(rng.lognormal(np.log(0.03), 1.0, images), 0.001, 0.4) * pixels).astype(int)
    table = []
    for i in range(rows):
        recall = np.clip(rng.uniform(0.3, 0.9) + rng.normal(0, 0.15, images), 0.02, 0.99)
        precision = np.clip(rng.uniform(0.3, 0.9) + rng.normal(0, 0.15, images), 0.02, 0.99)
        single = []
        for c, r, p in zip(crack, recall, precision, strict=True):
            tp = max(1, round(c * r))
            fp = min(round(tp / p - tp), pixels - c)
            single.append(metrics_of(Confusion(tp, fp, c - tp, pixels - c - fp)))
        table.append(printed(i + 1, {m: np.mean([one[m] for one in single]) for m in METRICS}, digits))
    return table


def kinds(result):
    return [finding.kind for finding in result.findings]


# No fault, no finding


counts = st.integers(0, 10**4)


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 10**4),
    st.integers(0, 10**5),
    st.lists(st.tuples(counts, counts), min_size=1, max_size=6),
    st.integers(0, 4),
    st.booleans(),
)
def test_no_counts_of_one_set_raise_an_alarm(crack, road, guesses, digits, fractions):
    rows = []
    for number, (hits, alarms) in enumerate(guesses, 1):
        tp, fp = min(hits, crack), min(alarms, road)
        values = metrics_of(Confusion(tp, fp, crack - tp, road - fp))
        if not np.isnan(values["precision"]):
            rows.append(printed(number, values, digits, fractions))
    if rows:
        assert kinds(audit_rows(rows, "fraction" if fractions else "percent")) == []


# Planted faults


@DIGITS
def test_swapped_columns_are_found(digits):
    rng = np.random.default_rng(10 + digits)
    right = []
    for _ in range(40):
        prevalence = rng.uniform(0.01, 0.2)
        result = audit_rows(
            [swapped(row) for row in clean(rng, int(rng.integers(4, 20)), digits, prevalence)]
        )
        right.append(kinds(result) == ["swapped"])
        if right[-1]:
            assert result.groups[0].swapped
            near = pytest.approx(100 * prevalence, rel=0.05 * 10 ** (1 - digits) + 1e-3)
            assert result.groups[0].prevalences[0] == near
    assert np.mean(right) >= 0.95


def test_swapped_columns_are_corrected_before_the_confusion_matrix_is_rebuilt():
    rng = np.random.default_rng(3)
    truth = [confusion(rng, 0.06) for _ in range(8)]
    rows = [swapped(printed(i, metrics_of(one), 3)) for i, one in enumerate(truth, 1)]
    for one, row in zip(truth, audit_rows(rows).rows, strict=True):
        assert row.precision == pytest.approx(one.precision, abs=0.01)
        assert row.recall == pytest.approx(one.recall, abs=0.01)
        for part in ("tp", "fp", "fn", "tn"):
            assert row.confusion[part] == pytest.approx(100 * getattr(one, part) / PIXELS, abs=0.01)


@DIGITS
def test_one_swapped_row_is_found(digits):
    rng = np.random.default_rng(20 + digits)
    right = 0
    for _ in range(40):
        rows = clean(rng, 8, digits)
        place = int(rng.integers(8))
        rows[place] = swapped(rows[place])
        result = audit_rows(rows)
        right += [(f.kind, f.row) for f in result.findings] == [("row swapped", place + 1)]
        assert {f.row for f in result.findings} <= {place + 1}
    assert right >= 34


@DIGITS
@pytest.mark.parametrize("rows", [3, 5, 14])
def test_averaging_per_image_is_named(digits, rows):
    rng = np.random.default_rng(rows)
    for _ in range(5):
        result = audit_rows(averaged(rng, rows, digits))
        assert kinds(result) == ["averaged"]
        assert result.groups[0].verdict == "averaged"
        assert all(row.confusion is None for row in result.rows)


@DIGITS
def test_a_mean_over_classes_counts_as_averaged(digits):
    rng = np.random.default_rng(60)
    rows = []
    for number in range(1, 9):
        one = confusion(rng, 0.05)
        background = 100 * one.tn / (one.tn + one.fp + one.fn)
        rows.append(printed(number, metrics_of(one) | {"iou": (one.iou + background) / 2}, digits))
    assert kinds(audit_rows(rows)) == ["averaged"]


@DIGITS
@pytest.mark.parametrize("column", METRICS)
def test_a_wrong_digit_is_a_contradiction_that_goes_without_its_column(digits, column):
    rng = np.random.default_rng(METRICS.index(column))
    seen = tries = 0
    for _ in range(20):
        rows = clean(rng, 8, digits)
        place = int(rng.integers(8))
        old = rows[place].cells[column]
        spot = int(rng.integers(old.index(".")))  # a digit before the point: always visible
        new = old[:spot] + str((int(old[spot]) + int(rng.integers(1, 10))) % 10) + old[spot + 1 :]
        if float(new) > 100:
            continue
        rows[place] = rows[place].changed(**{column: new})
        tries += 1
        messages = [
            f.message for f in audit_rows(rows).findings if (f.kind, f.row) == ("contradiction", place + 1)
        ]
        seen += any(f"without {column}" in message for message in messages)
    assert tries > 15
    assert seen >= 0.85 * tries


@DIGITS
def test_two_test_sets_in_one_table(digits):
    rng = np.random.default_rng(50)
    rows = clean(rng, 6, digits, 0.05) + clean(rng, 6, digits, 0.08)
    rows = [replace(row, number=i, label=f"m{i}") for i, row in enumerate(rows, 1)]
    result = audit_rows(rows)
    assert kinds(result) == ["mixed"]
    assert sorted(result.groups[0].prevalences) == pytest.approx([5, 8], abs=0.2)
    apart = [replace(row, group="a" if row.number <= 6 else "b") for row in rows]
    assert kinds(audit_rows(apart)) == []


def test_truncated_digits_need_slack():
    rng = np.random.default_rng(70)
    rows = []
    for number in range(1, 15):
        values = metrics_of(confusion(rng, 0.05))
        rows.append(printed(number, {m: np.floor(10 * v) / 10 for m, v in values.items()}, 1))
    assert kinds(audit_rows(rows, slack=1)) == []
    assert kinds(audit_rows(rows)) != []


# The paper


def test_the_paper_swapped_its_columns():
    result = audit_paper()
    groups = {group.name: group for group in result.groups}
    assert {name: group.verdict for name, group in groups.items()} == dict.fromkeys(groups, "swapped")
    assert groups["Crack500"].prevalences == pytest.approx((5.589,), abs=0.002)
    assert sorted(groups["DeepCrack"].prevalences) == pytest.approx([4.351, 4.379], abs=0.002)
    assert groups["CFD"].prevalences == pytest.approx((1.743,), abs=0.002)
    assert max(group.spread for group in result.groups) < 0.002
    carrying = [row for row in result.rows if row.fits is not None and "precision" in row.row.cells]
    assert len(carrying) == 93
    assert [row.row.name for row in carrying if not row.fits] == ["Table V enet"]
    assert [f.label for f in result.findings if f.row is not None] == ["enet"]
    assert [f.group for f in result.findings if f.kind == "mixed"] == ["DeepCrack"]


def test_without_drift_table_vi_falls_into_two():
    result = audit_paper("VI", drift=0)
    assert [round(one, 4) for one in result.groups[0].prevalences] == [4.3513, 4.3496]


def test_no_change_of_one_digit_mends_enet_in_table_v():
    """What chapter 20 says of it."""
    (enet,) = [row.row for row in audit_paper(5).rows if row.row.label == "enet"]
    changes = [
        enet.changed(**{metric: cell[:i] + digit + cell[i + 1 :]})
        for metric, cell in enet.cells.items()
        for i, old in enumerate(cell)
        if old.isdigit()
        for digit in "0123456789"
    ]
    prevalence = (0.017431 * 0.9995, 0.017431 * 1.0005)
    fitting = [one for one in changes if intervals.narrow(one.known(0.5, True) | {"prevalence": prevalence})]
    assert len(changes) > 200
    assert fitting == []


def test_table_ii_gets_precision_and_recall_from_the_prevalence_of_the_others():
    rows = {row.row.name: row for row in audit_paper().rows}
    known, derived = rows["Table III upcracknet"], rows["Table II multi_scale_square"]
    assert derived.precision == pytest.approx(known.precision, abs=0.01)
    assert derived.recall == pytest.approx(known.recall, abs=0.01)
    assert known.precision == pytest.approx(58.609, abs=0.01)  # printed as recall
    assert known.recall == pytest.approx(65.377, abs=0.01)


# Files and the command


def command(*words):
    app = typer.Typer()
    app.command()(cli.audit)
    return CliRunner().invoke(app, [str(word) for word in words])


def write(folder, content):
    path = folder / "table.csv"
    path.write_text(content, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "header",
    [
        "Method,Precision,Recall,Accuracy,F1,IoU",
        "model,Prec. (%),Sensitivity,Acc [%],F1-score,Jaccard index",
        "name,P,R,OA,Dice,IoU ↑",
        "name,P,R,OA,F₁–Score (%),IoU",
        "name,P,R,OA,Ｆ1‑score,IoU",
        "method;precision_percent;recall_percent;accuracy_percent;f1_percent;iou_percent",
        "\ufeffMethod\tPPV\tTPR\tPixel Accuracy\tF-measure\tJaccard",
    ],
)
def test_usual_names_are_recognized(tmp_path, header):
    mark = next(c for c in ";\t," if c in header)
    path = write(tmp_path, header + "\n" + mark.join(["ours", "63.4", "88.9", "98.0", "74.0", "58.7"]) + "\n")
    (row,), unused = read_table(path)
    assert row.cells == dict(zip(METRICS, ["63.4", "88.9", "98.0", "74.0", "58.7"], strict=True))
    assert row.label == "ours"
    assert unused == []


def test_named_columns_groups_and_labels(tmp_path):
    path = write(tmp_path, "id,set,x,y\na,one,63.4,88.9\nb,two,–,\n")
    rows, unused = read_table(path, {"precision": "x", "f1": "y"}, group="set", label="id")
    assert [row.cells for row in rows] == [{"precision": "63.4", "f1": "88.9"}, {}]
    assert [row.group for row in rows] == ["one", "two"]
    assert unused == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "needs a header and rows"),
        ("method,speed\na,3\n", "has no column of precision.*method, speed.*--precision"),
        ("method,f1\na,3\nb,61.8%\n", "line 3, column 'f1': '61.8%' is no number.*without %"),
        ("method;f1\na;61,8\n", "line 2, column 'f1': '61,8' is no number.*with a point"),
        ("method,f1,iou\na,61,8,44,7\n", "line 2: its cells are not as many.*decimal comma"),
        ("method,f1\na,100.1\n", "line 2, column 'f1': 100.1 lies outside 0 to 100"),
        ("method,f1,dice\na,1,2\n", "'f1' and 'dice' both look like f1.*--f1 NAME"),
        ("method,f1,f1\na,1,2\n", "column 'f1' stands for two things"),
        ("method,f1\na,\nb,-\n", "has no number"),
        ("method,acc\na,0.98\nb,0.97\nc,97\n", "97 is above 1 among fractions"),
        ('method,f1\n"a,3\n', "no CSV file"),
    ],
)
def test_bad_files_are_refused(tmp_path, content, message):
    with pytest.raises(UserError, match=message):
        audit_rows(read_table(write(tmp_path, content))[0])


def test_other_refusals(tmp_path):
    path = write(tmp_path, "method,f1,iou\na,61.8,44.7\n")
    with pytest.raises(UserError, match="no column 'set'; its columns are: method, f1, iou"):
        read_table(path, group="set")
    with pytest.raises(UserError, match="no column 'Q'"):
        read_table(path, {"f1": "Q"})
    with pytest.raises(UserError, match="unknown unit 'permille'"):
        audit_rows(read_table(path)[0], unit="permille")
    with pytest.raises(UserError, match="cannot be read"):
        read_table(tmp_path / "absent.csv")
    path.write_bytes(b"method,f1\n\xff\xfe,3\n")
    with pytest.raises(UserError, match="UTF-8"):
        read_table(path)


def test_what_cannot_be_checked_is_said(tmp_path):
    path = write(tmp_path, "method,f1,iou,fps\na,61.8,44.7,30\nb,61.8,48.7,31\n")
    told = command(path).output
    assert "contradiction (shown): b: IoU 48.7 does not belong to F1 (44.7)" in told
    assert "columns not used: fps" in told
    assert "swapped columns cannot be seen" in told
    assert "unknown: no row tells the prevalence" in told
    alone = command(write(tmp_path, "method,f1\na,61.8\nb,60.8\n"))
    assert alone.exit_code == 0
    assert "nothing could be checked" in alone.output, "no finding is no praise here"


@settings(deadline=None)
@given(*[st.integers(1, 10**5)] * 4)
def test_narrow_keeps_the_truth(tp, fp, fn, tn):
    one = Confusion(tp, fp, fn, tn)
    box = intervals.narrow(printed(1, metrics_of(one), 1).known())
    for name in METRICS:
        assert box[name][0] <= getattr(one, name) / 100 + 1e-9
        assert box[name][1] >= getattr(one, name) / 100 - 1e-9
    assert box["prevalence"][0] - 1e-9 <= one.prevalence / 100 <= box["prevalence"][1] + 1e-9


def test_the_command_reports_in_text_and_json(tmp_path):
    rows = [swapped(row) for row in clean(np.random.default_rng(1), 6, 3)]
    lines = ["method,precision,recall,acc,F1,IoU"]
    lines += [",".join([row.label, *(row.cells[m] for m in METRICS)]) for row in rows]
    path = write(tmp_path, "\n".join(lines))
    told = command(path)
    assert told.exit_code == 1
    assert "swapped (shown)" in told.output
    assert "method 6" in told.output
    data = json.loads(command(path, "--json").output)
    assert data == json.loads(json.dumps(to_json(audit_rows(read_table(path)[0], title=path.name))))
    assert data["groups"][0]["verdict"] == "swapped"
    assert len(data["groups"][0]["rows"]) == 6
    corrected = command(path, "--precision", "recall", "--recall", "precision")
    assert corrected.exit_code == 0
    assert "No finding" in corrected.output


def test_the_command_audits_the_paper():
    told = command("paper")
    assert told.exit_code == 1
    assert all(words in told.output for words in ("96 rows", "37 of 37 rows", "27 of 28 rows"))
    assert max(map(len, told.output.splitlines())) <= 120
    assert isinstance(command("paper", "--group", "x").exception, UserError)


def test_a_label_cannot_move_the_cursor_of_a_terminal(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("method,precision\n\x1b[31mone\x07,50.0\n", encoding="utf-8")
    assert read_table(table)[0][0].label == "�[31mone�"
