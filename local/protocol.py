"""HTTP/1.1 as uvicorn and h11 speak it, with a bound for how long anybody may take to say what is wanted."""

import contextlib
import sys
from asyncio import Transport
from http import HTTPStatus

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from chalicelib.errors import Problem
from local import problems


class Protocol(H11Protocol):
    """Uvicorn's, but it closes connections on which the head of a request does not come whole in time.

    That is `timeout_keep_alive` from when the connection was made or the request before was answered.
    """

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def data_received(self, data: bytes) -> None:
        self.conn.receive_data(data)
        self.handle_events()  # a head that is whole stops the clock; uvicorn's own method does at the first byte

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._unset_keepalive_if_required()  # uvicorn leaves it, and with it all of this, where the client broke off

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 (uvicorn says less than h11)
        """Answers what h11 has just refused."""
        refusal = sys.exception()
        assert isinstance(refusal, h11.RemoteProtocolError)
        status = HTTPStatus(refusal.error_status_hint)
        problem = Problem(status, f"The server does not understand this as HTTP: {refusal}.")
        answer = problems.answer(problem, "", {"Connection": "close"})
        with contextlib.suppress(h11.LocalProtocolError):  # it is being answered already
            for event in (
                h11.Response(status_code=status, headers=answer.raw_headers, reason=status.phrase),
                h11.Data(data=bytes(answer.body)),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
