"""The files under jobs/: each is read as its own system reads it, and its command as the command line does."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from catalog_gen import __version__, errors
from catalog_gen.cli import app
from catalog_gen.config import load_settings
from catalog_gen.pipeline.deadline import deadline_from

JOBS = Path(__file__).parents[2] / "jobs"
PROGRAM = "/opt/catalog-gen/bin/catalog-gen"
EXIT_CODES = {
    errors.EXIT_SOME_FAILED,
    errors.EXIT_PARTIAL,
    *(kind.exit_code for kind in vars(errors).values() if isinstance(kind, type) and hasattr(kind, "exit_code")),
}
USAGE_ERROR = typer.BadParameter.__mro__[1]  # Typer's own click, or the installed one
RETRIED = errors.TemporaryFailure.exit_code


def parsed(arguments: list[str]) -> tuple[str, dict[str, Any]]:
    """Return the command's name and its values, as the real command line reads them. Raises its usage errors."""
    group: Any = typer.main.get_command(app)
    with group.make_context("catalog-gen", list(arguments)) as outer:
        name, command, rest = group.resolve_command(outer, [*outer._protected_args, *outer.args])
        with command.make_context(name, rest, parent=outer) as inner:
            return name, inner.params


def check_nightly(arguments: list[str]) -> None:
    """Assert that the arguments are those of a nightly job: bounded in time, configured, logging for machines."""
    name, values = parsed(arguments)
    assert name == "fill-missing"
    assert values["config"] == Path("/etc/catalog-gen/catalog-gen.toml")
    assert values["log_json"]
    assert deadline_from(values["deadline"], values["max_minutes"]) is not None
    assert not values["allow_parallel"]


def check_report(arguments: list[str]) -> None:
    """Assert that the arguments write the report of the latest run with the installed configuration."""
    name, values = parsed(arguments)
    assert name == "report"
    assert values["config"] == Path("/etc/catalog-gen/catalog-gen.toml")
    assert values["run"] is None


def test_a_wrong_flag_or_command_would_be_noticed() -> None:
    for wrong in (["fill-missing", "--dead-line", "05:30"], ["fill"], ["fill-missing", "--limit", "many"]):
        with pytest.raises(USAGE_ERROR):
            parsed(wrong)


# --- cron -----------------------------------------------------------------------------------------------------------


def cron_lines() -> tuple[dict[str, str], list[str]]:
    variables, lines = {}, []
    for line in (JOBS / "catalog-gen.cron").read_text(encoding="utf-8").splitlines():
        if re.match(r"[A-Z_]+=", line):
            name, _, value = line.partition("=")
            variables[name] = value
        elif line.strip() and not line.startswith("#"):
            lines.append(line)
    return variables, lines


def check_cron_line(line: str) -> tuple[str, str]:
    """Assert that cron(8) takes the line of a system crontab; return its user and its command."""
    assert "%" not in line, "cron reads a percent sign as a line break"
    assert len(line) < 999, "cron cuts longer lines"
    *times, user, command = line.split(maxsplit=6)
    for text, (low, high) in zip(times, [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)], strict=True):
        match = re.fullmatch(r"\*|(\d+)(?:-(\d+))?", text)
        assert match, f"{text!r} is no time field"
        assert all(low <= int(number) <= high for number in match.groups() if number), text
    assert re.fullmatch(r"[a-z_][a-z0-9_-]*", user)
    return user, command


def test_the_cron_line_is_one_that_cron_takes() -> None:
    variables, lines = cron_lines()
    assert len(lines) == 2
    _, command = check_cron_line(lines[0])
    assert lines[0].startswith("15 1 * * * ")
    assert str(Path(PROGRAM).parent) in variables["PATH"].split(":")
    match = re.search(r"catalog-gen (fill-missing .*?) >>", command)
    assert match
    check_nightly(shlex.split(match[1]))
    _, command = check_cron_line(lines[1])
    match = re.search(r"catalog-gen (report .*?) >>", command)
    assert match
    check_report(shlex.split(match[1]))
    after = deadline_from("05:30", None)
    assert after is not None and (after.hour, after.minute) < (5, 45), "the night is over by then"
    assert lines[1].startswith("45 5 * * * ")


@pytest.mark.parametrize("wrong", ["61 1 * * * u c", "15 1 * * u c d", "15 1 0 * * u c", "15 1 * * * u date +%F"])
def test_a_wrong_cron_line_would_be_noticed(wrong: str) -> None:
    with pytest.raises(AssertionError):
        check_cron_line(wrong)


