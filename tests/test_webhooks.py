"""Webhooks over real HTTPS, and what AWS is told of jobs."""

import contextlib
import datetime
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from moto.dynamodb.models import dynamodb_backends
from pydantic import ValidationError
from standardwebhooks.webhooks import Webhook as Verifier

from chalicelib import addresses, webhooks
from chalicelib.aws import platform as aws_platform
from chalicelib.aws.announcements import NotTold
from chalicelib.jobs import JobState, Webhook
from chalicelib.ports import Records
from chalicelib.requests import NewJob
from chalicelib.webhooks import Sender, Undelivered
from local.courier import Courier
from local.records import SQLiteRecords
from tests.aws import REGION
from tests.serving import Site, assert_problem, client, eventually, serving
from tests.test_records import job_id, media_files, new_job

SECRET = webhooks.new_secret()
FILE = {"path": "a.mp4", "size": 1}


@dataclass
class Receiver:
    """An HTTPS server that answers with `statuses` in turn, then 204, and verifies what it gets as its users would."""

    url: str
    tls: ssl.SSLContext
    statuses: list[int] = field(default_factory=list)
    got: list[dict[str, Any]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    wait: Callable[[BaseHTTPRequestHandler], None] = lambda _: None

    @property
    def sender(self) -> Sender:
        """One that may send to this machine, and trusts this server's certificate."""
        return Sender(permitted=lambda _: True, tls=self.tls)


def certificate(folder: Path) -> tuple[Path, Path]:
    """For localhost, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def receiver(certified: tuple[Path, Path]) -> Iterator[Receiver]:
    tls = ssl.create_default_context(cafile=str(certified[0]))
    receiver = Receiver("", tls)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.got.append(Verifier(SECRET).verify(body, dict(self.headers)))
            receiver.ids.append(self.headers["webhook-id"])
            receiver.wait(self)
            with contextlib.suppress(OSError):
                self.send_response(receiver.statuses.pop(0) if receiver.statuses else 204)
                self.send_header("Location", f"{receiver.url}elsewhere")
                self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certified)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    receiver.url = f"https://localhost:{server.server_port}/"
    yield receiver
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def records(tmp_path: Path) -> SQLiteRecords:
    return SQLiteRecords(tmp_path / "records.sqlite")


def end_job(records: Records, url: str, state: JobState = JobState.FAILED) -> str:
    """A job with a webhook, which has ended."""
    job = new_job(job_id(1), state=JobState.RUNNING).model_copy(update={"webhook": Webhook(url=url, secret=SECRET)})
    records.add_job(job, media_files(job.id, 1))
    records.change_job(job.id, [JobState.RUNNING], {"state": state, "finished_at": 1_795_000_000.0})
    return job.id


def webhook_of(records: Records, id: str) -> Webhook:
    job = records.job(id)
    assert job is not None
    assert job.webhook is not None
    return job.webhook


def test_the_end_of_a_job_is_told_and_signed(records: SQLiteRecords, receiver: Receiver) -> None:
    """From the transaction that ends it, through the courier's thread; another's library verifies the signature."""
    courier = Courier(SQLiteRecords(records.path), receiver.sender)
    courier.start()
    try:
        id = end_job(records, f"{receiver.url}jobs?who=me", JobState.PARTIAL)
        assert eventually(lambda: webhook_of(records, id).delivered_at is not None)
    finally:
        courier.stop()
    (told,) = receiver.got
    assert (told["type"], told["timestamp"]) == ("job.partial", "2026-11-18T11:06:40.000Z")
    assert (told["data"]["id"], told["data"]["state"]) == (id, "partial")
    assert SECRET not in json.dumps(told)
    assert eventually(lambda: records.deliveries(time.time() + 1e6) == [])


def test_what_is_not_taken_is_told_again_with_the_same_id(records: SQLiteRecords, receiver: Receiver) -> None:
    """A courier that is gone in between leaves it to the next."""
    id, now = end_job(records, receiver.url), [time.time()]
    receiver.statuses = [500, 302]
    pauses = []
    for _ in range(3):
        (due,) = records.deliveries(now[0])
        Courier(SQLiteRecords(records.path), receiver.sender, lambda: now[0]).attempt(due)
        for waiting in records.deliveries(now[0] + 1e6):
            pauses.append(waiting.due - now[0])
            now[0] = waiting.due
            assert records.deliveries(now[0] - 1) == []
    assert [round(pause / base) for pause, base in zip(pauses, (5, 20), strict=True)] == [1, 1]
    assert len(receiver.got) == 3, "a redirect is not followed"
    assert len(set(receiver.ids)) == 1
    webhook = webhook_of(records, id)
    assert (webhook.attempts, webhook.error) == (3, None)
    assert webhook.delivered_at == now[0]


@dataclass(frozen=True)
class Unwilling(Sender):
    attempts: list[str] = field(default_factory=list)

    def send(self, url: str, *_: Any) -> int:
        self.attempts.append(url)
        return 503


def test_it_is_given_up_after_a_day(records: SQLiteRecords) -> None:
    end_job(records, "https://example.com/")
    sender, began = Unwilling(), time.time()
    now = began
    while due := records.deliveries(now):
        Courier(records, sender, lambda: now).attempt(due[0])  # noqa: B023
        now = max((waiting.due for waiting in records.deliveries(now + 1e6)), default=now)
    assert 18 * 3600 < now - began <= 24 * 3600
    assert 8 < len(sender.attempts) < 20
    assert webhook_of(records, job_id(1)).error == "The answer had the status 503."


def test_a_receiver_that_is_gone_is_told_no_more(records: SQLiteRecords, receiver: Receiver) -> None:
    end_job(records, receiver.url)
    receiver.statuses = [410]
    (due,) = records.deliveries(time.time())
    Courier(records, receiver.sender).attempt(due)
    assert records.deliveries(time.time() + 1e6) == []


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "100.100.100.200"),
        *("0.0.0.0", "255.255.255.255", "224.0.0.1", "240.0.0.1", "192.0.2.1", "198.18.0.1"),  # noqa: S104
        *("::1", "::", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "fc00::1", "ff02::1", "2001:db8::1"),
        *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1"),
        *("192.0.0.8", "192.88.99.1", "::ffff:192.0.0.8", "fec0::1", "feff::1", "3fff::1"),
        *("2002:7f00:1::", "2002:a00:1::", "::127.0.0.1", "localhost", ""),
    ],
)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not addresses.is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_addresses_that_are_public(address: str) -> None:
    assert addresses.is_public(address)


def test_a_name_of_this_machine_is_never_connected_to(receiver: Receiver, records: SQLiteRecords) -> None:
    end_job(records, receiver.url)
    assert not webhooks.deliver(records, Sender(tls=receiver.tls), job_id(1), "msg_1", 0)
    assert receiver.got == []
    assert webhook_of(records, job_id(1)).error == "localhost is not a host of the public internet."


def test_what_is_connected_to_is_what_was_looked_at(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that resolves to a public address first and to this machine afterwards."""
    port = int(receiver.url.rpartition(":")[2].strip("/"))
    answers = [["198.51.99.7"], ["127.0.0.1"]]
    connected: list[tuple[str, int]] = []

    def resolve(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in answers.pop(0)]

    def connect(address: tuple[str, int], *_: Any) -> socket.socket:
        connected.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(Undelivered):
        Sender(tls=receiver.tls).send(receiver.url, {}, b"{}")
    assert connected == [("198.51.99.7", port)]
    answers[:] = [["198.51.99.7", "127.0.0.1"]]
    with pytest.raises(Undelivered, match="not a host of the public internet"):
        Sender(tls=receiver.tls).send(receiver.url, {}, b"{}")
    assert len(connected) == 1, "one address that is not public spoils the others"


def test_an_untrusted_certificate_is_refused(receiver: Receiver) -> None:
    with pytest.raises(Undelivered, match="The certificate of localhost is not valid: self-signed certificate"):
        Sender(permitted=lambda _: True).send(receiver.url, {}, b"{}")
    with pytest.raises(Undelivered, match=r"The certificate of 127\.0\.0\.1 is not valid"):
        receiver.sender.send(receiver.url.replace("localhost", "127.0.0.1"), {}, b"{}")
    assert receiver.got == []


def test_a_receiver_that_trickles_is_left(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "DELIVERY_SECONDS", 0.5)

    def trickle(handler: BaseHTTPRequestHandler) -> None:
        with contextlib.suppress(OSError):
            for byte in b"HTTP/1.1 200 OK\r\n" * 20:
                handler.wfile.write(bytes([byte]))
                time.sleep(0.1)

    receiver.wait = trickle
    headers = webhooks.signed(SECRET, "msg_1", int(time.time()), b"{}")
    began = time.monotonic()
    with pytest.raises(Undelivered, match="localhost gave no answer"):
        receiver.sender.send(receiver.url, headers, b"{}")
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    "url",
    [
        *("http://example.com/", "https://", "example.com", "https://user:pw@example.com/", "https://a b.example/"),
        *("https://127.0.0.1/", "https://[::1]/", "https://169.254.169.254/", "https://example.com:99999/"),
        *(
            "https://exämple.com/",
            "https://example.com/\r\nX: y",
            "file:///etc/passwd",
            f"https://a.example/{'x' * 2000}",
        ),
    ],
)
def test_urls_that_are_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        NewJob.model_validate({"files": [FILE], "webhook": url})


