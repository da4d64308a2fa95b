"""The image, built as the last stage of the Dockerfile does, and containers that run it.

No base image is pulled: the binary was built before, with the same flags, and the rest of the image is `FROM scratch`.
"""

import os
import re
import shutil
import time

import yaml
from conftest import BINARY_STATIC, DEPLOY, TOOLS, certificates, run

IMAGE = "localhost/clumio-exporter:test"
NOBODY = 65532

# For a machine that runs much else; what is promised is far less, and the tests print what it took.
PATIENCE = 30

CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
"""


def storage(program, *words, **options):
    """Runs podman or buildah over a storage of their own."""
    folder = TOOLS / "containers"
    folder.mkdir(exist_ok=True)
    conf = folder / "containers.conf"
    conf.write_text(CONTAINERS_CONF)
    places = ["--storage-driver", "vfs", "--root", folder / "storage", "--runroot", folder / "run"]
    environment = {**os.environ, "CONTAINERS_CONF": str(conf)}
    return run(program, *places, *words, env=environment, **options)


def podman(*words, **options):
    return storage("podman", *words, **options)


def build(folder):
    """Builds the last stage of the Dockerfile over what the stage before it leaves in /image."""
    shutil.copy(BINARY_STATIC, folder / "clumio-exporter")
    (folder / "etc" / "ssl" / "certs").mkdir(parents=True)
    shutil.copy(certificates(), folder / "etc" / "ssl" / "certs" / "ca-certificates.crt")
    (folder / "var" / "lib" / "clumio-exporter").mkdir(parents=True)
    stage = (DEPLOY / "docker" / "Dockerfile").read_text().partition("\nFROM scratch\n")[2]
    assert stage.count("COPY --from=build ") == stage.count(" /image/") == 3
    stage = stage.replace("--from=build ", "").replace(" /image/", " ")
    (folder / "Dockerfile").write_text(f"FROM scratch\n{stage}")
    arguments = ["--build-arg", "REVISION=0123456789abcdef", "--isolation", "chroot", "--tag", IMAGE]
    storage("buildah", "bud", *arguments, "--file", folder / "Dockerfile", folder)


def eventually(what, look):
    """Looks until there is something; gives it, and how long that took."""
    start = time.monotonic()
    while True:
        found = look()
        took = time.monotonic() - start
        if found:
            return found, took
        assert took < PATIENCE, f"waited {PATIENCE} s in vain until {what}"
        time.sleep(0.01)


def address(container):
    """Where the exporter in it serves, as its log says."""

    def serving():
        logs = podman("logs", container, check=False)
        return re.search(r"message=serving .*address=(\S+)", logs.stdout + logs.stderr)

    found, _ = eventually(f"{container} serves", serving)
    return found[1]


def config_for(port):
    """A config that follows a simulated API at this port, and listens at a free one."""
    return f"""
[web]
listen_address = "127.0.0.1:0"
[state]
directory = "/var/lib/clumio-exporter/state"
[poll]
interval = "1s"
[[accounts]]
name = "prod"
base_url = "http://127.0.0.1:{port}"
token_file = "/run/secrets/clumio/token"
"""


def dump(*documents):
    return yaml.safe_dump_all(documents)