@pytest.mark.parametrize("line", [0, 1])
@pytest.mark.parametrize("code", [0, *sorted(EXIT_CODES)])
def test_cron_mails_what_somebody_should_read_and_nothing_else(tmp_path: Path, code: int, line: int) -> None:
    """Run the line itself with cron's own shell; the program is one that only prints and ends with a code."""
    variables, lines = cron_lines()
    _, command = check_cron_line(lines[line])
    task = ("fill-missing", "report")[line]
    program = tmp_path / "bin" / "catalog-gen"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "log line: $*"; echo oops >&2; exit {code}\n')
    program.chmod(0o755)
    done = subprocess.run(
        [variables["SHELL"], "-c", command.replace("/var/lib/catalog-gen", str(tmp_path))],
        env={"PATH": f"{program.parent}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert done.stderr == ""
    mailed = code not in ((errors.EXIT_OK, errors.EXIT_PARTIAL) if task == "fill-missing" else (errors.EXIT_OK,))
    assert (f"exit code {code}" in done.stdout) == mailed
    assert bool(done.stdout) == mailed
    assert f"log line: {task}" in (tmp_path / f"{task}.log").read_text()
    assert "oops" in (tmp_path / f"{task}.log").read_text()


# --- systemd --------------------------------------------------------------------------------------------------------


def unit(name: str) -> RawConfigParser:
    parser = RawConfigParser(strict=True, delimiters="=", comment_prefixes="#", interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string((JOBS / name).read_text(encoding="utf-8"))
    return parser


def test_the_service_runs_the_nightly_command_and_knows_its_exit_codes() -> None:
    service = unit("catalog-gen-fill-missing.service")["Service"]
    program, *arguments = shlex.split(service["ExecStart"])
    assert program == PROGRAM
    check_nightly(arguments)
    assert service["ExecStopPost"].startswith("-"), "a night without a report still counts"
    program, *arguments = shlex.split(service["ExecStopPost"].removeprefix("-"))
    assert program == PROGRAM
    check_report(arguments)
    assert service["SuccessExitStatus"].split() == [str(errors.EXIT_PARTIAL)]
    assert service["Restart"] == "on-failure"
    final = {int(code) for code in service["RestartPreventExitStatus"].split()}
    assert final == EXIT_CODES - {errors.EXIT_PARTIAL, RETRIED}
    assert (service["Type"], service["KillSignal"], service["KillMode"]) == ("oneshot", "SIGTERM", "mixed")
    timer = unit("catalog-gen-fill-missing.timer")
    assert timer["Timer"]["Persistent"] == "false"
    assert timer["Install"]["WantedBy"] == "timers.target"


def test_the_desk_stays_up() -> None:
    service = unit("catalog-gen-serve.service")["Service"]
    program, *arguments = shlex.split(service["ExecStart"])
    assert program == PROGRAM
    name, values = parsed(arguments)
    assert (name, values["config"]) == ("serve", Path("/etc/catalog-gen/catalog-gen.toml"))
    assert values["host"] is None, "who is let in is said in the configuration"
    final = {int(code) for code in service["RestartPreventExitStatus"].split()}
    assert final == EXIT_CODES - {errors.EXIT_SOME_FAILED, errors.EXIT_PARTIAL, RETRIED}


def test_the_service_starts_at_night_only() -> None:
    """A restart after the deadline would run until the next one; the condition is run with a clock of its own."""
    condition = unit("catalog-gen-fill-missing.service")["Service"]["ExecCondition"]
    shell, flag, script = shlex.split(condition.replace("$$", "$").replace("%%", "%"))
    for clock, expected in {"0115": 0, "0524": 0, "0525": 1, "0530": 1, "0859": 1, "2359": 1}.items():
        at_that_time = script.replace("date +%H%M", f"echo {clock}")
        assert at_that_time != script
        assert subprocess.run([shell, flag, at_that_time], check=False).returncode == expected, clock


def verify(folder: Path) -> str:
    """Return what systemd-analyze has to say about the units in `folder`: nothing, when they are right."""
    units = sorted(map(str, folder.glob("*.service"))) + sorted(map(str, folder.glob("*.timer")))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units],
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{folder}:", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )
    # Units of the machine itself are loaded too; what is said of them is not ours.
    return "\n".join(line for line in (done.stdout + done.stderr).splitlines() if "catalog-gen" in line)


@pytest.fixture
def units(tmp_path: Path) -> Path:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed (Debian: apt-get install systemd)")
    for file in JOBS.glob("catalog-gen-*.*"):
        # verify looks for the program itself; where it is not installed, Python stands for it.
        text = file.read_text(encoding="utf-8").replace(PROGRAM, sys.executable)
        (tmp_path / file.name).write_text(text, encoding="utf-8")
    return tmp_path


def test_systemd_takes_the_units(units: Path) -> None:
    assert verify(units) == ""


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("KillMode=mixed", "KillMode=mixd"),
        ("Type=oneshot", "Tipe=oneshot"),
        ("TimeoutStopSec=5min", "TimeoutStopSec=5m1n"),
    ],
)
def test_systemd_would_notice_a_wrong_line(units: Path, right: str, wrong: str) -> None:
    file = units / "catalog-gen-fill-missing.service"
    text = file.read_text(encoding="utf-8")
    assert right in text
    file.write_text(text.replace(right, wrong), encoding="utf-8")
    assert "catalog-gen-fill-missing.service" in verify(units)


