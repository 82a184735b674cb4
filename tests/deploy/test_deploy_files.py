"""deploy/: the files parse, and have the properties that the pages promise of them."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import tomllib
import zipfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from paths import ROOT
from wheels import build_wheel, copy_tree

from sealscore.clients import cli as node_cli
from sealscore.clients.setup.node_dir import PASSPHRASE
from sealscore.server import cli as server_cli
from sealscore.server.setup.server_dir import ServerConfig
from sealscore.shared.bundle import COURIER_FILES, courier_app

DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
APPS = {"sealscore-node": node_cli.app, "sealscore-server": server_cli.app}
UNITS = ("sealscore-node.service", "sealscore-server.service")
SCORER, PLATFORM_API = "sealscore-scorer.service", "sealscore-platform-api.service"
SERVED = {"scorer": SCORER, "platform-api": PLATFORM_API}
"""Services that are asked over HTTP: their names in the compose file, and their units."""
BINARIES = "/opt/sealscore/venv/bin/"


def exists(words: list[str]) -> bool:
    """Whether a program of ours has that command, with the options that are given."""
    program, name, *options = words
    commands = typer.main.get_command(APPS[program]).commands  # type: ignore[attr-defined]
    known = {option for parameter in commands[name].params for option in parameter.opts}
    return all(option in known for option in options if option.startswith("--"))


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile, continued lines joined."""
    text = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE))
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in text.splitlines() if line.strip()]


def copied_of_the_tree() -> list[str]:
    """What the builder takes of the tree; not what one stage takes of another."""
    lines = [value for key, value in instructions() if key == "COPY" and not value.startswith("--from")]
    return [name for line in lines for name in line.split()[:-1]]


def unit(name: str) -> dict[str, dict[str, list[str]]]:
    """Sections, keys and values of a unit, a key as often as it is given."""
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    section = ""
    for line in (DEPLOY / name).read_text(encoding="utf-8").splitlines():
        if re.fullmatch(r"\[\w+\]", line):
            section = line[1:-1]
        elif line and not line.startswith("#"):
            key, separator, value = line.partition("=")
            assert separator, line
            assert section, line
            found[section][key].append(value)
    return found


