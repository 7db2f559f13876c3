"""What `watch` shows: news told once and in order, and a picture that redraws itself."""

import io
from datetime import timedelta

from nestbox import timestamps
from nestbox.rules.epochs import Epoch
from nestbox.tables import RunRow, Transition
from rich.console import Console

from cli.following import Look
from cli.watch import LiveView, News, PlainLines

START = timestamps.from_text("2026-11-24T22:40:00.000Z")
RUN = "birds-20261124224000-1a2b"


def run(*states: str) -> RunRow:
    steps = [
        Transition(
            to_state=state,
            at=timestamps.to_text(START + timedelta(seconds=5 * place)),
            by="t",
            why=f"{state}!",
        )
        for place, state in enumerate(states)
    ]
    return RunRow("birds", RUN, state=states[-1], history=steps)


def epoch(number: int, value: float | None = None, speed: float | None = None) -> Epoch:
    return Epoch(
        number, START, validation_map=value, train_cross_entropy=1.0, images_per_second=speed, input_size=96
    )


def told(news: News, look: Look) -> list[str | int]:
    return [one.epoch if isinstance(one, Epoch) else str(one.to_state) for one in news.of(look)]


def test_news_are_told_once_and_in_the_order_in_which_they_happened() -> None:
    news = News()
    assert news.starts_waiting(Look(None, None))
    assert not news.starts_waiting(Look(None, None))
    assert told(news, Look(None, run("PREPARING"))) == ["PREPARING"]
    assert told(news, Look(None, run("PREPARING"))) == []
    both = Look(None, run("PREPARING", "TRAINING"), [epoch(0, 0.2, 90.0)])
    assert told(news, both) == ["TRAINING", 0]
    late = run("PREPARING", "TRAINING", "EVALUATING", "DEPLOYING", "SERVED")
    assert told(news, Look(None, late, [epoch(0, 0.2, 90.0), epoch(1, 0.4)])) == [
        1,
        "EVALUATING",
        "DEPLOYING",
        "SERVED",
    ]
    assert told(news, Look(None, late, [epoch(0, 0.2, 90.0), epoch(1, 0.4)])) == []


def test_an_epoch_is_told_when_it_is_complete_or_followed_by_another() -> None:
    news = News()
    training = run("PREPARING", "TRAINING")
    assert told(news, Look(None, training, [epoch(0)]))[2:] == []
    assert told(news, Look(None, training, [epoch(0, 0.2)])) == []
    assert told(news, Look(None, training, [epoch(0, 0.2, 90.0)])) == [0]
    assert told(news, Look(None, training, [epoch(0, 0.2, 90.0), epoch(1), epoch(2)])) == [1]


def test_plain_lines_show_states_and_epochs() -> None:
    shown = io.StringIO()
    view = PlainLines(Console(file=shown, width=200))
    view.show(Look(None, None))
    view.show(Look(None, run("PREPARING", "TRAINING"), [epoch(0, 0.25, 90.0)]))
    lines = shown.getvalue().splitlines()
    assert lines[0] == "waiting for the run to start"
    assert lines[1] == f"run {RUN}"
    assert lines[2:4] == ["22:40:00 PREPARING  PREPARING!", "22:40:05 TRAINING (+5.0 s)  TRAINING!"]
    assert "epoch   0  mAP 0.2500" in lines[4]
    assert "90 images/s at 96 px" in lines[4]


def test_the_live_picture_shows_the_path_the_sparkline_and_the_best_epoch() -> None:
    shown = io.StringIO()
    with LiveView(Console(file=shown, force_terminal=True, width=160, height=40)) as view:
        view.show(Look(None, None))
        view.show(
            Look(
                None, run("PREPARING", "TRAINING"), [epoch(0, 0.0, 80.0), epoch(1, 1.0, 90.0), epoch(2, 0.5)]
            )
        )
    text = shown.getvalue()
    for part in ("PREPARING", "TRAINING", "SERVED", "▁█▅", "1.0000", "90 images/s", "★"):
        assert part in text
