"""The methods of `FactCore` that record model answers, and answer from a recording."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fact_magics.config import Settings
    from fact_magics.providers.recorded import Tape, Written
    from fact_magics.providers.recording import Recording


class Taping:
    """Records and replays the answers of models."""

    settings: Settings
    _tape: Tape

    def record(self, path: str | Path | None) -> Written:
        """Write this session's model answers to a readable file, now and as they come.

        Parameters
        ----------
        path : str, Path or None
            A new file or a recording, whose answers to other requests stay. None stops the recording.

        Returns
        -------
        Written
            The number of answers in the file, and of this session's answers that are left out because their
            requests contain a key.

        Raises
        ------
        RecordingError
            The file exists and is not a recording, or it can't be written.
        """
        return self._tape.record(None if path is None else Path(path).expanduser().absolute())

    def replay(self, path: str | Path | None) -> Recording | None:
        """Answer the requests of this session from a recording, and send nothing.

        Parameters
        ----------
        path : str, Path or None
            A file that `record` has written. None asks models again, even if ``FACT_REPLAY`` names a file.

        Raises
        ------
        RecordingError
            The file does not exist or can't be used. Nothing changes.
        """
        return self._tape.replay(None if path is None else Path(path).expanduser().absolute())

    @property
    def recording(self) -> Path | None:
        """The file that `record` writes; None if there is none."""
        return self._tape.path

    @property
    def replayed(self) -> Path | None:
        """The recording that answers come from; None if models are asked."""
        return self._tape.replayed(self.settings)
