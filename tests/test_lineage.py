"""Where a version comes from, read from lock files."""

from dataclasses import replace

from atnet.registry.lineage import FileRef, ModelOrigin, files_with_md5, headline, lineage_lines, stage_runs

RAW, TABLE, TRAIN, MODEL = "1" * 32, "2" * 32, "3" * 32, "4" * 32
LOCK = f"""
schema: '2.0'
stages:
  validate:
    cmd: python -m atnet.stages.validate
    deps:
    - {{path: data/own.csv, md5: {RAW}, size: 1}}
    - {{path: src/atnet/data/data_checks.py, md5: {"9" * 32}, size: 1}}
    outs:
    - {{path: data/02_validated/table.parquet, md5: {TABLE}, size: 1}}
  train:
    cmd: python -m atnet.stages.train
    deps:
    - {{path: data/02_validated/table.parquet, md5: {TABLE}, size: 1}}
    outs:
    - {{path: data/07_model/model.onnx, md5: {MODEL}, size: 1}}
"""
ORIGIN = ModelOrigin(
    run_id="r1",
    run_name="pooled 84.0%",
    commit="c" * 40,
    dirty=False,
    sha256="5" * 64,
    datasets={"train": TRAIN},
    stages=stage_runs(LOCK),
    version=4,
    state="promoted",
    aliases=("champion",),
)


def test_stages_list_data_files_and_omit_code() -> None:
    validate, train = stage_runs(LOCK)
    assert validate.read == (FileRef("data/own.csv", RAW),)
    assert train.wrote == (FileRef("data/07_model/model.onnx", MODEL),)
    assert stage_runs("") == ()


def test_a_file_is_found_by_its_content_in_every_stage() -> None:
    assert files_with_md5(ORIGIN, RAW) == ["data/own.csv"]
    assert files_with_md5(ORIGIN, TABLE) == ["data/02_validated/table.parquet"]
    assert files_with_md5(ORIGIN, TRAIN) == ["the train split"]
    assert files_with_md5(ORIGIN, "f" * 32) == []


def test_the_lineage_goes_from_file_hash_to_live_alias() -> None:
    text = "\n".join(lineage_lines(ORIGIN))
    positions = [text.index(part) for part in ("data/own.csv 111111111111", "model.onnx", "5" * 64, "r1", "champion")]
    assert positions == sorted(positions)
    assert "commit cccccccccccc" in text


def test_a_run_without_lock_or_version_is_described_as_such() -> None:
    bare = replace(ORIGIN, stages=(), version=None, aliases=(), commit="")
    assert headline(bare).endswith("not registered")
    text = "\n".join(lineage_lines(bare))
    assert "published without a dvc.lock" in text
    assert "not in git" in text
