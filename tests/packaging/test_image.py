"""The image: what is in it, and that it runs with nothing but what it needs, as a container and in a Pod."""

import json
import socket
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest
from conftest import DEPLOY, only, objects, run, TOOLS
from containers import IMAGE, NOBODY, PATIENCE, address, build, config_for, dump, eventually, podman

pytestmark = pytest.mark.usefixtures("image")


@pytest.fixture(scope="session")
def image(tmp_path_factory):
    build(tmp_path_factory.mktemp("image"))


def inspected(name, kind="container"):
    return json.loads(podman("inspect", "--type", kind, name).stdout)[0]


@contextmanager
def container(*words):
    """A container that runs read-only, without capabilities, in 32 MiB of memory."""
    hardened = ["--read-only", "--read-only-tmpfs=false", "--cap-drop", "all", "--security-opt", "no-new-privileges"]
    memory = ["--memory", "32m", "--memory-swap", "32m"]
    name = podman("run", "--detach", "--network", "host", *hardened, *memory, *words).stdout.strip()
    try:
        yield name
    finally:
        podman("rm", "--force", "--time", "0", name)


def free_port():
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


def get(url):
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            return answer.read().decode()
    except (urllib.error.URLError, ConnectionError):
        return None


def test_the_image_has_the_program_the_certificates_and_nothing_else(tmp_path):
    about = inspected(IMAGE, "image")
    assert about["Config"]["User"] == f"{NOBODY}:{NOBODY}"
    assert about["Config"]["Entrypoint"] == ["/clumio-exporter"]
    assert about["Config"]["ExposedPorts"] == {"10317/tcp": {}}
    labels = about["Config"]["Labels"]
    assert labels["org.opencontainers.image.title"] == "clumio-exporter"
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert labels["org.opencontainers.image.revision"] == "0123456789abcdef"
    version = podman("run", "--rm", IMAGE, "--version").stdout.split()[1]
    assert labels["org.opencontainers.image.version"] == version

    name = podman("create", IMAGE).stdout.strip()
    archive = tmp_path / "image.tar"
    podman("export", "--output", archive, name)
    podman("rm", name)
    files = {line.strip("/") for line in run("tar", "--list", "--file", archive).stdout.splitlines()}
    # The runtime adds places to mount things at.
    of_runtime = {"dev", "proc", "sys", "run", "etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab"}
    folders = {"etc", "etc/ssl", "etc/ssl/certs", "var", "var/lib", "var/lib/clumio-exporter"}
    assert files - of_runtime - folders == {"clumio-exporter", "etc/ssl/certs/ca-certificates.crt"}


def test_it_answers_soon_with_nothing_but_32_mib_and_stops_soon():
    port = free_port()
    start = time.monotonic()
    with container(IMAGE, "demo", "--web.listen-address", f"127.0.0.1:{port}") as name:
        eventually("it answers", lambda: get(f"http://127.0.0.1:{port}/metrics"))
        answered = time.monotonic() - start

        host = inspected(name)["HostConfig"]
        assert host["Memory"] == 32 << 20 and host["ReadonlyRootfs"]
        process = inspected(name)["State"]["Pid"]
        with open(f"/proc/{process}/status") as file:
            status = dict(line.split(":", 1) for line in file)
        assert status["Uid"].split() == [str(NOBODY)] * 4
        assert all(int(status[it], 16) == 0 for it in ("CapEff", "CapPrm", "CapBnd"))
        eventually("the initial sync is through", lambda: 'clumio_up{account="demo"} 1' in get(f"http://127.0.0.1:{port}/metrics"))

        start = time.monotonic()
        podman("kill", "--signal", "TERM", name)
        podman("wait", name)
        stopped = time.monotonic() - start
        state = inspected(name)["State"]
        assert (state["ExitCode"], state["OOMKilled"]) == (0, False)
    print(f"answered after {answered:.2f} s, container included; stopped after {stopped:.2f} s")
    # One second and two are promised.
    assert answered < 1 + PATIENCE and stopped < 2 + 5


def test_its_certificates_are_found_and_a_volume_can_be_written(tmp_path):
    """Without certificates the start fails; without a volume that user 65532 can write, the state does."""
    config = tmp_path / "clumio-exporter.toml"
    config.write_text(config_for(1).replace("http://127.0.0.1:1", "https://127.0.0.1:1"))
    mounts = ["--volume", f"{tmp_path}:/etc/clumio-exporter:ro", "--volume", "/var/lib/clumio-exporter"]
    tmp_path.chmod(0o755)
    with container(*mounts, IMAGE, "--config.file=/etc/clumio-exporter/clumio-exporter.toml") as name:
        page = get(f"http://{address(name)}/metrics")
        assert 'clumio_up{account="prod"} 0' in page
        assert "cannot be written" not in podman("logs", name).stderr


def sidecar_pod(port):
    """The Pod of the example, with the exporter as its second container: podman knows no native sidecars."""
    kustomized = run(TOOLS / "bin" / "kubectl", "kustomize", DEPLOY / "kustomize" / "examples" / "sidecar").stdout
    found = objects(kustomized)
    template = found["Deployment", "shop"]["spec"]["template"]
    pod = template["spec"]
    (sidecar,) = [it for it in pod["initContainers"] if it["name"] == "clumio-exporter"]
    del sidecar["restartPolicy"]
    # In the network of the host there is nothing to map.
    del sidecar["ports"]
    sidecar["image"] = IMAGE
    # Somebody's application: here it is the API that the exporter follows.
    listen = ["simulate", "--listen-address", f"127.0.0.1:{port}", "--tasks-per-day", "100"]
    app = {"name": "shop", "image": IMAGE, "args": listen}
    spec = {"hostNetwork": True, "containers": [app, sidecar], "volumes": pod["volumes"]}
    # podman 4.3 mounts no optional Secret, and does not decode any: the token is in a ConfigMap.
    (volume,) = [it for it in pod["volumes"] if "secret" in it]
    volume["configMap"] = {"name": volume.pop("secret")["secretName"]}
    token = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "clumio-token"}, "data": {"token": "demo-token"}}
    config = only("ConfigMap", found)
    config["data"]["clumio-exporter.toml"] = config_for(port)
    metadata = {**template["metadata"], "name": "shop"}
    return dump(config, token, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})


def test_it_runs_as_the_second_container_of_a_pod(tmp_path):
    (tmp_path / "pod.yml").write_text(sidecar_pod(free_port()))
    try:
        podman("play", "kube", tmp_path / "pod.yml")
        metrics = f"http://{address('shop-clumio-exporter')}/metrics"
        eventually("it polls", lambda: 'clumio_up{account="prod"} 1' in get(metrics))
        assert inspected("shop-clumio-exporter")["Config"]["User"] == f"{NOBODY}:{NOBODY}"
    finally:
        podman("play", "kube", "--down", tmp_path / "pod.yml", check=False)
