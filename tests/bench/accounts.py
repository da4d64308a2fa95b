"""What an account costs, the first and each further one."""

import subprocess
import time
from contextlib import contextmanager

from figures import Figure, most
from processes import FOLDER, Exporter, Process, account, simulator
from scrape import exporter, series

# A quiet account has a task now and then.
QUIET = ("--tasks-per-day", 10, "--history-days", 8)


def one_account(_scale):
    """Memory of an exporter with 2,000 series that is scraped and polls."""
    with exporter('poll.interval = "2s"\n') as it:
        it.wait("clumio_exporter_polls_total", 5)
        it.page(gzip=True)
        mib = it.kib("VmRSS") / 1024
        count = series(it.page())
    goal = "At most 20 MiB for one account with 2,000 series (no state)"
    return [most(goal, mib, 20.0, f"{mib:.1f} MiB with {count} series")]


def many_accounts(scale):
    """A thousand quiet accounts that poll every minute."""
    number, seconds = (200, 60) if scale > 1 else (1000, 300)
    with simulator(*QUIET) as api:
        base = f"http://{api.address}"
        one, _ = followed(base, 1, 0)
        many, share = followed(base, number, seconds)
        with tls(api.address) as secure:
            keys = f'ca_file = "{FOLDER / "ca.pem"}"\n'
            one_tls, _ = followed(secure, 1, 0, keys)
            many_tls, _ = followed(secure, number, 0, keys)
    each, each_tls = ((b - a) / (number - 1) for a, b in ((one, many), (one_tls, many_tls)))
    scaled = share * 1000 / number
    return [
        most("At most 60 KiB for each further quiet account over plain http", each, 60.0, f"{each:.1f} KiB of {number}"),
        Figure("The same over TLS", f"{each_tls:.1f} KiB", None),
        most(
            "A thousand accounts polling every minute, scraped every 15 s: at most 5 % of a core",
            scaled,
            0.05,
            f"{scaled:.1%}" + (f" (ten times {number // 10})" if number != 1000 else ""),
        ),
    ]


def followed(base, number, seconds, keys=""):
    """KiB of an exporter with so many accounts, all polled twice; and its share of a core over `seconds` after that."""
    accounts = "".join(account(base, f"account-{n}", keys) for n in range(number))
    with Exporter(f'poll.interval = "60s"\n{accounts}') as it:
        it.wait("clumio_up", number)
        it.wait("clumio_exporter_polls_total", 2 * number)
        it.page(gzip=True)
        kib = it.kib("VmRSS")
        begin, cpu = time.monotonic(), it.cpu_seconds()
        while time.monotonic() - begin < seconds:
            it.page(gzip=True)
            time.sleep(15)
        took = time.monotonic() - begin
        return kib, (it.cpu_seconds() - cpu) / took if seconds else 0.0


@contextmanager
def tls(address):
    """The API behind stunnel, with a certificate of its own."""
    key, certificate, settings = FOLDER / "key.pem", FOLDER / "ca.pem", FOLDER / "stunnel.conf"
    subprocess.run(
        ["openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        + ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        # An authority must not serve.
        + ["-addext", "basicConstraints=critical,CA:FALSE", "-days", "2"]
        + ["-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    port = 19443
    settings.write_text(
        f"foreground = yes\npid =\n[api]\naccept = 127.0.0.1:{port}\nconnect = {address}\ncert = {certificate}\nkey = {key}\n"
    )
    with Process("stunnel4", settings) as process:
        process.said("(Configuration successful)")
        yield f"https://localhost:{port}"
