"""When a server is asked what it has before it is sent that."""

from pp_assist.core.asking import BREAK_MS, NEWS, ONE_IN, Asking

MIB = 1 << 20


def streaming(batches: int, asking: Asking, now_ms: int = 0, took_ms: int = 100, held: int = 0) -> list[bool]:
    """Whether each of some batches of 500 contents was asked about."""
    asked = []
    for _ in range(batches):
        now_ms += took_ms
        asked.append(asking.is_due(now_ms))
        if asked[-1]:
            asking.answered(500, held)
        asking.travelled(4 * MIB, took_ms, now_ms)
    return asked


def test_after_nothing_but_news_one_in_some_is_asked_about() -> None:
    few = NEWS // 500
    assert streaming(few + 3 * ONE_IN, Asking()) == [True] * few + ([False] * (ONE_IN - 1) + [True]) * 3


def test_what_the_server_has_is_asked_about() -> None:
    assert all(streaming(40, Asking(), held=1))


def test_one_that_it_has_ends_not_asking() -> None:
    asking = Asking()
    streaming(5, asking)
    assert not all(streaming(ONE_IN - 1, asking, now_ms=500))
    asking.answered(500, 1)
    assert all(streaming(NEWS // 500, asking, now_ms=1500))


def test_on_a_slow_way_asking_always_pays() -> None:
    assert all(streaming(40, Asking(), took_ms=1000))


def test_after_a_break_it_is_asked_again() -> None:
    asking = Asking()
    streaming(5, asking)
    assert not asking.is_due(600)
    assert asking.is_due(600 + BREAK_MS + 1)
