"""Jobs of more files than fit into one request: they are added page by page, until the job is sealed.

Whether a new file fits in with those that the job has, and what its transcripts are called, is found by a few looks at
paths near to its own, however many files there are.
"""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import PurePosixPath

from chalicelib import answers, capabilities, limits
from chalicelib.errors import conflict
from chalicelib.jobs import MAX_FILES, Format, Job, JobState, MediaFile, output_paths
from chalicelib.ports import Records
from chalicelib.requests import NewFile, NewFiles
from chalicelib.service import Service
from chalicelib.validation import FieldError, field_error, parsed, wrong_fields

# Of so many files with one stem, whose transcripts might be in each other's way, none is looked at: the name is taken.
MANY = 20
NUMBERED = re.compile(r"(.+) \(\d+\)", re.DOTALL)
ATTEMPTS = 20


def add(
    service: Service, owner: str, job_id: str, body: str | bytes, token_id: str | None = None
) -> answers.JobWithFiles:
    """Adds files to a job that is not sealed, and answers as to the creation of a job, but with these files alone.

    Sent again, it changes nothing and is answered in the same way. With `sealed`, the job is complete: it starts as
    soon as all files are in.
    """
    job = service.find_job(owner, job_id)
    new = _parse(service, body)
    files = _added(service, owner, job, new.files, token_id)
    if new.sealed:
        service.records.change_job(job_id, [JobState.AWAITING_UPLOAD], {"sealed": True})
        service.start_if_complete(job_id)
    return service.view_with_uploads(service.find_job(owner, job_id), files)


def _parse(service: Service, body: str | bytes) -> NewFiles:
    new = parsed(NewFiles, body)
    errors = capabilities.size_errors(service.settings, new.files)
    if not new.files and not new.sealed:
        errors.append(field_error("files", "must hold at least 1 file, unless 'sealed' is true"))
    if errors:
        raise wrong_fields(*errors)
    return new


def _added(service: Service, owner: str, job: Job, new: Sequence[NewFile], token_id: str | None) -> list[MediaFile]:
    """The files as they are recorded, in the order of `new`."""
    for _ in range(ATTEMPTS):
        there = _there(service.records, job, new)
        lacking = [file for file in new if file.path not in there]
        if lacking:
            limits.admit_more(service.records, job, token_id, new, job.files + len(lacking), service.clock())
            made = _named(service.records, job, new, lacking)
            if not service.records.add_files(job, made):
                # The job was sealed, or others have added files, which these might be in the way of.
                job = service.find_job(owner, job.id)
                continue
            there |= {file.path: file for file in made}
        return [there[file.path] for file in new]
    raise conflict("Others add files to this job at the same time. Send these again.")


def _there(records: Records, job: Job, new: Sequence[NewFile]) -> dict[str, MediaFile]:
    """Those of the new files that the job has already, by path. Raises Problem if one differs in size."""
    found = records.paths(job.id, [file.path for file in new], 1)
    numbers = [numbers[path] for path, numbers in found.items() if path in numbers]
    there = {file.path: file for file in records.files_numbered(job.id, numbers)}
    differing = [
        field_error(f"files[{n}].size", f"must be {there[file.path].size}, as when {file.path!r} was added before")
        for n, file in enumerate(new)
        if file.path in there and there[file.path].size != file.size
    ]
    if differing:
        raise wrong_fields(*differing)
    return there