class TestCompose:
    @pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
    def test_every_service_is_nobody_and_can_write_its_volume_only(self, service: dict[str, Any]):
        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"])
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["restart"] == "always"
        assert not {"privileged", "network_mode", "pid", "cap_add", "devices"} & set(service)
        assert {mount["type"] for mount in service["volumes"] if not mount.get("read_only")} == {"volume"}

    def test_the_tables_are_mounted_read_only(self):
        (tables,) = [mount for mount in SERVICES["node"]["volumes"] if mount["type"] == "bind"]
        assert tables["read_only"] is True
        assert tables["target"] == "/data"

    def test_each_has_a_volume_of_its_own_where_the_image_has_its_folders(self):
        environment = dict(re.findall(r"(SEALSCORE_\w+)=(\S+)", DOCKERFILE))
        for name, variable in (("node", "SEALSCORE_HOME"), ("server", "SEALSCORE_SERVER_HOME")):
            (volume,) = [mount for mount in SERVICES[name]["volumes"] if mount["source"] == name]
            assert name in COMPOSE["volumes"]
            assert Path(environment[variable]).is_relative_to(volume["target"])

    def test_no_port_but_the_partner_port_is_published(self):
        config = ServerConfig(hosts=())
        assert SERVICES["server"]["ports"] == [f"{config.partner_port}:{config.partner_port}"]
        assert not {"ports", "expose"} & {key for name in SERVICES if name != "server" for key in SERVICES[name]}
        assert str(config.control_port) not in (DEPLOY / "compose.yaml").read_text(encoding="utf-8")

    def test_health_is_asked_of_our_own_commands(self):
        tests = {name: service["healthcheck"]["test"] for name, service in SERVICES.items() if name not in SERVED}
        assert tests == {"node": ["CMD", "sealscore-node", "status"], "server": ["CMD", "sealscore-server", "nodes"]}

    @pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
    def test_commands_are_there(self, service: dict[str, Any]):
        assert exists(service["command"])
        if service["healthcheck"]["test"][1] in APPS:
            assert exists(service["healthcheck"]["test"][1:])

    def test_the_scorer_is_not_given_what_the_node_reads_its_database_with(self):
        given = {name: {file["path"] for file in service["env_file"]} for name, service in SERVICES.items()}
        assert given["node"]
        assert given["scorer"]
        assert not given["scorer"] & given["node"]
        assert set(SERVICES["scorer"]["environment"]) == {"SEALSCORE_HOME"}
        # Where there is no passphrase there is no file.
        assert not [file for service in SERVICES.values() for file in service["env_file"] if file["required"]]

    def test_the_scorer_sees_nothing_of_the_node_and_the_node_shares_its_group(self):
        scorer, node = SERVICES["scorer"], SERVICES["node"]
        places = {mount["target"] for mount in scorer["volumes"]}
        assert not places & {mount["target"] for mount in node["volumes"] if mount["source"] != "scorer"}
        user, callers = scorer["user"].split(":")
        assert user != node["user"].split(":")[0]
        # The socket is of the process's group. That of the folder with the keys is another one: no caller is in it.
        (group,) = scorer["group_add"]
        assert node["group_add"] == [group] != [callers]
        assert scorer["environment"]["SEALSCORE_HOME"] in places
        (place,) = [word.removeprefix("unix:") for word in scorer["command"] if word.startswith("unix:")]
        made = " ".join(value for key, value in instructions() if key == "RUN")
        assert f"--uid {user} --gid {group} " in made
        (named,) = re.findall(rf"groupadd --gid {callers} (\S+)", made)
        assert f"--group {named} --mode 0750 {Path(place).parent}" in made
        assert "--mode 2770 /var/lib/sealscore-scorer" in made

    @pytest.mark.parametrize("name", SERVED)
    def test_what_is_asked_over_http_has_a_volume_for_its_socket_and_says_whether_it_is_ready(self, name: str):
        service = SERVICES[name]
        (place,) = [word.removeprefix("unix:") for word in service["command"] if word.startswith("unix:")]
        (volume,) = [mount for mount in service["volumes"] if mount["target"] == str(Path(place).parent)]
        assert volume["source"] in COMPOSE["volumes"]
        # Nobody else here has it: who asks mounts it.
        assert [one for one in SERVICES if volume in SERVICES[one]["volumes"]] == [name]
        user, group = service["user"].split(":")
        runs = " ".join(value for key, value in instructions() if key == "RUN")
        names = {found[1]: found[2] for found in re.finditer(r"--[ug]id (\d+) (?:[^&]*? )?([\w-]+)\s+&&", runs)}
        assert f"--owner {names[user]} --group {names[group]} --mode 0750 {Path(place).parent}" in runs

        _, python, option, program, *given = service["healthcheck"]["test"]
        assert (python, option, given) == ("python", "-c", [place])
        compile(program, "healthcheck", "exec")

    @pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 503 Service Unavailable\r\n\r\n", b""])
    def test_health_is_what_the_service_says_of_itself(self, answer: bytes, tmp_path: Path):
        (program,) = {SERVICES[name]["healthcheck"]["test"][3] for name in SERVED}
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(tmp_path / "s.sock"))
            listening.listen()
            asking = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "s.sock")])
            connection, _ = listening.accept()
            with connection:
                asked = connection.recv(1000)
                connection.sendall(answer)
            assert asking.wait(60) == (b" 200 " not in answer)
        assert asked.startswith(b"GET /readyz HTTP/1.1\r\n")

    def test_a_platforms_api_is_the_nodes_user_with_its_folder_and_tables_and_a_group_of_its_own(self):
        service, node = SERVICES["platform-api"], SERVICES["node"]
        (user, group), (own, its_group) = service["user"].split(":"), node["user"].split(":")
        assert user == own
        assert group not in (its_group, *node["group_add"], SERVICES["scorer"]["user"].split(":")[1])
        mounts = [mount for mount in node["volumes"] if mount["source"] != "scorer"]
        assert service["volumes"][:-1] == mounts

    @pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
    def test_the_image_is_built_from_this_tree(self, service: dict[str, Any]):
        assert (DEPLOY / service["build"]["context"]).resolve() == ROOT
        assert (ROOT / service["build"]["dockerfile"]).is_file()
        assert service["image"] == f"sealscore:{PROJECT['version']}"


