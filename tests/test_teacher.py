"""Class probabilities of a teacher: from the columns of the file to the targets of the training."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from atnet.cli.check import check_inputs
from atnet.config import Params, TrainConfig
from atnet.data.check_results import PlainRunner
from atnet.data.near_duplicates import NumberedTexts
from atnet.data.quality_report import quality_report, summarize
from atnet.data.reader import SourceFile, read_labeled_texts
from atnet.data.splitting import check_splits, plan_split, split_table
from atnet.data.splitting import summarize as summarize_splits
from atnet.data.teacher import check_teacher_labels
from atnet.data.validation import ValidatedTable, validate_table
from atnet.errors import ConfigurationError, DataContractError
from atnet.files import TOKENIZER, encoded_split
from atnet.schema import HARD_LABEL, labeled_rows, slice_columns
from atnet.stages.validate import main as validate_stage
from atnet.storage import write_arrow
from atnet.table_batches import TableSource
from atnet.text.encoded_split import EncodedSplit, row_weights
from atnet.text.encoded_split import check_splits as check_encoded
from atnet.text.tokenization import tokenize_splits
from atnet.text.training_targets import TrainingTargets, soften, training_targets
from atnet.wide.logistic import fit_logistic
from tests.settings import LABELED, params_file, params_with
from tests.texts import labeled_texts

TEACHER = {"data.columns": {"teacher": {"positive": "p_pos", "negative": "p_neg"}}}
COLUMNS = ["teacher: negative", "teacher: positive"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in a folder of its own, in which params.yaml names own.csv."""
    monkeypatch.chdir(tmp_path)
    params_file(tmp_path, LABELED, TEACHER, {"data": {"path": "own.csv"}})
    return tmp_path


def params_of(*changes: Mapping[str, Mapping[str, Any]]) -> Params:
    return params_with(LABELED, TEACHER, {"data": {"path": "own.csv"}}, *changes)


