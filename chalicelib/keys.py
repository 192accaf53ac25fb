"""Names of the objects. The first part of a key tells what an object is, and so which bucket holds it."""

UPLOADS = "uploads/"
INBOX = "inbox/"
TRANSCRIPTS = "transcripts/"
WORK = "work/"
VERSIONS = "versions/"
ORIGINAL = "original"
DONE = "done.txt"


def upload(job: str, path: str) -> str:
    return f"{UPLOADS}{job}/{path}"


def parse_upload(key: str) -> tuple[str, str] | None:
    """The job and the relative path of an uploaded object's key, `None` for any other key."""
    if not key.startswith(UPLOADS):
        return None
    job, slash, path = key.removeprefix(UPLOADS).partition("/")
    return (job, path) if job and slash and path else None


def drop_in(name: str) -> str:
    """The prefix of all that lies in a drop-in folder."""
    return f"{INBOX}{name}/"


def parse_done(key: str) -> str | None:
    """The name of the drop-in folder that is complete now that there is an object `key`, `None` for any other key."""
    if not key.startswith(INBOX):
        return None
    name, _, rest = key.removeprefix(INBOX).partition("/")
    return name if name and rest == DONE else None


def transcript(job: str, output: str, format: str) -> str:
    return f"{TRANSCRIPTS}{job}/{output}.{format}"


def versions(job: str, file: int) -> str:
    """The prefix of all versions of a file's transcript."""
    return f"{VERSIONS}{job}/{file}/"


def version(job: str, file: int, id: str) -> str:
    """A `Transcript` as JSON: `ORIGINAL`, or what somebody made of it."""
    return f"{versions(job, file)}{id}.json"


def work(job: str) -> str:
    """The prefix of all that the workflow writes for itself."""
    return f"{WORK}{job}/"


def files(job: str) -> str:
    return f"{WORK}{job}/files.json"


def batches(job: str) -> str:
    return f"{WORK}{job}/batches.json"


def samples(job: str, file: int) -> str:
    """16 kHz mono signed 16-bit little-endian samples, no header."""
    return f"{WORK}{job}/{file}/audio.s16"


def audio(job: str, file: int) -> str:
    return f"{WORK}{job}/{file}/audio.json"


def chunk(job: str, file: int, index: int) -> str:
    return f"{WORK}{job}/{file}/chunks/{index}.json"


def voices(job: str, file: int, index: int) -> str:
    """The voices in a chunk."""
    return f"{WORK}{job}/{file}/voices/{index}.json"


def of_job(job: str) -> tuple[str, ...]:
    """The prefixes of all that belongs to a job."""
    return f"{UPLOADS}{job}/", work(job), f"{TRANSCRIPTS}{job}/", f"{VERSIONS}{job}/"
