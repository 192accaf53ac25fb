"""The client through a real forwarding proxy, and to servers whose certificates no usual authority has signed."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

import client
from chalicelib.ports import Upload
from client import Client, routes
from local.objects import DiskObjects
from tests.finishing import Bench
from tests.forwarding import forwarding
from tests.serving import eventually
from tests.test_cli import process, timeless, transcribe
from tests.test_client import PROXIES, errors, fill, texts

HOST = "service.example"
STORE = "store.example"


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An empty folder, and no proxies or certificates but those that a test sets."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for name in (*PROXIES, "ssl_cert_file", "ssl_cert_dir", "transcribe_ca_file"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `authority.pem`; `own.pem`, which it has signed; and `server.pem`, that one with its key."""
    folder, authority = tmp_path_factory.mktemp("certificates"), trustme.CA()
    issued = authority.issue_cert("127.0.0.1", HOST, STORE)
    authority.cert_pem.write_to_path(folder / "authority.pem")
    issued.cert_chain_pems[0].write_to_path(folder / "own.pem")
    issued.private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    return folder


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Bench]:
    started = Bench.at(tmp_path / "site")
    started.start()
    yield started
    started.stop()


@pytest.fixture
def secure(tmp_path: Path, certificates: Path) -> Iterator[Bench]:
    started = Bench.at(tmp_path / "secure")
    started.certificate = certificates / "server.pem"
    started.start()
    yield started
    started.stop()


def sends(server: Bench, url: str, ca_file: Path | None = None) -> None:
    """A file there and its transcript back."""
    fill("a.mp4")
    with Client(url, server.token, ca_file=ca_file) as api:
        assert errors(list(api.transcribe(["a.mp4"], formats=["txt"]))) == {"a.mp4": None}
    assert texts() == {"a.txt": "txt of a.mp4\n"}


class TestCertificates:
    @pytest.mark.parametrize("name", ["authority.pem", "own.pem"])
    def test_one_that_is_named(self, secure: Bench, certificates: Path, name: str) -> None:
        sends(secure, secure.url, ca_file=certificates / name)

    def test_in_the_environment(self, secure: Bench, certificates: Path, environment: pytest.MonkeyPatch) -> None:
        environment.setenv("SSL_CERT_FILE", str(certificates / "authority.pem"))
        sends(secure, secure.url)

    def test_on_the_command_line(self, secure: Bench, certificates: Path) -> None:
        fill("a.mp4")
        for arguments in (["a.mp4", "-f", "txt"], ["list", "--json"]):
            assert transcribe(secure, *arguments, "--ca-file", str(certificates / "authority.pem")).exit_code == 0
        assert texts() == {"a.txt": "txt of a.mp4\n"}

    def test_one_that_nobody_has_named(self, secure: Bench) -> None:
        result = transcribe(secure, "list")
        assert result.stderr == (
            f"Error: The certificate of {secure.url} is not trusted: unable to get local issuer certificate. "
            "If it is your own, name it, or that of its authority, by --ca-file or TRANSCRIBE_CA_FILE.\n"
        )
        assert (result.exit_code, secure.requests) == (3, [])

    def test_that_of_another_host(self, secure: Bench, certificates: Path) -> None:
        url = secure.url.replace("127.0.0.1", "localhost")
        with (
            Client(url, secure.token, ca_file=certificates / "own.pem") as api,
            pytest.raises(client.Unreachable, match="certificate is not valid for 'localhost'"),
        ):
            api.models()
        assert secure.requests == []

    def test_the_usual_ones_are_trusted_still(self, certificates: Path) -> None:
        """Signed URLs may lead to hosts of others."""
        for file in (None, certificates / "authority.pem"):
            trusted = routes._trust(file).cert_store_stats()["x509_ca"]
            assert trusted > 50

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "There is no certificate (PEM) in own.pem."),
            (b"-----BEGIN CERTIFICATE-----\nx\n", "There is no certificate (PEM) in own.pem."),
            (None, "own.pem can't be read: No such file or directory."),
        ],
    )
    def test_a_file_that_is_none(self, content: bytes | None, message: str) -> None:
        if content is not None:
            fill("own.pem", content=content)
        with pytest.raises(client.TranscribeError) as caught:
            Client("https://127.0.0.1:1", "token", ca_file="own.pem")
        assert str(caught.value) == message


class TestProxies:
    def test_http(self, server: Bench, tmp_path: Path, environment: pytest.MonkeyPatch) -> None:
        with forwarding(tmp_path) as proxy:
            environment.setenv("HTTP_PROXY", f"http://{proxy.address}")
            sends(server, server.url.replace("127.0.0.1", HOST))
            assert eventually(lambda: proxy.served(HOST))

    def test_https_with_a_password(
        self, secure: Bench, certificates: Path, tmp_path: Path, environment: pytest.MonkeyPatch
    ) -> None:
        """Uploads go to another host than calls, as on AWS: both by tunnels, and both trusted."""
        presign = DiskObjects.presign_put

        def elsewhere(self: DiskObjects, key: str, size: int, seconds: int) -> Upload:
            request = presign(self, key, size, seconds)
            return replace(request, url=request.url.replace(HOST, STORE))

        environment.setattr(DiskObjects, "presign_put", elsewhere)
        with forwarding(tmp_path, "--basic-auth", "me:secret") as proxy:
            environment.setenv("HTTPS_PROXY", f"http://me:secret@{proxy.address}")
            sends(secure, secure.url.replace("127.0.0.1", HOST), ca_file=certificates / "authority.pem")
            assert eventually(lambda: proxy.served("CONNECT", HOST) and proxy.served("CONNECT", STORE))

    def test_https_with_a_wrong_password(
        self, secure: Bench, certificates: Path, tmp_path: Path, environment: pytest.MonkeyPatch
    ) -> None:
        with forwarding(tmp_path, "--basic-auth", "me:secret") as proxy:
            environment.setenv("HTTPS_PROXY", f"http://me:wrong@{proxy.address}")
            url = secure.url.replace("127.0.0.1", HOST)
            with (
                Client(url, secure.token, ca_file=certificates / "authority.pem") as api,
                pytest.raises(client.Unreachable) as caught,
            ):
                api.models()
            assert str(caught.value) == (
                f"The connection to {url} failed: 407 Proxy Authentication Required. The way there is the proxy "
                f"http://{proxy.address}, set in the environment (https_proxy or all_proxy; no_proxy exempts servers)."
            )
        assert secure.requests == []

    def test_the_command_line(self, server: Bench, tmp_path: Path, environment: pytest.MonkeyPatch) -> None:
        """And what NO_PROXY names goes its own way."""
        fill("a.mp4")
        with forwarding(tmp_path) as proxy:
            environment.setenv("ALL_PROXY", proxy.address)
            address = server.url.replace("127.0.0.1", HOST)
            with process(server, "a.mp4", "-f", "txt", "--server", address) as running:
                stdout, stderr = running.communicate()
            assert timeless(stdout) == "Transcribed 1 file in 0 s:\n  a.txt\n\ntxt of a.mp4\n", stderr
            environment.setenv("NO_PROXY", HOST)
            with process(server, "list", "--server", address) as running:
                _, stderr = running.communicate()
            assert stderr == f"Error: The name {HOST} is not known (DNS). Check the address and the network.\n"
