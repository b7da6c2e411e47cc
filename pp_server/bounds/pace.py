"""How slow a stream of bytes may be."""


class Pace:
    """Judges a stream by a minimum rate. It may fall behind that rate by a window's worth, and is too slow then.

    Whoever brings *rate* bytes per second in every window is never too slow, however long it takes; n bytes take at
    most the window and n / *rate* seconds. Only time in which the stream runs counts. Times are seconds of one clock.
    """

    def __init__(self, rate: float, window_s: float) -> None:
        self._rate = rate
        self._window_s = window_s
        self._left_s = window_s
        self._since: float | None = None

    def run(self, now: float) -> None:
        """From here on the other side is waited for."""
        if self._since is None:
            self._since = now

    def hold(self, now: float) -> None:
        """From here on the other side is not to blame: it is us who do not go on."""
        self._pass(now)
        self._since = None

    def add(self, count: int, now: float) -> None:
        """So many bytes went by."""
        self._pass(now)
        self._left_s = min(self._window_s, self._left_s + count / self._rate)

    def is_too_slow(self, now: float) -> bool:
        """Say whether the stream has fallen behind for good."""
        self._pass(now)
        return self._left_s <= 0

    def _pass(self, now: float) -> None:
        if self._since is not None:
            self._left_s -= now - self._since
            self._since = now