def taught(rows: int = 100, *, unlabeled: int = 40, seed: int = 0) -> pd.DataFrame:
    """Generate a file whose last rows have a teacher's probabilities and no label; so have half of the others."""
    table = labeled_texts(rows + unlabeled, seed=seed)
    probability = np.where(table["label"] == "positive", 0.9, 0.2)
    table = table.assign(p_pos=probability.round(2), p_neg=(1 - probability).round(2))
    table.loc[rows:, "label"] = None
    table.loc[: rows // 2 - 1, ["p_pos", "p_neg"]] = np.nan
    return table


def read(table: pd.DataFrame, params: Params | None = None) -> pd.DataFrame:
    table.to_csv("own.csv", index=False)
    return read_labeled_texts(Path("own.csv"), (params or params_of()).data).table


def validated(table: pd.DataFrame, params: Params | None = None) -> ValidatedTable:
    return validate_table(read(table, params), (params or params_of()).validate_, PlainRunner())


def encoded(table: pd.DataFrame, folder: Path) -> dict[str, EncodedSplit]:
    splits = split_table(validated(table).valid, params_of().split)
    tokenized = tokenize_splits(splits.tables, params_of().tokenize)
    (folder / TOKENIZER).parent.mkdir(parents=True)
    for name, rows in tokenized.tables.items():
        write_arrow(folder / encoded_split(name), rows)
    return {name: EncodedSplit.load(folder / encoded_split(name)) for name in tokenized.tables}


def test_probabilities_are_read_by_label_and_add_up_to_one() -> None:
    table = taught().assign(p_pos=0.333, p_neg=0.66)
    canonical = read(table)
    assert [name for name in canonical.columns if name.startswith("teacher")] == COLUMNS
    assert canonical[COLUMNS].sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-12)
    assert canonical["teacher: positive"][1] == pytest.approx(0.333 / 0.993)
    assert slice_columns(canonical) == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"p_pos": "0.5", "p_neg": "0.43"}, "probabilities of data row 3 add up to 0.93, not to 1 (1 such rows"),
        ({"p_pos": "1.2", "p_neg": "-0.2"}, "probability of 'negative' in data row 3 is '-0.2', below 0"),
        ({"p_pos": "0.5", "p_neg": ""}, "data row 3 has no probability in the teacher's column 'p_neg'"),
        ({"p_pos": "high", "p_neg": "0"}, "probability of 'positive' of data row 3 is 'high', which is not a number"),
    ],
)
def test_what_is_not_a_distribution_is_refused_by_stage_and_check_alike(
    values: dict[str, str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = taught().astype({"p_pos": "object", "p_neg": "object"})
    for name, value in values.items():
        table.loc[2, name] = value
    table.to_csv("own.csv", index=False)
    with pytest.raises(DataContractError) as raised:
        check_inputs(params_of())
    assert message in str(raised.value)
    assert validate_stage([]) == 1
    assert str(raised.value) in capsys.readouterr().err


def test_a_small_rounding_error_is_accepted() -> None:
    assert len(read(taught().assign(p_pos=0.334, p_neg=0.66))) == 140


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        (
            {"positive": "p_pos", "bad": "p_neg"},
            "has no column for 'negative' (44 rows). Add the column",
        ),
        (
            {"positive": "p_pos", "negative": "p_neg", "neutral": "p_other"},
            "no row has the label 'neutral'. The labels are 'negative' (44 rows), 'positive' (56 rows)",
        ),
    ],
)
def test_labels_of_the_teacher_must_be_those_of_the_rows(
    teacher: dict[str, str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = {"data.columns": {"teacher": teacher}}
    taught().assign(p_other=np.where(taught()["p_pos"].notna(), 0.0, np.nan)).to_csv("own.csv", index=False)
    params_file(folder, LABELED, {"data": {"path": "own.csv"}}, changes)
    with pytest.raises(DataContractError) as raised:
        check_inputs(params_of(changes))
    assert message in str(raised.value)
    assert validate_stage([]) == 1
    assert str(raised.value) in capsys.readouterr().err


def test_a_misspelled_label_is_recognized() -> None:
    with pytest.raises(DataContractError, match=r"no row has the label 'Positive' \(did you mean 'positive'\?\)"):
        check_teacher_labels({"positive": 3, "negative": 4}, {"Positive": "a", "negative": "b"})


def test_a_column_that_the_file_lacks_is_named_with_the_setting() -> None:
    taught().rename(columns={"p_neg": "p_nega"}).to_csv("own.csv", index=False)
    with pytest.raises(DataContractError, match="has no column 'p_neg'") as raised:
        read_labeled_texts(Path("own.csv"), params_of().data)
    assert "Set data.columns.teacher: {negative: p_nega, positive: p_pos}" in str(raised.value)
    taught().drop(columns=["p_neg", "p_pos"]).to_csv("own.csv", index=False)
    with pytest.raises(DataContractError, match=r"data\.columns\.teacher: null"):
        check_inputs(params_of())


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        ({"positive": "p"}, "fewer than two labels"),
        ({"positive": "p", "negative": "p"}, "lists a column twice"),
    ],
)
def test_a_teacher_needs_a_column_for_each_of_two_labels(teacher: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        params_of({"data.columns": {"teacher": teacher}})


def test_labels_that_look_the_same_are_one_label_of_the_teacher() -> None:
    with pytest.raises(ConfigurationError, match="differ only in white space"):
        read(taught(), params_of({"data.columns": {"teacher": {"positive": "p_pos", "positive ": "p_neg"}}}))


def test_rows_without_a_label_get_the_most_probable_one_and_are_not_counted() -> None:
    result = validated(taught())
    soft = result.valid[~result.valid[HARD_LABEL]]
    assert len(soft) == 40
    assert (soft["label"] == np.where(soft["teacher: positive"] > 0.5, "positive", "negative")).all()
    assert sum(result.statistics.labels.values()) == result.statistics.valid == 100
    source = SourceFile("csv", 140, 140, ",", "standard", ())
    assert quality_report(result, source)["rows"] | {"teacher_only": 40} == quality_report(result, source)["rows"]
    assert "100 valid, 40 labeled by the teacher only, 0 quarantined" in summarize(result, source)


def test_a_row_with_neither_label_nor_probabilities_is_quarantined() -> None:
    table = taught()
    table.loc[139, ["p_pos", "p_neg"]] = np.nan
    result = validated(table)
    assert list(result.quarantine["reasons"]) == ["label_not_null"]
    assert result.statistics.teacher_only == 39


def test_a_row_that_a_rule_excludes_stays_excluded() -> None:
    table = taught()
    table.loc[120:, "label"] = "?"
    result = validated(table, params_of({"validate": {"label_map": {"?": None}}}))
    assert result.excluded == {"label_map": 20}
    assert result.statistics.teacher_only == 20


def test_without_a_teacher_no_column_is_added() -> None:
    params = params_with(LABELED, {"data": {"path": "own.csv"}})
    result = validated(taught(unlabeled=0), params)
    assert list(result.valid.columns) == ["id", "text", "label"]
    assert "teacher_only" not in quality_report(result, SourceFile("csv", 1, 1, ",", "standard", ()))["rows"]


def test_check_counts_the_rows_of_the_teacher() -> None:
    taught().to_csv("own.csv", index=False)
    assert check_inputs(params_of())[0] == (
        "own.csv: 140 rows, 40 labeled by the teacher only, 2 labels (negative, positive)."
    )


def test_rows_of_the_teacher_are_training_rows_and_change_no_other_split(params: Params) -> None:
    valid = validated(taught(400, unlabeled=300)).valid
    alone, both = split_table(labeled_rows(valid), params.split), split_table(valid, params.split)
    for name in ("train", "validation", "test"):
        assert labeled_rows(both.tables[name])["id"].tolist() == alone.tables[name]["id"].tolist()
        assert both.report["splits"][name]["labels"] == alone.report["splits"][name]["labels"]
        assert both.tables[name][HARD_LABEL].all() == (name != "train")
    assert (~both.tables["train"][HARD_LABEL]).sum() == both.report["teacher_only"]["rows"] == 300
    assert both.report["rows"] == 400
    assert "teacher_only" not in alone.report
    check_splits(both.report)


@pytest.mark.parametrize("near_duplicates", [True, False])
def test_copies_of_held_out_texts_are_left_out_of_train(params: Params, near_duplicates: bool) -> None:
    table = taught(400, unlabeled=0)
    config = params.split.model_copy(update={"near_duplicates": near_duplicates, "near_duplicate_similarity": 0.6})
    held_out = split_table(validated(table).valid, config).tables["test"]["id"]
    copies = table[table["id"].isin(held_out)].assign(label=None, p_pos=0.5, p_neg=0.5)
    exact = copies.assign(id="exact-" + copies["id"], text=copies["text"].str.upper())
    near = copies.assign(id="near-" + copies["id"], text=copies["text"] + " indeed")
    splits = split_table(validated(pd.concat([table, exact, near])).valid, config)
    ids = set(splits.tables["train"]["id"])
    assert splits.tables["test"]["id"].tolist() == held_out.tolist()
    assert not ids & set(exact["id"])
    if near_duplicates:
        assert not ids & set(near["id"])
        assert splits.report["teacher_only"]["excluded"]["rows"] == 2 * len(held_out)
    assert all(count == 0 for pair in splits.report["leaks"].values() for count in pair.values())
    assert "others excluded: held out, or near duplicates" in summarize_splits(splits.report)


def test_a_chain_through_a_row_of_the_teacher_moves_no_labeled_row(params: Params) -> None:
    words = [f"word{number}" for number in range(30)]
    first, bridge, last = words[:26], words[2:28], words[4:]
    rows = labeled_texts(300).assign(teacher=None)
    ends = pd.DataFrame(
        {"id": ["first", "last"], "text": [" ".join(first), " ".join(last)], "label": ["positive", "negative"]}
    )
    config = params.split.model_copy(update={"near_duplicate_similarity": 0.8})
    labeled = pd.concat([rows[["id", "text", "label"]], ends]).assign(
        **{HARD_LABEL: True}, **dict.fromkeys(COLUMNS, 0.5)
    )
    soft = labeled.tail(1).assign(id="bridge", text=" ".join(bridge), **{HARD_LABEL: False})
    both = split_table(pd.concat([labeled, soft]), config)
    together = pd.concat(both.tables.values()).set_index("id")
    assert together.loc["first", "group"] != together.loc["last", "group"]


def test_the_batch_engine_also_signs_the_texts_that_only_the_teacher_labels(params: Params, tmp_path: Path) -> None:
    valid = validated(taught()).valid
    signed: list[int] = []

    def counting(function: Callable[[Any], Any], items: Iterable[Any], /) -> Iterator[Any]:
        for item in items:
            if isinstance(item, NumberedTexts):
                signed.append(len(item.texts))
            yield function(item)

    (tmp_path / "signatures").mkdir()
    plan = plan_split(TableSource.of(valid), params.split, tmp_path / "signatures", counting)
    distinct, labeled = valid["text"].nunique(), labeled_rows(valid)["text"].nunique()
    assert signed == [labeled, distinct]
    assert labeled < distinct
    assert plan.report == split_table(valid, params.split).report


def test_rows_of_the_teacher_that_are_officially_held_out_are_left_out(params: Params) -> None:
    table = validated(taught(400, unlabeled=60)).valid
    official = np.where(np.arange(len(table)) % 4 == 0, "test", "train")
    splits = split_table(table.assign(split=official), params.split)
    soft = splits.tables["train"].loc[~splits.tables["train"][HARD_LABEL], "id"]
    expected = table.loc[(official == "train") & ~table[HARD_LABEL], "id"]
    assert soft.tolist() == expected.tolist()
    assert splits.tables["test"][HARD_LABEL].all()


def test_encoded_rows_carry_the_probabilities_in_the_order_of_the_labels(folder: Path) -> None:
    splits = encoded(taught(200, unlabeled=60), folder)
    train = splits["train"]
    assert train.teacher is not None
    assert train.teacher.dtype == np.float32
    assert train.teacher.shape == (len(train), 2)
    assert (~train.is_hard).sum() == 60
    assert not np.isnan(train.teacher[~train.is_hard]).any()
    assert np.isnan(train.teacher[:, 0]).any()
    assert (train.labels[~train.is_hard] == train.teacher[~train.is_hard].argmax(axis=1)).all()
    assert splits["test"].is_hard.all()
    part = train.taken(np.array([3, 1]))
    assert part.teacher is not None
    np.testing.assert_array_equal(part.teacher, train.teacher[[3, 1]])
    assert part.is_hard.tolist() == train.is_hard[[3, 1]].tolist()


def test_a_teacher_that_knows_other_labels_than_train_is_refused(folder: Path) -> None:
    tables = split_table(validated(taught()).valid, params_of().split).tables
    changed = {name: table.assign(**{"teacher: other": 0.0}) for name, table in tables.items()}
    with pytest.raises(DataContractError, match="are not those of the training rows"):
        tokenize_splits(changed, params_of().tokenize)


def small_split(teacher: Any, hard: Any, labels: Any) -> EncodedSplit:
    rows = len(labels)
    return EncodedSplit(
        tokens=np.ones(rows, np.int32),
        offsets=np.arange(rows + 1),
        labels=np.array(labels, np.int32),
        text_hashes=pa.array([f"{row:016x}" for row in range(rows)]),
        ratings=None,
        weights=None,
        hard_labels=np.array(hard),
        teacher=np.array(teacher, np.float32),
    )


def config_of(params: Params, **values: Any) -> TrainConfig:
    return params.train.model_copy(update=values)


def test_labels_and_teacher_are_mixed_by_the_weight_and_the_teacher_alone_counts_in_full(params: Params) -> None:
    split = small_split([[0.8, 0.2], [0.3, 0.7], [np.nan, np.nan]], [True, False, True], [1, 1, 0])
    targets = training_targets(split, classes=2, config=config_of(params, teacher_weight=0.25))
    assert targets.temperature is None
    np.testing.assert_allclose(targets.values, [[0.2, 0.8], [0.3, 0.7], [1, 0]], atol=1e-6)
    ignored = training_targets(split, classes=2, config=config_of(params, teacher_weight=0.0))
    np.testing.assert_allclose(ignored.values, [[0, 1], [0.3, 0.7], [1, 0]], atol=1e-6)


def test_a_temperature_softens_the_teacher_and_divides_the_logits(params: Params) -> None:
    split = small_split([[0.8, 0.2], [0.0, 1.0], [np.nan, np.nan]], [True, False, True], [1, 1, 0])
    config = config_of(params, teacher_weight=0.5, teacher_temperature=2.0)
    targets = training_targets(split, classes=2, config=config)
    assert targets.values.shape == (3, 4)
    odds = np.sqrt(0.8 / 0.2)
    np.testing.assert_allclose(targets.values[0], [0, 0.5, 0.5 * odds / (1 + odds), 0.5 / (1 + odds)], atol=1e-6)
    np.testing.assert_allclose(targets.values[1:], [[0, 0, 0, 1], [1, 0, 0, 0]], atol=1e-6)
    np.testing.assert_allclose(soften(split.teacher[:2], 1.0), split.teacher[:2], atol=1e-6)  # type: ignore[index]


def test_network_and_wide_branch_minimize_the_same_softened_loss(params: Params) -> None:
    import tensorflow as tf

    from atnet.network.compiled_steps import _softened_losses

    rng = np.random.default_rng(0)
    probability = rng.dirichlet(np.ones(3), size=6)
    split = small_split(probability, [True, True, False, False, True, True], [0, 1, 2, 0, 1, 2])
    config = config_of(params, teacher_weight=0.3, teacher_temperature=3.0)
    targets = training_targets(split, classes=3, config=config)
    logits = rng.normal(size=(6, 3)).astype(np.float32)
    losses = _softened_losses(tf.constant(targets.values), tf.constant(logits), 3.0).numpy()
    assert targets.mean_loss(logits, np.ones(6)) == pytest.approx(losses.mean(), rel=1e-5)


class Dense:
    """A feature matrix in memory."""

    def __init__(self, matrix: np.ndarray) -> None:
        self.matrix = matrix
        self.shape = matrix.shape

    def matmul(self, weights_FK: np.ndarray) -> np.ndarray:
        return np.asarray(self.matrix @ weights_FK)

    def rmatmul(self, gradients_NK: np.ndarray) -> np.ndarray:
        return np.asarray(self.matrix.T @ gradients_NK)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_wide_branch_recovers_the_teachers_logits_at_any_temperature(classes: int, params: Params) -> None:
    rng = np.random.default_rng(1)
    matrix = rng.normal(size=(400, 4))
    logits = matrix @ rng.normal(size=(4, classes))
    probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    split = small_split(probability, np.zeros(400, bool), probability.argmax(axis=1))
    for temperature in (1.0, 4.0):
        config = config_of(params, teacher_temperature=temperature)
        targets = training_targets(split, classes=classes, config=config)
        fit = fit_logistic(
            Dense(matrix),
            targets.values,
            prior_scale_FK=np.ones((4, 1 if classes == 2 else classes), np.float32),
            regularization=1000.0,
            row_weights_N=np.ones(400, np.float32),
            temperature=targets.temperature,
        )
        fitted = fit.logits(Dense(matrix))
        expected = logits[:, 1:] - logits[:, :1] if classes == 2 else logits - logits.mean(axis=1, keepdims=True)
        np.testing.assert_allclose(
            fitted if classes == 2 else fitted - fitted.mean(axis=1, keepdims=True), expected, atol=0.1
        )


def test_class_weights_and_the_two_label_rule_look_at_hard_labels_only() -> None:
    split = small_split([[0.9, 0.1]] * 6, [True, True, True, True, False, False], [0, 0, 0, 1, 1, 1])
    weights = row_weights(split, classes=2, balanced=True)
    assert weights[3] == pytest.approx(3 * weights[0])
    only_soft = small_split([[0.9, 0.1]] * 3, [True, True, False], [0, 0, 1])
    with pytest.raises(DataContractError, match="only one label"):
        check_encoded(only_soft, split)


def test_targets_without_a_teacher_are_the_labels(params: Params) -> None:
    split = small_split([[0.9, 0.1]], [True], [1])
    plain = EncodedSplit(split.tokens, split.offsets, split.labels, split.text_hashes, None, None)
    targets = training_targets(plain, classes=2, config=config_of(params, teacher_temperature=5.0))
    assert isinstance(targets, TrainingTargets)
    assert targets.values.tolist() == [[0, 1]]
