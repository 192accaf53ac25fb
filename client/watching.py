"""What there is to watch while files are transcribed."""

from collections.abc import Sequence

from client.models import Job, Source


class Watcher:
    """Is told how a run goes, some of it from other threads; does nothing with it."""

    def found(self, sources: int, size: int, unreadable: int, ignored: int) -> None:
        """So many files of so many bytes in all are to be sent; others can't be, or are no media."""

    def created(self, ids: Sequence[str]) -> None:
        """These are now the jobs of the run."""

    def sending(self, files: int, size: int) -> None:
        """Uploads begin: so many files, so many bytes in all."""

    def sent(self, source: Source, count: int) -> None:
        """So many bytes of a file have gone out."""

    def arrived(self, source: Source) -> None:
        """A file has been sent whole."""

    def transcribing(self, jobs: Sequence[Job]) -> None:
        """The jobs as they are now."""

    def note(self, message: str) -> None:
        """Something that the user should know now."""
