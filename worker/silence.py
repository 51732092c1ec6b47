"""For how long a worker that could have consumed did not."""

from dataclasses import dataclass

# Celery pauses between two attempts at a broker that is away: 2 s, 4 s, 6 s, and so on up to this.
LONGEST_PAUSE_SECONDS = 30.0


@dataclass(slots=True)
class Silence:
    """Seconds in which a canary could have come back, and none did. Below zero, so many more are forgiven.

    A process that starts is forgiven the longest pause: it imports, connects, and may wait for its broker.
    """

    seconds: float = -LONGEST_PAUSE_SECONDS

    def end(self) -> None:
        """A canary came back."""
        self.seconds = 0.0

    def lengthen(self, seconds: float, *, is_broker_there: bool, is_thread_free: bool) -> None:
        """So many seconds have passed. They count where nothing but the consumer can be to blame.

        While the broker is away they are forgiven instead: when it is back the consumer still sits out its
        pause, and the sum of its pauses so far is never less than the next one.
        """
        if not is_broker_there:
            self.seconds = max(min(self.seconds, 0.0) - seconds, -LONGEST_PAUSE_SECONDS)
        elif not is_thread_free:
            self.seconds = min(self.seconds, 0.0)
        else:
            self.seconds += seconds
