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
        keys = account(f"http://127.0.0.1:{api.getsockname()[1]}")
        took = median(started(keys, "/metrics") for _ in range(5 if scale > 1 else 25))
    return [most("From start to first answer on `/metrics` at most 50 ms", took, 0.05, f"{took * 1000:.0f} ms")]


def started(keys, path, content=b""):
    """The seconds from the start of an exporter until it answers a request for `path` with 200 and this content."""
    port = free_port()
    config = FOLDER / "start.toml"
    config.write_text(f'web.listen_address = "127.0.0.1:{port}"\n{keys}')
    begin = time.monotonic()
    with Process(EXPORTER, "--config.file", config):
        while time.monotonic() - begin < 60:
            try:
                with socket.create_connection(("127.0.0.1", port)) as connection:
                    connection.sendall(f"GET {path} HTTP/1.0\r\nHost: bench\r\n\r\n".encode())
                    answer = b"".join(iter(lambda: connection.recv(65536), b""))
            except ConnectionRefusedError:
                answer = b""
            if answer.startswith(b"HTTP/1.0 200") and content in answer:
                return time.monotonic() - begin
            time.sleep(0.0005)
    raise RuntimeError(answer[:200])