class TestDockerfile:
    def test_it_ends_as_the_user_of_the_compose_file(self):
        assert [value for key, value in instructions() if key == "USER"] == [SERVICES["node"]["user"]]
        after = [key for key, _ in instructions()][[key for key, _ in instructions()].index("USER") :]
        assert not {"RUN", "COPY", "ADD"} & set(after)

    def test_pip_installs_the_wheel_with_both_roles_and_nothing_else_does(self):
        runs = " ".join(value for key, value in instructions() if key == "RUN")
        assert re.search(r"pip wheel .*--no-deps .* \.", runs)
        assert '/wheels/*.whl)[${ROLES}]"' in runs
        assert "--editable" not in runs
        (roles,) = [value.partition("=")[2] for key, value in instructions() if value.startswith("ROLES=")]
        # What is asked over HTTP is a node's command.
        assert set(roles.split(",")) == set(SERVICES) - set(SERVED) <= set(PROJECT["optional-dependencies"])
        assert not re.search(r"\b(apt|apk|curl|wget|git|conda|npm)\b", runs)
        assert not [key for key, _ in instructions() if key == "ADD"]

    def test_it_names_no_host(self):
        assert not re.search(r"https?://|\w+\.(io|org|com|net|dev)\b", DOCKERFILE)
        (base,) = re.findall(r"^ARG BASE=(\S+)$", DOCKERFILE, re.MULTILINE)
        assert "/" not in base
        assert re.fullmatch(r"python:3\.(1[1-9])-[\w-]+", base)

    def test_what_is_copied_is_there_and_the_builder_gets_no_more(self):
        copied = copied_of_the_tree()
        assert "pyproject.toml" in copied
        assert all((ROOT / name).exists() for name in copied)
        ignored = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
        assert "*" in ignored
        assert {line[1:] for line in ignored if line.startswith("!")} == set(copied)

    @pytest.mark.slow
    def test_the_wheel_of_what_is_copied_has_both_roles_and_no_simulation(self, tmp_path: Path):
        tree = copy_tree(copied_of_the_tree(), tmp_path / "source")
        with zipfile.ZipFile(build_wheel(tree, tmp_path)) as archive:
            houses = {name.split("/")[1] for name in archive.namelist() if name.startswith("sealscore/")}
            bundled = {name: archive.read(f"sealscore/{name}") for name in COURIER_FILES}
        assert houses == {"__init__.py", "py.typed", "shared", "compliance", "clients", "server"}
        assert courier_app().items() >= bundled.items()

    def test_nothing_is_reported_to_others(self):
        for line in ("FLWR_TELEMETRY_ENABLED=0", "FLWR_DISABLE_UPDATE_CHECK=1", "RAY_USAGE_STATS_ENABLED=0"):
            assert line in DOCKERFILE


