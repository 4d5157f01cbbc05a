"""The book of the runs in progress, which the threads of callers and of the core use at once."""

from __future__ import annotations

import threading

from fact_magics.core.in_progress import LeadingRun, RunsInProgress


def test_two_threads_may_end_one_run_at_once():
    book = RunsInProgress()

    class Key(str):
        """Lets the other thread go first where the run is about to be taken out of the book."""

        __slots__ = ()

        def __hash__(self) -> int:
            looked_up.append(1)
            if len(looked_up) == 3:
                other.start()
                other.join(0.2)  # it ends only if nothing keeps it waiting
            return hash(str(self))

    looked_up: list[int] = []
    own = LeadingRun(Key("k"))
    other = threading.Thread(target=book.end, args=(own, None))
    assert book.claim(own) is own
    book.end(own, None)
    other.join()
    assert own.ended.result() is None
    following = LeadingRun("k")
    assert book.claim(following) is following
