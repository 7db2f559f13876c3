"""Into how many jobs a preparation is dealt out, and what to do about several of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nestbox.rules.batch_job import BatchJob, failure_reason
from nestbox.rules.preparing import Preparing, decide_preparing, first_failed
from nestbox.rules.slicing import MOST_SLICES, count_slices, planned_jobs

RUN = "birds-20261124224000-abcd"


@pytest.mark.parametrize(
    ("images", "slices"),
    [(0, 1), (1, 1), (100, 1), (101, 2), (200, 2), (201, 3), (1_000_000, 10_000), (10_000_000, 10_000)],
)
def test_slices_hold_at_most_the_threshold(images, slices):
    assert count_slices(images, 100) == slices


@given(st.integers(0, 10**7), st.integers(2, 10**6))
def test_batch_can_hold_every_number_of_slices(images, threshold):
    slices = count_slices(images, threshold)
    assert (slices == 1) == (images <= threshold)
    assert 1 <= slices <= MOST_SLICES
    assert images <= slices * threshold or slices == MOST_SLICES
    assert (slices - 1) * threshold < max(1, images)


def test_a_small_run_is_one_job():
    [job] = planned_jobs(RUN, 1)
    assert (job.name, job.command, job.children) == (f"{RUN}-prepare", "prepare", None)


def test_a_large_run_ends_with_a_job_of_the_same_name():
    assert [(job.name, job.command, job.children) for job in planned_jobs(RUN, 7)] == [
        (f"{RUN}-plan", "plan", None),
        (f"{RUN}-slices", "slice", 7),
        (f"{RUN}-prepare", "merge", None),
    ]


def jobs(*statuses):
    """Plan, slices, merge; "-": Batch has no such job, "2!": an array that runs with 2 failed children."""
    found = []
    for name, status in zip(("plan", "slices", "prepare"), statuses, strict=True):
        if status == "-":
            found.append(None)
        elif status.endswith("!"):
            found.append(BatchJob(name, name, "PENDING", failed_children=int(status[:-1])))
        else:
            found.append(BatchJob(name, name, status))
    return found


@pytest.mark.parametrize(
    ("statuses", "decision", "to_blame"),
    [
        (("-", "-", "-"), Preparing.SUBMIT, None),
        (("RUNNING", "-", "-"), Preparing.SUBMIT, None),
        (("SUCCEEDED", "PENDING", "-"), Preparing.SUBMIT, None),
        (("-", "PENDING", "-"), Preparing.SUBMIT, None),
        (("SUBMITTED", "SUBMITTED", "SUBMITTED"), Preparing.WAIT, None),
        (("-", "PENDING", "PENDING"), Preparing.WAIT, None),
        (("SUCCEEDED", "SUCCEEDED", "RUNNING"), Preparing.WAIT, None),
        (("SUCCEEDED", "SUCCEEDED", "SUCCEEDED"), Preparing.READ, None),
        (("-", "-", "SUCCEEDED"), Preparing.READ, None),
        (("FAILED", "-", "-"), Preparing.FAIL, "plan"),
        (("FAILED", "PENDING", "-"), Preparing.FAIL, "plan"),
        (("FAILED", "FAILED", "FAILED"), Preparing.FAIL, "plan"),
        (("SUCCEEDED", "FAILED", "FAILED"), Preparing.FAIL, "slices"),
        (("SUCCEEDED", "1!", "PENDING"), Preparing.FAIL, "slices"),
        (("SUCCEEDED", "SUCCEEDED", "FAILED"), Preparing.FAIL, "prepare"),
    ],
)
def test_several_jobs(statuses, decision, to_blame):
    found = jobs(*statuses)
    assert decide_preparing(found) is decision
    failed = first_failed(found)
    assert (failed.name if failed else None) == to_blame


def test_the_reason_names_a_job_that_is_not_alone():
    job = BatchJob("id", "x-slices", "FAILED", "Essential container in task exited", exit_code=137, index=3)
    reason = "Essential container in task exited; exit code 137; last line of its log: packing"
    assert failure_reason(job, "packing") == reason
    assert failure_reason(job, "packing", alone=False) == f"job x-slices, child 3: {reason}"
    plain = BatchJob("id", "x-plan", "FAILED")
    assert failure_reason(plain, None, alone=False) == "job x-plan: the job failed"