class TestUnits:
    @pytest.mark.parametrize("name", [*UNITS, *SERVED.values()])
    def test_it_is_hardened_and_comes_back(self, name: str):
        service = {key: values[-1] for key, values in unit(name)["Service"].items()}
        wanted = {
            "NoNewPrivileges": "yes",
            "ProtectSystem": "strict",
            "ProtectHome": "yes",
            "PrivateTmp": "yes",
            "Restart": "always",
            "UMask": "0077",
            "CapabilityBoundingSet": "",
            "LimitCORE": "0",
        }
        assert service.items() >= wanted.items()
        assert service["User"] not in ("", "root", "0")
        (folder,) = service["ReadWritePaths"].split()
        homes = re.findall(r"SEALSCORE(?:_SERVER)?_HOME=(\S+)", service["Environment"])
        assert [Path(home).is_relative_to(folder) for home in homes] == [True]

    @pytest.mark.parametrize("name", UNITS)
    def test_it_starts_a_command_of_ours(self, name: str):
        service = unit(name)["Service"]
        (command,) = service["ExecStart"]
        assert command.startswith(f"{BINARIES}{name.removesuffix('.service')} start")
        for line in (command, *service["ExecReload"]):
            assert exists(line.removeprefix(BINARIES).split())

    def test_the_relay_is_a_command_of_ours_that_a_timer_starts_each_day(self):
        relay = unit("sealscore-relay.service")["Service"]
        assert relay["Type"] == ["oneshot"]
        assert relay["User"] == unit("sealscore-server.service")["Service"]["User"]
        assert exists(relay["ExecStart"][0].removeprefix(BINARIES).split())
        (when,) = unit("sealscore-relay.timer")["Timer"]["OnCalendar"]
        assert re.fullmatch(r"\*-\*-\* \d\d:00:00 UTC", when)

    def test_the_scorer_is_a_user_of_its_own_that_does_not_see_the_node(self):
        service, node = unit(SCORER)["Service"], unit("sealscore-node.service")["Service"]
        assert service["User"] != node["User"]
        assert service["InaccessiblePaths"] == [f"-{folder}" for folder in node["ReadWritePaths"]]

    @pytest.mark.parametrize("name", SERVED.values())
    def test_what_is_asked_over_http_listens_in_a_folder_of_its_group(self, name: str):
        service = unit(name)["Service"]
        (command,) = service["ExecStart"]
        assert exists(command.removeprefix(BINARIES).split())
        (place,) = re.findall(r"unix:(\S+)", command)
        assert Path(place).parent == Path("/run") / service["RuntimeDirectory"][0]
        assert service["RuntimeDirectoryMode"] == ["0750"]

    def test_the_scorers_socket_is_for_a_group_that_opens_no_file_of_its_folder(self):
        service = unit(SCORER)["Service"]
        # Folder and socket are of the process's group, which must not open what lies in the scorer's own folder.
        head = (DEPLOY / SCORER).read_text(encoding="utf-8")
        (made,) = re.findall(
            rf"install -d -o {service['User'][0]} -g (\S+) -m 2770 {service['ReadWritePaths'][0]}", head
        )
        assert service["SupplementaryGroups"] == [made]
        assert service["Group"] != [made]
        assert service["RuntimeDirectoryMode"] == ["0750"]

    def test_a_platforms_api_is_hardened_as_the_node_is_and_its_socket_is_for_another_group(self):
        service, node = unit(PLATFORM_API)["Service"], unit("sealscore-node.service")["Service"]
        same = set(node) - {"Group", "ExecStart", "ExecReload", "RestartSec", "StateDirectory", "StateDirectoryMode"}
        same -= {"Nice", "CPUWeight", "IOWeight"}  # see the last test
        assert {key: service[key] for key in same} == {key: node[key] for key in same}
        assert service["Group"] not in (node["Group"], unit(SCORER)["Service"]["Group"])
        assert service["ExecReload"][0].split()[1:] == ["-HUP", "$MAINPID"]

    def test_a_node_reads_its_data_anew_on_reload(self):
        assert unit("sealscore-node.service")["Service"]["ExecReload"] == [f"{BINARIES}sealscore-node reload"]

    @pytest.mark.parametrize("name", [*UNITS, *SERVED.values()])
    def test_secrets_come_from_a_file_that_may_be_missing(self, name: str):
        text = (DEPLOY / name).read_text(encoding="utf-8")
        (file,) = unit(name)["Service"]["EnvironmentFile"]
        assert file.startswith("-/etc/sealscore/")
        assert PASSPHRASE in text
        assert f"{PASSPHRASE}=" not in text

    @pytest.mark.parametrize("name", [*UNITS, *SERVED.values()])
    @pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
    def test_systemd_takes_it(self, name: str, tmp_path: Path):
        # What it would start is not installed here.
        text = re.sub(rf"^(Exec\w+=){BINARIES}\S+", r"\1/bin/true", (DEPLOY / name).read_text(), flags=re.MULTILINE)
        (tmp_path / name).write_text(text)
        command = ["systemd-analyze", "verify", "--man=no", str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert name not in done.stderr


def test_who_is_waited_for_goes_before_training():
    def weights(name: str) -> tuple[int, int]:
        text = (DEPLOY / name).read_text(encoding="utf-8")
        found = {key: re.search(rf"^{key}=(\d+)$", text, re.MULTILINE) for key in ("CPUWeight", "IOWeight")}
        return tuple(int(one[1]) if one else 100 for one in found.values())  # type: ignore[return-value]

    training = weights("sealscore-node.service")
    for unit in SERVED.values():
        assert all(served > 4 * node for served, node in zip(weights(unit), training, strict=True))
    assert all(SERVICES[name]["cpu_shares"] > 4 * SERVICES["node"]["cpu_shares"] for name in SERVED)
