"""What a SuperLink is started with; that it then holds is for `tests/deploy` to show on a live one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sealscore.server.deploy.certificates import make_authority, make_server_certificate
from sealscore.server.deploy.control import Control
from sealscore.server.deploy.control_answers import ControlError
from sealscore.server.deploy.superlink import SuperLink, SuperLinkError, SuperLinkSettings, prepare, read_token


@pytest.fixture
def settings(tmp_path: Path) -> SuperLinkSettings:
    make_authority(tmp_path / "certificates")
    make_server_certificate(tmp_path / "certificates", [])
    return SuperLinkSettings(tmp_path / "link", tmp_path / "certificates", control_port=1, partner_port=2)


def test_secrets_are_made_once_and_are_the_owners_alone(settings: SuperLinkSettings):
    prepare(settings)
    token = read_token(settings.token)
    assert len(token) >= 43
    assert settings.token.stat().st_mode & 0o777 == 0o600
    assert settings.folder.stat().st_mode & 0o777 == 0o700
    prepare(settings)
    assert read_token(settings.token) == token
    assert (settings.folder / "executor.secret").read_text() != token


def test_a_token_that_others_may_read_is_not_used(settings: SuperLinkSettings):
    with pytest.raises(SuperLinkError, match="there is no token"):
        read_token(settings.token)
    prepare(settings)
    settings.token.chmod(0o644)
    with pytest.raises(SuperLinkError, match="chmod 600"):
        read_token(settings.token)


def test_no_secret_is_in_a_command_line_and_flowers_settings_are_not_inherited(
    settings: SuperLinkSettings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FLWR_INTERNAL_GRPC_CONTROL_API", "1")
    monkeypatch.setenv("FLWR_TELEMETRY_ENABLED", "1")
    prepare(settings)
    link = SuperLink(settings)
    secrets = {read_token(settings.token), (settings.folder / "executor.secret").read_text()}
    for process in (link.link, link.executor):
        assert not secrets & set(process.command)
        assert "FLWR_INTERNAL_GRPC_CONTROL_API" not in process.environment
        assert process.environment["FLWR_TELEMETRY_ENABLED"] == "0"
        assert process.environment["FLWR_DISABLE_UPDATE_CHECK"] == "1"
        assert process.environment["FLWR_HOME"] == str(settings.folder / "flower")


def test_an_expired_certificate_is_told_before_anything_starts(settings: SuperLinkSettings):
    make_server_certificate(settings.certificates, [], days=1, now=datetime.now(UTC) - timedelta(days=3))
    link = SuperLink(settings)
    with pytest.raises(SuperLinkError, match=r"server\.pem: expired on .*make a new certificate"):
        link.start()
    assert link.link.pid is None


def test_a_missing_certificate_is_told(tmp_path: Path):
    link = SuperLink(SuperLinkSettings(tmp_path / "link", tmp_path))
    with pytest.raises(SuperLinkError, match=r"ca\.pem: cannot be read"):
        link.start()


class TestControl:
    def test_nobody_there(self, settings: SuperLinkSettings):
        prepare(settings)
        with Control(settings) as control, pytest.raises(ControlError, match="listing runs: the SuperLink cannot be"):
            control.runs()

    @pytest.mark.parametrize("line", ["", "x", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE5u", "ñ"])
    def test_a_key_that_is_none(self, settings: SuperLinkSettings, line: str):
        prepare(settings)
        with Control(settings) as control, pytest.raises(ControlError, match="the key of 'north' is no"):
            control.enrol(line, "north")
