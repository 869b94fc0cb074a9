"""The launcher `inline`: in this process, for debugging. BENCH_DEBUG=1 prints the traceback of an error."""

import signal
from collections.abc import Sequence

from savo_bench.bench import worker
from savo_bench.bench.cells import Pack
from savo_bench.bench.grid import Problems
from savo_bench.bench.launch.attached import Attached, Claim
from savo_bench.bench.launch.stop import Stop, Stopped
from savo_bench.bench.progress import Board


class Inline(Attached):
    """Trains one pack after the other in this process."""

    name = "inline"
    summary = "this process"

    def train(self, packs: Sequence[Pack], workers: int, claim: Claim, board: Board, stop: Stop) -> Problems:  # noqa: ARG002
        """Train the packs one by one.

        Raises:
            Stopped: a signal came; everything is saved.
        """
        for queued in packs:
            stop.check()
            pack = claim(queued)
            if pack is None:
                board.dropped(queued)
                continue
            board.started(queued, pack)
            try:
                with stop.at_once():  # until the training installs its own handlers, which save before they stop it
                    worker.train(pack)
            except worker.interrupted() as error:
                board.ended(queued, "interrupted, saved")
                came = getattr(error, "signals", ()) or (signal.SIGINT,)
                raise Stopped(stop.number or came[0]) from None
            board.ended(queued)
        stop.check()
        return {}