def test_systemd_reads_the_time(units: Path) -> None:
    when = unit("catalog-gen-fill-missing.timer")["Timer"]["OnCalendar"]
    done = subprocess.run(["systemd-analyze", "calendar", when], capture_output=True, text=True, check=True)
    assert "Normalized form: *-*-* 01:15:00" in done.stdout


# --- Kubernetes -----------------------------------------------------------------------------------------------------

# batch/v1 and core/v1 fields as the API reference has them, for the kinds that the file uses; an unknown field is an
# error there too (kubectl validates strictly).
FIELDS: dict[str, set[str]] = {
    "cronjob": {"apiVersion", "kind", "metadata", "spec"},
    "cronjob spec": {
        *("schedule", "timeZone", "concurrencyPolicy", "startingDeadlineSeconds", "suspend", "jobTemplate"),
        *("successfulJobsHistoryLimit", "failedJobsHistoryLimit"),
    },
    "job spec": {
        *("activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished", "podFailurePolicy", "template"),
        *("parallelism", "completions", "suspend"),
    },
    "pod spec": {
        *("restartPolicy", "terminationGracePeriodSeconds", "automountServiceAccountToken", "securityContext"),
        *("containers", "volumes", "serviceAccountName", "nodeSelector", "tolerations"),
    },
    "container": {
        *("name", "image", "command", "args", "env", "envFrom", "resources", "securityContext", "volumeMounts"),
        "imagePullPolicy",
    },
}


def manifest() -> dict[str, Any]:
    [document] = list(yaml.safe_load_all((JOBS / "kubernetes-cronjob.yaml").read_text(encoding="utf-8")))
    return dict(document)


def test_the_manifest_has_the_fields_that_kubernetes_knows() -> None:
    cronjob = manifest()
    assert (cronjob["apiVersion"], cronjob["kind"]) == ("batch/v1", "CronJob")
    job = cronjob["spec"]["jobTemplate"]["spec"]
    pod = job["template"]["spec"]
    [container] = pod["containers"]
    found = {
        "cronjob": cronjob,
        "cronjob spec": cronjob["spec"],
        "job spec": job,
        "pod spec": pod,
        "container": container,
    }
    for place, value in found.items():
        assert set(value) <= FIELDS[place], place
    assert re.fullmatch(
        r"[a-z0-9]([a-z0-9-]{0,50}[a-z0-9])?", cronjob["metadata"]["name"]
    )  # 52: a Job's name is longer
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}
    assert container["image"].endswith(f":{__version__}")


def test_the_manifest_runs_the_nightly_command() -> None:
    spec = manifest()["spec"]
    check_cron_line(f"{spec['schedule']} user command")
    job = spec["jobTemplate"]["spec"]
    [container] = job["template"]["spec"]["containers"]
    assert container["command"] == ["catalog-gen"]
    assert all(isinstance(argument, str) for argument in container["args"]), "05:30 without quotes is a number in YAML"
    check_nightly(container["args"])
    assert spec["concurrencyPolicy"] == "Forbid"
    # A late start must not meet the deadline of the next day: start + lateness lies before 05:30.
    minute, hour, *_ = spec["schedule"].split()
    latest = int(hour) * 3600 + int(minute) * 60 + spec["startingDeadlineSeconds"]
    _, values = parsed(container["args"])
    end = deadline_from(values["deadline"], None)
    assert end is not None
    assert latest < end.hour * 3600 + end.minute * 60
    assert job["template"]["spec"]["terminationGracePeriodSeconds"] >= 60
    assert container["resources"]["limits"]["memory"]


def test_its_variables_are_settings() -> None:
    [container] = manifest()["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    names = [entry["name"] for entry in container["env"] if entry["name"].startswith("CATALOG_GEN_")]
    assert names == ["CATALOG_GEN_DATABASE__URL"]
    settings = load_settings(env={names[0]: "postgresql://db/shop"}, use_default_file=False)
    assert settings.database.url == "postgresql://db/shop"


def test_every_exit_code_has_its_rule() -> None:
    job = manifest()["spec"]["jobTemplate"]["spec"]
    pod = job["template"]["spec"]
    assert pod["restartPolicy"] == "Never"  # podFailurePolicy demands it
    actions: dict[int, str] = {}
    for rule in job["podFailurePolicy"]["rules"]:
        assert len({"onExitCodes", "onPodConditions"} & set(rule)) == 1
        if codes := rule.get("onExitCodes"):
            assert codes["containerName"] == pod["containers"][0]["name"]
            assert codes["operator"] == "In"
            for code in codes["values"]:
                actions.setdefault(code, rule["action"])
    assert set(actions) == EXIT_CODES
    assert {code for code, action in actions.items() if action == "Count"} == {RETRIED}
    assert {action for code, action in actions.items() if code != RETRIED} == {"FailJob"}
