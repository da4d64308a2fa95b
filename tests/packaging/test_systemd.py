"""The systemd unit: systemd takes it, and it keeps its score."""

import configparser
import re

from conftest import BINARY, DEPLOY, is_right, run

UNIT = DEPLOY / "systemd" / "clumio-exporter.service"

# Of ten, where ten is everything allowed; in tenths. What is left is the network that it is for.
THRESHOLD = 15


def test_systemd_takes_the_unit(tmp_path):
    # The program need not be installed.
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/usr/local/bin/clumio-exporter", str(BINARY)))
    outcome = run("systemd-analyze", "verify", "--man=no", unit)
    assert outcome.stderr == ""


def test_the_unit_is_hardened():
    run("systemd-analyze", "security", "--offline=yes", f"--threshold={THRESHOLD}", UNIT)


def test_the_exporter_takes_the_config_beside_it(tmp_path):
    taken, said = is_right((UNIT.parent / "clumio-exporter.toml").read_text(), tmp_path)
    assert taken, said


def test_the_config_and_the_unit_name_the_same_places():
    config = (UNIT.parent / "clumio-exporter.toml").read_text()
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read(UNIT)
    service = unit["Service"]
    assert f'directory = "/var/lib/{service["StateDirectory"]}"' in config
    credential = service["LoadCredential"].partition(":")[0]
    assert re.search(rf'token_file = "/run/credentials/{UNIT.name}/{credential}"', config)
