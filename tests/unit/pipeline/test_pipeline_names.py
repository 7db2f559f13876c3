from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nestbox import bucket_layout, names
from nestbox.errors import BadNameError
from nestbox.rules.strays import find_stray

NOW = datetime(2026, 11, 24, 22, 40, tzinfo=UTC)
dataset_names = st.from_regex(r"\A[a-z0-9](-?[a-z0-9]){0,15}\Z")


@pytest.mark.parametrize("name", ["birds", "a", "0", "a-b", "a1-2-3", "x" * 32])
def test_dataset_names(name):
    assert names.check_dataset_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "Birds", "a--b", "-a", "a-", "a_b", "a b", "ä", "x" * 33, "a/b", "a.b", "_rejected", "a\n"]
)
def test_what_is_no_dataset_name(name):
    with pytest.raises(BadNameError, match="no dataset name"):
        names.check_dataset_name(name)


@given(dataset_names)
def test_a_run_id_tells_its_dataset_and_is_a_sagemaker_name(dataset):
    run = names.new_run_id(dataset, NOW)
    assert names.is_run_id(run)
    assert names.dataset_of_run(run) == dataset
    assert len(run) <= 63
    for kind in ("prepare", "plan", "slices"):
        assert names.run_of_prepare_job(names.prepare_job_name(run, kind)) == run
    assert names.dataset_of_endpoint(names.endpoint_name(dataset)) == dataset


def test_the_longest_names_still_fit_sagemaker_and_batch():
    run = names.new_run_id("x" * 32, NOW)
    assert len(run) == 52
    assert len(names.prepare_job_name(run)) <= 128
    assert len(names.endpoint_name("x" * 32)) <= 63


def test_run_ids_sort_by_time():
    first = names.new_run_id("birds", NOW, "ffff")
    assert first == "birds-20261124224000-ffff"
    assert first < names.new_run_id("birds", NOW.replace(second=1), "0000")


@pytest.mark.parametrize(
    "text", ["birds", "birds-2026-abcd", "birds-20261124224000-ABCD", "a--20261124224000-abcd", ""]
)
def test_what_is_no_run_id(text):
    assert not names.is_run_id(text)
    with pytest.raises(BadNameError):
        names.dataset_of_run(text)


@pytest.mark.parametrize(
    "name",
    ["other-job", "other-prepare", "prepare", "birds-20261124224000-abcd", "birds-20261124224000-abcd-slice"],
)
def test_jobs_of_others(name):
    assert names.run_of_prepare_job(name) is None


@pytest.mark.parametrize("name", ["other", "nestbox-Birds", "nestbox-"])
def test_endpoints_of_others(name):
    assert names.dataset_of_endpoint(name) is None


def test_s3_uris():
    assert bucket_layout.split_s3_uri(bucket_layout.s3_uri("b", "k/x y.jpg")) == ("b", "k/x y.jpg")
    assert bucket_layout.split_s3_uri("s3://b/") == ("b", "")
    for bad in ("s3://b", "https://b/k", "b/k", "s3:///k"):
        with pytest.raises(BadNameError, match="no S3 URI"):
            bucket_layout.split_s3_uri(bad)


def test_the_model_is_where_sagemaker_puts_it():
    run = "birds-20261124224000-abcd"
    assert bucket_layout.model_key(run) == f"runs/{run}/output/{run}/output/model.tar.gz"


@pytest.mark.parametrize(
    ("key", "code", "folder"),
    [
        ("datasets/birds/1.jpg", None, None),
        ("datasets/birds/a/b/c.jpg", None, None),
        ("datasets/Birds/1.jpg", "bad-dataset-name", "datasets/Birds/"),
        ("datasets//1.jpg", "bad-dataset-name", "datasets//"),
        ("datasets/_rejected/1.jpg", "bad-dataset-name", "datasets/_rejected/"),
        ("datasets/1.jpg", "no-dataset-folder", "datasets/"),
        ("1.jpg", "outside-datasets", "/"),
        ("/1.jpg", "outside-datasets", "/"),
        ("data/birds/1.jpg", "outside-datasets", "data/"),
        ("datasets", "outside-datasets", "/"),
    ],
)
def test_strays(key, code, folder):
    stray = find_stray(key)
    assert (stray and stray.code, stray and stray.folder) == (code, folder)


def test_what_is_said_of_a_stray_is_bounded():
    stray = find_stray(f"datasets/{'X' * 900}/1.jpg")
    assert len(stray.folder) < 250
    assert len(stray.message) < 300
