"""Who approves is proven by a signature over that decision; real keys, OpenSSH's own tools, and a real ledger."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from datetime import timedelta

import pytest
import yaml

from staged_rollout.adapters.ssh_keys import KeyAgent, KeyFile, new_key
from staged_rollout.cli.main import run
from staged_rollout.errors import NotApproverError, NotFoundError, RefusedError
from staged_rollout.operations.approve import approval_message, signed_by
from staged_rollout.operations.journal import load, write
from staged_rollout.operations.operate import Act, operate
from staged_rollout.operations.ssh_signature import armoured, packed, signer_of, to_be_signed
from staged_rollout.spec.environment import EnvironmentSpec
from staged_rollout.spec.public_key import fingerprint, public_key
from staged_rollout.state import Actor, EventType, NewEvent, State
from tests.fakes.platform import ROLLOUT, reached

ASK = {"win": {"action": "ask", "who": "growth-ml", "within": "3d"}}
ANA, BEN = Actor("ana"), Actor("ben")
OPENSSH = pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="OpenSSH is not installed")


def silent(_: str) -> None:
    return None


@pytest.fixture
def keys(tmp_path):
    """Two people's keys, by name."""
    return {name: new_key(tmp_path / "keys" / name, "", name) for name in ("ana", "ben")}


@pytest.fixture
def asked(tmp_path, churn, keys):
    """A rollout that waits for growth-ml, where ana and ben have keys."""
    platform = reached(tmp_path / "world", churn, State.AWAITING_APPROVAL, decide=ASK)
    with_keys = {**platform.environment.model_dump(mode="json"), "approvers": {"growth-ml": keys}}
    return replace(platform, environment=EnvironmentSpec.model_validate(with_keys))


def key_file(tmp_path, name):
    return KeyFile(tmp_path / "keys" / name, silent)


def decision_of(platform):
    events = platform.ledger.events(ROLLOUT)
    return next(event for event in reversed(events) if event.payload.get("to") == "AWAITING_APPROVAL")


def message(platform, **changes):
    """What ana signs when she approves because it is good."""
    facts = {"rollout": ROLLOUT, "act": "approve", "decision": decision_of(platform), "name": "ana", "reason": "good"}
    return approval_message(**(facts | changes))


@pytest.mark.parametrize(("act", "to"), [(Act.APPROVE, State.PROMOTING), (Act.REJECT, State.ROLLING_BACK)])
def test_a_signed_answer_counts_and_can_be_verified_from_the_ledger_alone(tmp_path, asked, keys, act, to):
    state = operate(asked, ROLLOUT, act, ANA, " good ", sign=key_file(tmp_path, "ana"))

    answer = asked.ledger.events(ROLLOUT)[-1]
    assert (state.approval.actor, state.approval.verified) == ("ana", True)
    assert answer.actor == Actor("ana", verified=True)
    assert answer.payload["key"] == fingerprint(keys["ana"])
    assert answer.payload["decision_hash"] == decision_of(asked).hash
    assert keys["ana"] == signed_by(answer, decision_of(asked))
    assert asked.tick(ROLLOUT).to is to


@pytest.mark.parametrize("act", [Act.APPROVE, Act.REJECT])
@pytest.mark.parametrize("name", ["ana", "growth-ml", "eve"])
def test_where_there_are_keys_an_unsigned_answer_is_refused_and_noted_once(asked, act, name):
    """A form cannot sign; typing a name that is known, or marking it as verified, proves nothing."""
    before = load(asked, ROLLOUT)
    for _ in range(2):
        with pytest.raises(NotApproverError):
            operate(asked, ROLLOUT, act, Actor(name, verified=True), "because")
    noted = asked.ledger.events(ROLLOUT, after=before.seq)
    assert [(EventType.NOTED, name, False, str(act))] == [
        (event.type, event.actor.name, event.actor.verified, event.payload["refused"]) for event in noted
    ]
    assert load(asked, ROLLOUT).approval is None
    assert asked.tick(ROLLOUT).to is None


