"""Headless Chromium by its command line, behind a proxy that answers nothing and writes down who asked for what."""

from __future__ import annotations

import re
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from demo.chromium import opened


class Chromium:
    """Opens pages; all its requests but those to files go to a proxy of ours.

    Attributes:
        asked: Addresses that were asked for since the start.
    """

    def __init__(self, asked: list[str], port: int, folder: Path) -> None:
        self.asked = asked
        self._port = port
        self._folder = folder

    def dom(self, page: Path, *options: str) -> str:
        """The document after its scripts have run."""
        return self._run(page, "--dump-dom", *options)

    def screenshot(self, page: Path, width: int, height: int, *options: str) -> bytes:
        """A PNG of the page's top."""
        file = self._folder / "page.png"
        file.unlink(missing_ok=True)
        self._run(page, f"--screenshot={file}", f"--window-size={width},{height}", *options)
        return file.read_bytes()

    def pdf(self, page: Path) -> bytes:
        """The page on paper."""
        file = self._folder / "page.pdf"
        file.unlink(missing_ok=True)
        self._run(page, f"--print-to-pdf={file}", "--no-pdf-header-footer")
        return file.read_bytes()

    def _run(self, page: Path, *options: str) -> str:
        proxy = (f"--proxy-server=http://127.0.0.1:{self._port}", "--proxy-bypass-list=<-loopback>")
        return opened(page.absolute().as_uri(), self._folder, *proxy, *options)


@contextmanager
def chromium(folder: Path) -> Iterator[Chromium]:
    """A browser whose requests are written down.

    Args:
        folder: For its files.
    """
    asked: list[str] = []

    class Refusing(BaseHTTPRequestHandler):
        def _refuse(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        do_GET = do_POST = do_HEAD = do_CONNECT = do_PUT = do_OPTIONS = _refuse  # noqa: N815 - named by http.server

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by http.server
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield Chromium(asked, proxy.server_port, folder)
        finally:
            proxy.shutdown()
            thread.join()


def glyph_runs_by_page(pdf: bytes) -> list[int]:
    """For each page of a PDF that Chromium wrote: how many runs of text it draws."""
    objects = {int(number): body for number, body in re.findall(rb"(?s)(\d+) 0 obj\b(.*?)\bendobj", pdf)}
    found = []
    for body in objects.values():
        if not re.search(rb"/Type\s*/Page\b", body):
            continue
        contents = re.search(rb"/Contents\s+(\d+) 0 R", body)
        assert contents is not None
        stream = re.search(rb"(?s)stream\r?\n(.*)\r?\nendstream", objects[int(contents[1])])
        assert stream is not None
        found.append(len(re.findall(rb"T[jJ]\b", zlib.decompress(stream[1]))))
    return found