def test_a_job_is_made_with_a_webhook(tmp_path: Path) -> None:
    site = Site.at(tmp_path)
    with serving(site.app()) as url:
        with client(url, site.token("ann", webhook="https://example.com/all")) as ann:
            of_token = ann.post("/jobs", json={"files": [FILE]}).json()
            own = ann.post("/jobs", json={"files": [FILE], "webhook": "https://example.com/this"}).json()
            assert "secret" not in json.dumps([of_token, own, ann.get("/jobs").json()])
        told = {"attempts": 0, "delivered_at": None, "error": None}
        assert of_token["webhook"] == {"url": "https://example.com/all", **told}
        assert own["webhook"] == {"url": "https://example.com/this", **told}
        with client(url, site.token("bob")) as bob:
            assert bob.post("/jobs", json={"files": [FILE]}).json()["webhook"] is None
            refused = bob.post("/jobs", json={"files": [FILE], "webhook": "https://10.0.0.1/"})
            assert_problem(refused, 422, "webhook must name a host of the public internet")


def test_aws_tells_every_state_to_eventbridge_and_the_end_to_the_queue(
    aws_environment: dict[str, str], receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the table's own stream to EventBridge, the queue and the receiver."""
    sqs = boto3.client("sqs")
    queue = sqs.create_queue(QueueName="webhooks")["QueueUrl"]
    found = aws_platform.announcements({**aws_environment, "WEBHOOKS_QUEUE_URL": queue})
    announcements = replace(found, sender=receiver.sender)
    entries: list[dict[str, Any]] = []
    failed = [1]

    def put_events(Entries: list[dict[str, Any]]) -> dict[str, int]:
        if not failed[0]:
            entries.extend(Entries)
        return {"FailedEntryCount": failed[0]}

    monkeypatch.setattr(announcements.events, "put_events", put_events)
    id = end_job(announcements.records, receiver.url, JobState.SUCCEEDED)
    announcements.records.add_use(id, {"dollars": 0.5})
    stream = streamed(aws_environment["TABLE"])
    with pytest.raises(NotTold):
        announcements.table_changed(stream)
    failed[0] = 0
    announcements.table_changed(stream)
    assert {(entry["Source"], entry["DetailType"]) for entry in entries} == {
        ("transcribe", "Transcription Job State Change")
    }
    assert [json.loads(entry["Detail"]) for entry in entries] == [
        {"job": id, "owner": "ann", "state": "running", "previous": None},
        {"job": id, "owner": "ann", "state": "succeeded", "previous": "running"},
    ]
    receiver.statuses = [500]
    names = {"AttributeNames": ["All"], "QueueUrl": queue}
    (message,) = sqs.receive_message(**names)["Messages"]
    event = {"Records": [queued(message)]}
    with pytest.raises(NotTold, match="did not take attempt 1"):
        announcements.webhook_due(event, time.time())
    assert "Messages" not in sqs.receive_message(**names), "it is hidden until it is due again"
    announcements.webhook_due(event, time.time())
    assert [told["type"] for told in receiver.got] == ["job.succeeded"] * 2
    assert len(set(receiver.ids)) == 1
    assert webhook_of(announcements.records, id).attempts == 2


def streamed(table: str) -> dict[str, Any]:
    """The event with all that the table's stream holds."""
    recorded = dynamodb_backends["123456789012"][REGION].get_table(table).stream_shard
    assert recorded is not None
    event: dict[str, Any] = json.loads(
        json.dumps({"Records": recorded.get(recorded.starting_sequence_number, 100)}, default=str)
    )
    return event


def queued(message: dict[str, Any]) -> dict[str, Any]:
    """A message as Lambda hands it on."""
    return {
        "body": message["Body"],
        "receiptHandle": message["ReceiptHandle"],
        "attributes": message["Attributes"],
    }
