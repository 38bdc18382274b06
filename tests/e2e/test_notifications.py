"""Messages through Prefect's own notification blocks to a real webhook: one that works, fails, hangs, and recovers."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

import pytest
import yaml

from staged_rollout.operations.operate import Act, operate
from staged_rollout.ports import Notification
from staged_rollout.state import Actor, State
from tests.fakes.figures import good
from tests.fakes.platform import ROLLOUT, reached

SECRET = "T0PS3CRET-hook"
PERSON = Actor("ana")


@dataclass
class Receiver:
    """A webhook: answers with `status`, after `hold` is set when it hangs."""

    url: str = ""
    status: int = 200
    tried: int = 0
    messages: list[dict[str, Any]] = field(default_factory=list)
    hold: threading.Event | None = None


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    told = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.tried += 1
            status, hold = told.status, told.hold
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if hold is not None:
                hold.wait(600)
                return
            if status == 200:
                told.messages.append(body)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        told.url = f"http://127.0.0.1:{server.server_port}/{SECRET}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield told
        if told.hold is not None:
            told.hold.set()
        server.shutdown()


@dataclass
class World:
    platform: Any
    publish: Any
    notifier: Any
    receiver: Receiver


@pytest.fixture
def world(prefect_server, tmp_path, churn, receiver, monkeypatch) -> World:
    """A rollout in CANARY whose channel is a custom webhook block; the notifier gives up after one second."""
    from prefect import flow
    from prefect.blocks.notifications import CustomWebhookNotificationBlock

    from tasks import platforms
    from tasks.notifier import PrefectNotifier
    from tasks.publish import publish

    channel = f"ml-{uuid4().hex[:8]}"
    block = CustomWebhookNotificationBlock(
        name="hook", url=receiver.url, json_data={"subject": "{{subject}}", "body": "{{body}}"}, timeout=600
    )
    block.save(channel)
    platform = reached(tmp_path / "home", churn | {"notify": channel}, State.CANARY, 1)
    file = tmp_path / "configs" / "environments" / "tests.yaml"
    file.parent.mkdir(parents=True)
    written = platform.environment.model_dump(mode="json", exclude_none=True)
    file.write_text(yaml.safe_dump(written | {"adapters": {"notifier": "prefect"}}))
    monkeypatch.setenv("STAGED_ROLLOUT_CONFIGS", str(tmp_path / "configs"))
    monkeypatch.setenv("STAGED_ROLLOUT_HOME", str(platform.home.root))
    monkeypatch.setattr(platforms, "PrefectNotifier", partial(PrefectNotifier, timeout_s=1.0, rest_s=0.0))

    @flow
    def tick() -> int:
        return publish(ROLLOUT, "tests")

    return World(platform, tick, PrefectNotifier(timeout_s=1.0), receiver)


def test_a_run_is_named_after_what_it_did_and_a_look_leaves_its_progress(world):
    """The name is set after the fact; a round that only stays does not take the name of one that moved."""
    from prefect import flow, task
    from prefect.client.orchestration import get_client
    from prefect.context import FlowRunContext

    from staged_rollout.operations.decide import decide_on
    from staged_rollout.operations.journal import load
    from tasks.run_name import name_run, story

    platform = world.platform
    platform.reach(ROLLOUT, State.LIVE)
    taken = platform.win(ROLLOUT, z=1.42, efficacy=2.68)
    state = load(platform, ROLLOUT)
    evidence = good(state, platform.clock.now(), look=taken)
    told = story(state, evidence, decide_on(state, evidence))

    @task
    def decide() -> str:
        name_run(told)
        name_run("only stays", if_named=ROLLOUT)
        run = FlowRunContext.get().flow_run  # type: ignore[union-attr]
        return str(run.id)

    @flow(flow_run_name=ROLLOUT)
    def advance() -> str:
        return decide()

    with get_client(sync_client=True) as client:
        assert told == client.read_flow_run(advance()).name
    assert f"{ROLLOUT} look 1: continue, z 1.42 < 2.68" == told
    platform.act(state, evidence)
    world.publish()
    (progress,) = [one for one in asyncio.run(_artifacts()) if one.key == f"information-{ROLLOUT}"]
    assert ("progress", 60.0) == (progress.type, float(progress.data))


def notified(world: World) -> int:
    return world.platform.ledger.cursor(f"notified:{ROLLOUT}")


def test_one_message_tells_all_that_happened_with_the_command_to_act_and_only_once(world):
    operate(world.platform, ROLLOUT, Act.PAUSE, PERSON, "incident 112")
    assert 0 < world.publish()
    assert 0 == world.publish()
    (told,) = world.receiver.messages
    assert f"{ROLLOUT}: held (operator): paused by ana: incident 112 (and 3 more)" == told["subject"]
    for part in ("entered SHADOW", "entered CANARY 1", "incident 112", f"staged-rollout resume {ROLLOUT} --as NAME"):
        assert part in told["body"]
    assert "data:image" not in told["body"]
    assert world.platform.ledger.head(ROLLOUT) == notified(world)


def test_a_channel_that_fails_holds_nothing_up_and_gets_everything_when_it_is_back(world):
    """The page is out, the run completes, the cursor waits; the next run tells both in one message."""
    world.receiver.status = 500
    assert 0 < world.publish()
    assert ([], 0) == (world.receiver.messages, notified(world))
    assert world.platform.ledger.head(ROLLOUT) == world.platform.ledger.cursor(f"published:{ROLLOUT}")
    operate(world.platform, ROLLOUT, Act.ROLLBACK, PERSON, "errors doubled")
    world.receiver.status = 200
    world.publish()
    (told,) = world.receiver.messages
    assert told["subject"].startswith(f"{ROLLOUT}: entered ROLLING_BACK")
    assert "entered CANARY 1" in told["body"]


def test_a_channel_that_hangs_is_left_and_tried_again_by_the_next_run(world):
    """The receiver never answers: the run ends all the same, and the message arrives later."""
    world.receiver.hold = threading.Event()
    assert 0 < world.publish()
    assert 0 == notified(world)
    world.receiver.hold.set()
    world.receiver.hold = None
    world.publish()
    assert 1 == len(world.receiver.messages)


def test_a_channel_that_hung_delays_one_rollout_and_not_the_next(world):
    from staged_rollout.errors import PlatformError

    world.receiver.hold = threading.Event()
    channel = world.platform.ledger.events(ROLLOUT)[0].payload["spec"]["notify"]
    told = Notification("a-v1:1", "a-v1", channel, "alarm", "subject", "body")
    with pytest.raises(PlatformError, match="did not answer within 1 s"):
        world.notifier.send(told)
    with pytest.raises(PlatformError, match="hung a moment ago"):
        world.notifier.send(told)
    assert 1 == world.receiver.tried


def test_a_name_without_a_block_says_so_and_a_default_block_gets_what_has_none(world):
    from prefect.blocks.notifications import CustomWebhookNotificationBlock

    from staged_rollout.errors import PlatformError

    page = Notification("page:1", "-", None, "alarm", "a run crashed", "why")
    with pytest.raises(PlatformError, match="neither a notification block 'staged-rollout' nor"):
        world.notifier.send(page)
    block = CustomWebhookNotificationBlock(name="x", url=world.receiver.url, json_data={"subject": "{{subject}}"})
    block.save("staged-rollout")
    try:
        world.notifier.send(page)
        world.notifier.send(Notification("a-v1:1", "a-v1", "nobody-made-it", "info", "hello", "why"))
    finally:
        CustomWebhookNotificationBlock.delete("staged-rollout")
    assert ["a run crashed", "hello"] == [told["subject"] for told in world.receiver.messages]


def test_no_secret_is_left_in_logs_artifacts_or_ledger(world, caplog):
    """The webhook's address is its secret: whatever the run writes, at any level of logging, does not hold it."""
    with caplog.at_level(logging.DEBUG):
        for name in ("httpx", "httpcore", "prefect", "apprise"):
            logging.getLogger(name).setLevel(logging.DEBUG)
        try:
            world.receiver.status = 500
            world.publish()
            world.receiver.status = 200
            world.publish()
        finally:
            for name in ("httpx", "httpcore", "prefect", "apprise"):
                logging.getLogger(name).setLevel(logging.NOTSET if name != "prefect" else logging.WARNING)
    assert 1 == len(world.receiver.messages)
    assert caplog.records
    assert not [record for record in caplog.records if SECRET in record.getMessage() + str(record.exc_text)]
    files = [path for path in world.platform.home.root.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]
    artifacts = asyncio.run(_artifacts())
    assert artifacts
    assert not [one for one in artifacts if SECRET in f"{one.data}{one.description}"]


async def _artifacts() -> Any:
    from prefect.client.orchestration import get_client

    async with get_client() as client:
        return await client.read_artifacts(limit=200)
