"""Which texts are computed together, and that every job gets all of its predictions."""

import asyncio
from collections import deque
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atnet.inference import Predictor, softmax
from atnet.serving.batching import TURN_TEXTS, padded_groups, take_batch
from atnet.serving.inference_thread import InferenceThread
from atnet.serving.loaded_model import LoadedModel
from atnet.serving.prediction_jobs import InferenceError, PredictionJob, ScoredText
from atnet.serving.service_metrics import WorkerMetrics
from tests.tinymodel import write_tiny_model

A, B = cast(LoadedModel, object()), cast(LoadedModel, object())


def _job(texts: list[str], *, explain: bool = False, model: LoadedModel = A) -> PredictionJob:
    loop = asyncio.new_event_loop()
    job = PredictionJob(texts, explain, loop.create_future(), "id", 0.0, model=model)
    loop.close()
    return job


@given(st.lists(st.integers(1, 300), max_size=200), st.integers(1, 1000))
def test_groups_contain_every_text_once_sorted_and_within_the_padded_tokens(lengths: list[int], limit: int) -> None:
    groups = list(padded_groups(lengths, limit))
    assert sorted(row for group in groups for row in group) == list(range(len(lengths)))
    ordered = [lengths[row] for group in groups for row in group]
    assert ordered == sorted(ordered)
    for group in groups:
        assert len(group) == 1 or len(group) * max(lengths[row] for row in group) <= limit


def test_a_single_text_does_not_wait_for_the_end_of_a_long_list() -> None:
    many, single = _job(["a"] * 1000), _job(["b"])
    waiting = deque([many, single])
    batch = take_batch(waiting, 4096)
    assert batch is not None
    assert [job is single for job, _ in batch.items] == [False] * TURN_TEXTS + [True]
    assert list(waiting) == [many]


@given(st.lists(st.tuples(st.integers(1, 60), st.booleans(), st.sampled_from([A, B])), max_size=12))
def test_every_text_of_every_job_is_taken_once_and_versions_are_not_mixed(
    jobs: list[tuple[int, bool, LoadedModel]],
) -> None:
    waiting = deque(_job(["text"] * texts, explain=explain, model=model) for texts, explain, model in jobs)
    expected = {(id(job), row) for job in waiting for row in range(len(job.texts))}
    taken: list[tuple[int, int]] = []
    while waiting:
        batch = take_batch(waiting, 64)
        assert batch is not None
        assert all(job.model is batch.model for job, _ in batch.items)
        assert not batch.explain or len(batch.items) == 1
        assert {job.explain for job, _ in batch.items} == {batch.explain}
        taken += [(id(job), row) for job, row in batch.items]
    assert len(taken) == len(set(taken))
    assert set(taken) == expected


def test_texts_of_a_client_that_has_left_are_dropped() -> None:
    left, stays = _job(["a"] * 40), _job(["b"])
    waiting = deque([left, stays])
    left.abandoned = True
    batch = take_batch(waiting, 4096)
    assert batch is not None
    assert [job for job, _ in batch.items] == [stays]
    assert not waiting


# The thread


def _model(folder: Path) -> LoadedModel:
    predictor = Predictor.load(write_tiny_model(folder))
    return LoadedModel(1, "sha", predictor.labels, predictor, softmax)


class _Failing:
    """A model that raises on a certain text."""

    min_confidence = None

    def __init__(self, model: LoadedModel) -> None:
        self.labels, self._model = model.labels, model

    def encode(self, texts: Any) -> list[list[int]]:
        if "poison" in texts:
            raise ValueError("a text that must not be in the log")
        return self._model.encode(texts)

    def probabilities(self, ids: Any) -> np.ndarray:
        return self._model.probabilities(ids)


async def _predict(thread: InferenceThread, *lists: list[str]) -> list[PredictionJob | BaseException]:
    jobs = []
    for texts in lists:
        job = PredictionJob(texts, False, asyncio.get_running_loop().create_future(), "id", 0.0)
        thread.submit(job)
        jobs.append(job)
    done = await asyncio.gather(*(job.done for job in jobs), return_exceptions=True)
    for job in jobs:
        thread.release(job)
    return [job if error is None else error for job, error in zip(jobs, done, strict=True)]


def test_the_thread_predicts_every_job_and_counts_what_is_queued(tmp_path: Path) -> None:
    model, seen = _model(tmp_path), list[ScoredText]()

    async def run() -> list[PredictionJob | BaseException]:
        thread = InferenceThread(WorkerMetrics(), 64, lambda _, scored: seen.extend(scored))
        thread.model = model
        thread.start()
        try:
            return await _predict(thread, ["good"], ["bad"] * 50, ["good bad " * 20, "awful"])
        finally:
            assert thread.queued_texts == 0
            await asyncio.get_running_loop().run_in_executor(None, thread.stop)

    jobs = asyncio.run(run())
    assert [
        [prediction["label"] for prediction in cast(PredictionJob, job).predictions if prediction] for job in jobs
    ] == [
        ["positive"],
        ["negative"] * 50,
        ["negative", "negative"],
    ]
    assert len(seen) == 53


def test_an_error_of_the_model_reaches_its_requests_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = cast(LoadedModel, _Failing(_model(tmp_path)))

    async def run() -> tuple[Any, Any]:
        thread = InferenceThread(WorkerMetrics(), 64, lambda _, scored: None)
        thread.model = model
        thread.start()
        try:
            return await _predict(thread, ["poison"]), await _predict(thread, ["good"])
        finally:
            await asyncio.get_running_loop().run_in_executor(None, thread.stop)

    (failed,), (predicted,) = asyncio.run(run())
    assert isinstance(failed, InferenceError)
    assert predicted.predictions[0]["label"] == "positive"
    assert "ValueError" in caplog.text
    assert "must not be in the log" not in caplog.text
