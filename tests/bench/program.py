"""The program itself: its size, and how soon it answers."""

import socket
import time
from contextlib import closing
from statistics import median

from figures import most
from history import free_port
from processes import EXPORTER, FOLDER, Process, account

MIB = 1024 * 1024


def size(_scale):
    mib = EXPORTER.stat().st_size / MIB
    return [most("The binary is at most 12 MiB, stripped", mib, 12.0, f"{mib:.1f} MiB", name="binary_mib")]


def start(scale):
    """From the start of the process to the last byte of a first answer; the API never answers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as api:
        took = median(started(api.getsockname()[1]) for _ in range(5 if scale > 1 else 25))
    return [most("From start to first answer on `/metrics` at most 50 ms", took, 0.05, f"{took * 1000:.0f} ms")]


def started(api):
    port = free_port()
    config = FOLDER / "start.toml"
    config.write_text(f'web.listen_address = "127.0.0.1:{port}"\n' + account(f"http://127.0.0.1:{api}"))
    begin = time.monotonic()
    with Process(EXPORTER, "--config.file", config):
        while True:
            try:
                with socket.create_connection(("127.0.0.1", port)) as connection:
                    connection.sendall(b"GET /metrics HTTP/1.0\r\nHost: bench\r\n\r\n")
                    answer = b"".join(iter(lambda: connection.recv(65536), b""))
            except ConnectionRefusedError:
                time.sleep(0.0005)
                continue
            if not answer.startswith(b"HTTP/1.0 200"):
                raise RuntimeError(answer[:200])
            return time.monotonic() - begin