def _named(records: Records, job: Job, new: Sequence[NewFile], lacking: Sequence[NewFile]) -> list[MediaFile]:
    """New files with the outputs that are free. Raises Problem if they cannot be added to the job."""
    if job.state != JobState.AWAITING_UPLOAD:
        raise conflict("No files can be added to this job: it does not wait for uploads any more.")
    if job.sealed:
        raise conflict("No files can be added to this job: it is sealed. Create a job with 'sealed': false for more.")
    if job.files + len(lacking) > MAX_FILES:
        raise wrong_fields(field_error("files", f"must leave the job with no more than {MAX_FILES} files"))
    near = _Near(records, job.id, [file.path for file in lacking])
    places = {file.path: n for n, file in enumerate(new)}
    wrong = [error for file in lacking for error in near.clashes(places[file.path], file.path)]
    if wrong:
        raise wrong_fields(*wrong)
    outputs = output_paths([file.path for file in lacking], near.is_taken)
    return [
        MediaFile(job=job.id, n=job.files + number, path=file.path, output=output, size=file.size)
        for number, (file, output) in enumerate(zip(lacking, outputs, strict=True))
    ]


class _Near:
    """The files of a job that are near to some new paths."""

    def __init__(self, records: Records, job: str, paths: Collection[str]) -> None:
        self._records = records
        self._job = job
        self._namesakes: dict[str, list[MediaFile] | None] = {}
        folders = {folder for path in paths for folder in _folders(path)}
        self._paths = records.paths(job, [*folders, *(f"{path}/" for path in {*paths, *folders})], 1)
        stems = {path: str(PurePosixPath(path).with_suffix("")) for path in paths}
        uses = Counter(stems.values())
        self._look({*stems.values(), *(folder.rpartition(".")[0] for folder in folders if _is_transcript(folder))})
        self._look([path for path, stem in stems.items() if uses[stem] > 1 or self.is_taken(stem)])

    def clashes(self, n: int, path: str) -> list[FieldError]:
        """Why the new file number `n` cannot be in one tree with the others."""
        below = next(iter(self._paths[f"{path}/"]), None)
        if below is not None:
            return [field_error(f"files[{n}].path", f"must not be {path!r}, which is the folder of {below!r}")]
        for folder in _folders(path):
            if folder in self._paths[folder]:
                return [field_error(f"files[{n}].path", f"must not lie in {folder!r}, which is a file of this job")]
            if _is_transcript(folder) and not self._paths[f"{folder}/"] and self._has(folder.rpartition(".")[0]):
                return [field_error(f"files[{n}].path", f"must not lie in {folder!r}: a transcript has this name")]
        return []

    def is_taken(self, output: str) -> bool:
        """Whether there is, or might be, a file with this output, or a folder named like one of its transcripts."""
        folders = tuple(f"{output}.{format}/" for format in Format)
        return self._has(output) or any(file.path.startswith(folders) for file in self._of(output) or [])

    def _has(self, output: str) -> bool:
        """Whether there is, or might be, a file with this output."""
        # `talk (2)` may be that of a second `talk` as well.
        second = NUMBERED.fullmatch(output)
        found = [self._of(name) for name in ([output, second[1]] if second else [output])]
        return any(files is None or any(file.output == output for file in files) for files in found)

    def _of(self, output: str) -> list[MediaFile] | None:
        """The files whose path is `output`, or begins with it and a dot; `None` if they are many."""
        if output not in self._namesakes:
            self._look({output})
        return self._namesakes[output]

    def _look(self, outputs: Collection[str]) -> None:
        same = self._records.paths(self._job, outputs, 1)
        dotted = self._records.paths(self._job, [f"{output}." for output in outputs], MANY)
        numbers = {
            output: [*(n for path, n in same[output].items() if path == output), *dotted[f"{output}."].values()]
            for output in outputs
        }
        wanted = {n for found in numbers.values() if len(found) < MANY for n in found}
        files = {file.n: file for file in self._records.files_numbered(self._job, wanted)}
        for output, found in numbers.items():
            known = [files[n] for n in found if n in files]
            self._namesakes[output] = known if len(found) < MANY else None


def _folders(path: str) -> list[str]:
    return [str(folder) for folder in PurePosixPath(path).parents if folder.name]


def _is_transcript(path: str) -> bool:
    return PurePosixPath(path).suffix.removeprefix(".") in list(Format)