FORGERIES = {
    "another's key": lambda world, sign: sign("ben", message(world)),
    "another name": lambda world, sign: sign("ana", message(world, name="ben")),
    "another reason": lambda world, sign: sign("ana", message(world, reason="bad")),
    "the other act": lambda world, sign: sign("ana", message(world, act="reject")),
    "another rollout": lambda world, sign: sign("ana", message(world, rollout="churn-v4")),
    "another decision": lambda world, sign: sign("ana", message(world, decision=world.ledger.events(ROLLOUT)[0])),
    "a decision of another ledger": lambda world, sign: sign(
        "ana", message(world, decision=replace(decision_of(world), hash="0" * 64))
    ),
    "half of it": lambda world, sign: sign("ana", message(world))[:100],
    "no signature": lambda _world, _sign: "%%%",
    "nothing": lambda _world, _sign: "",
    "far too much": lambda _world, _sign: "A" * 100_000,
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_what_is_forged_or_replayed_is_refused_and_noted(tmp_path, asked, forgery):
    def sign(name, text):
        return key_file(tmp_path, name)(text, ())

    forged = FORGERIES[forgery](asked, sign)
    with pytest.raises(NotApproverError):
        operate(asked, ROLLOUT, Act.APPROVE, ANA, "good", sign=lambda _message, _keys: forged)
    assert load(asked, ROLLOUT).approval is None
    assert "approve" == asked.ledger.events(ROLLOUT)[-1].payload["refused"]


def test_a_signature_for_another_purpose_is_refused(tmp_path, asked):
    """Whoever makes ana sign a git commit has not made her approve."""
    good = key_file(tmp_path, "ana")(message(asked), ())
    with pytest.raises(ValueError, match="another purpose"):
        signer_of(_with(good, b"staged-rollout", b"staged-rolloux"), message(asked))


def _with(signature, old, new):
    import base64

    return base64.b64encode(base64.b64decode(signature).replace(old, new)).decode()


def test_an_approval_that_was_written_past_the_program_does_not_promote(asked):
    """Whoever can write to the ledger's tables still lacks the key."""
    state = load(asked, ROLLOUT)
    payload = {"decision_seq": decision_of(asked).seq, "reason": "trust me"}
    write(asked, state, [NewEvent(EventType.APPROVED, payload)], Actor("ana", verified=True))
    with pytest.raises(NotApproverError, match="does not count"):
        asked.tick(ROLLOUT)
    assert load(asked, ROLLOUT).state is State.AWAITING_APPROVAL


def test_an_approval_lapses_with_its_key_and_a_new_one_replaces_it(tmp_path, asked, keys):
    operate(asked, ROLLOUT, Act.APPROVE, ANA, "good", sign=key_file(tmp_path, "ana"))
    only_ben = {**asked.environment.model_dump(mode="json"), "approvers": {"growth-ml": {"ben": keys["ben"]}}}
    later = replace(asked, environment=EnvironmentSpec.model_validate(only_ben))
    with pytest.raises(NotApproverError, match="is no key of ana's"):
        later.tick(ROLLOUT)


def test_unproven_words_are_replaced_once_there_are_keys(tmp_path, asked):
    state = load(asked, ROLLOUT)
    write(asked, state, [NewEvent(EventType.APPROVED, {"decision_seq": decision_of(asked).seq, "reason": "x"})], BEN)
    operate(asked, ROLLOUT, Act.APPROVE, ANA, "good", sign=key_file(tmp_path, "ana"))
    assert asked.tick(ROLLOUT).to is State.PROMOTING


def test_the_same_answer_again_changes_nothing(tmp_path, asked):
    first = operate(asked, ROLLOUT, Act.APPROVE, ANA, "good", sign=key_file(tmp_path, "ana"))
    assert first == operate(asked, ROLLOUT, Act.APPROVE, BEN, "good too", sign=key_file(tmp_path, "ben"))


def test_what_was_altered_in_the_ledger_no_longer_verifies(tmp_path, asked):
    operate(asked, ROLLOUT, Act.APPROVE, ANA, "good", sign=key_file(tmp_path, "ana"))
    answer, decision = asked.ledger.events(ROLLOUT)[-1], decision_of(asked)
    altered = [
        replace(answer, payload={**answer.payload, "reason": "very good"}),
        replace(answer, actor=Actor("ben", verified=True)),
        replace(answer, type=EventType.REJECTED),
        replace(answer, payload={**answer.payload, "key": "SHA256:other"}),
        replace(answer, payload={key: answer.payload[key] for key in ("decision_seq", "reason")}),
    ]
    for one in altered:
        with pytest.raises(ValueError):  # noqa: PT011 - each says it in its own words
            signed_by(one, decision)


def test_silence_keeps_the_champion(asked):
    asked.clock.advance(timedelta(days=3, seconds=1))
    assert asked.tick(ROLLOUT).reasons[0].startswith("no approval within 3d")


@OPENSSH
def test_a_key_of_ssh_keygen_signs_here_and_a_signature_of_ssh_keygen_is_read(tmp_path):
    """Both directions, so that people can use the keys and tools that they have."""
    path = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ana@here", "-f", path], check=True)
    public = public_key((tmp_path / "id.pub").read_text())
    ours = KeyFile(path, silent)(b"a message", ())
    (tmp_path / "ours").write_text(armoured(ours))
    (tmp_path / "allowed").write_text(f"ana {public}\n")
    command = ["ssh-keygen", "-Y", "verify", "-f", "allowed", "-I", "ana", "-n", "staged-rollout", "-s", "ours"]
    subprocess.run(command, input=b"a message", check=True, cwd=tmp_path, capture_output=True)
    signing = ["ssh-keygen", "-Y", "sign", "-f", path, "-n", "staged-rollout"]
    theirs = subprocess.run(signing, input=b"a message", check=True, capture_output=True).stdout.decode()
    assert public == signer_of(theirs, b"a message") == signer_of(ours, b"a message")
    listed = subprocess.run(["ssh-keygen", "-l", "-f", path], check=True, capture_output=True).stdout.decode()
    assert fingerprint(public) in listed


@pytest.mark.skipif(not shutil.which("ssh-agent"), reason="OpenSSH is not installed")
def test_an_agent_signs_with_the_key_that_counts_and_says_so_when_it_has_none(tmp_path, keys):
    socket = str(tmp_path / "agent")
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)
    try:
        for name in ("ben", "ana"):
            added = ["ssh-add", "-q", tmp_path / "keys" / name]
            for _ in range(100):
                if os.path.exists(socket):  # noqa: PTH110 - a socket
                    break
                agent_poll(agent)
            subprocess.run(added, check=True, env={**os.environ, "SSH_AUTH_SOCK": socket}, capture_output=True)
        assert keys["ana"] == signer_of(KeyAgent(socket)(b"x", (keys["ana"],)), b"x")
        other = new_key(tmp_path / "keys" / "eve", "", "eve")
        with pytest.raises(RefusedError, match="holds none of the keys"):
            KeyAgent(socket)(b"x", (other,))
    finally:
        agent.terminate()
        agent.wait(30)


