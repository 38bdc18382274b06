"""moto's server over HTTP with its gaps closed; a program of its own.

`python tests/moto_server.py --port 5077` runs it until its standard input ends; its address is the first line that it
prints. Point `AWS_ENDPOINT_URL` at it, with any credentials. tests/moto_front.py says how to drive it.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
import sys
import threading
from pathlib import Path

_HERE = Path(__file__).parent


def _these_tests() -> None:
    """Make `tests` this folder: other packages install one of the same name."""
    spec = importlib.util.spec_from_loader("tests", loader=None, is_package=True)
    assert spec is not None
    tests = importlib.util.module_from_spec(spec)
    tests.__path__ = [str(_HERE)]
    sys.modules["tests"] = tests
    sys.path[:] = [str(_HERE.parent), *(place for place in sys.path if Path(place or ".").resolve() != _HERE)]


def main() -> None:
    """Serve until standard input ends."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--port", type=int, default=0, help="0: a free one")
    port = options.parse_args().port
    _these_tests()
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    from tests.moto_front import Front
    from tests.moto_gaps import close_gaps

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    close_gaps()
    front = Front(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", port, front, threaded=True, request_handler=MotoRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}", flush=True)  # noqa: T201 - its answer to whoever started it
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
