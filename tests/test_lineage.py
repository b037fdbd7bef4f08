"""Where a version comes from, read from lock files."""

from dataclasses import replace

from atnet.registry.lineage import FileRef, Origin, chain, files_with, headline, steps_of

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
ORIGIN = Origin(
    run_id="r1",
    run_name="pooled 84.0%",
    commit="c" * 40,
    dirty=False,
    sha256="5" * 64,
    datasets={"train": TRAIN},
    steps=steps_of(LOCK),
    version=4,
    state="promoted",
    aliases=("champion",),
)


def test_the_steps_name_data_and_leave_code_out() -> None:
    validate, train = steps_of(LOCK)
    assert validate.read == (FileRef("data/own.csv", RAW),)
    assert train.wrote == (FileRef("data/07_model/model.onnx", MODEL),)
    assert steps_of("") == ()


def test_a_file_is_found_by_its_content_wherever_it_stands_in_the_chain() -> None:
    assert files_with(ORIGIN, RAW) == ["data/own.csv"]
    assert files_with(ORIGIN, TABLE) == ["data/02_validated/table.parquet"]
    assert files_with(ORIGIN, TRAIN) == ["the train split"]
    assert files_with(ORIGIN, "f" * 32) == []


def test_the_chain_goes_from_file_hash_to_live_alias() -> None:
    told = "\n".join(chain(ORIGIN))
    positions = [told.index(part) for part in ("data/own.csv 111111111111", "model.onnx", "5" * 64, "r1", "champion")]
    assert positions == sorted(positions)
    assert "commit cccccccccccc" in told


def test_a_run_without_lock_or_version_is_told_as_such() -> None:
    bare = replace(ORIGIN, steps=(), version=None, aliases=(), commit="")
    assert headline(bare).endswith("not registered")
    told = "\n".join(chain(bare))
    assert "published without a dvc.lock" in told
    assert "not in git" in told