def agent_poll(agent):
    import time

    assert agent.poll() is None
    time.sleep(0.1)


def test_a_key_that_others_can_read_is_refused(tmp_path, keys):
    path = tmp_path / "keys" / "ana"
    assert 0o600 == path.stat().st_mode & 0o777
    path.chmod(0o640)
    with pytest.raises(RefusedError, match="mode 0640"):
        KeyFile(path, silent)(b"x", ())


def test_a_passphrase_is_asked_for_and_has_to_be_right(tmp_path):
    public = new_key(tmp_path / "id", "open sesame", "ana")
    assert public == signer_of(KeyFile(tmp_path / "id", lambda _: "open sesame")(b"x", ()), b"x")
    with pytest.raises(RefusedError, match="the passphrase is wrong"):
        KeyFile(tmp_path / "id", lambda _: "guess")(b"x", ())
    with pytest.raises(RefusedError, match="nobody can be asked"):
        KeyFile(tmp_path / "id", silent)(b"x", ())


def test_what_is_no_key_says_so(tmp_path, keys):
    with pytest.raises(NotFoundError, match="no key file"):
        KeyFile(tmp_path / "none", silent)(b"x", ())
    (tmp_path / "text").write_text("hello")
    (tmp_path / "text").chmod(0o600)
    with pytest.raises(RefusedError, match="holds no private key"):
        KeyFile(tmp_path / "text", silent)(b"x", ())
    with pytest.raises(RefusedError, match="is there already"):
        new_key(tmp_path / "keys" / "ana", "", "ana")
    assert keys["ana"] == KeyFile(tmp_path / "keys" / "ana", silent).public()


def test_the_command_line_signs_refuses_and_makes_keys(tmp_path, asked, monkeypatch, capsys):
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    asked.ledger.close()
    file = tmp_path / "configs" / "environments" / "tests.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(yaml.safe_dump(asked.environment.model_dump(mode="json", exclude_none=True)))
    monkeypatch.setenv("STAGED_ROLLOUT_CONFIGS", str(tmp_path / "configs"))
    monkeypatch.setenv("STAGED_ROLLOUT_HOME", str(asked.home.root))
    monkeypatch.setenv("STAGED_ROLLOUT_ENVIRONMENT", "tests")

    def given(*arguments):
        with pytest.raises(SystemExit) as ended:
            run(list(arguments))
        return ended.value.code, capsys.readouterr()

    approve = ("approve", ROLLOUT, "--as", "ana", "--reason", "good")
    code, said = given(*approve)
    assert code == 4
    assert "must be signed with one of ana's keys" in said.err
    assert "--key FILE" in said.err
    code, said = given(*approve, "--key", str(tmp_path / "keys" / "ben"))
    assert code == 4
    assert "is not ana's key" in said.err
    code, said = given(*approve, "--key", str(tmp_path / "keys" / "ana"))
    assert (code, said.err) == (0, "")
    code, said = given("key", "show", "--file", str(tmp_path / "keys" / "ana"))
    assert code == 0
    assert f"ana: {KeyFile(tmp_path / 'keys' / 'ana', silent).public()}" in said.out
    code, said = given("key", "new", "--as", "eve", "--no-passphrase", "--file", str(tmp_path / "keys" / "eve"))
    assert code == 0
    assert "eve: ssh-ed25519 " in said.out
    history = given("history", ROLLOUT)[1].out
    assert "approved decision" in history
    assert history.count("refused to approve for ana") == 2


def test_a_signature_is_of_the_message_alone(keys):
    assert to_be_signed(b"one") != to_be_signed(b"two")
    with pytest.raises(ValueError, match="does not fit"):
        signer_of(packed(keys["ana"], b"0" * 64), b"one")
