# Sourced by the scripts beside it: installs what they need and this machine lacks.

# as_root COMMAND...: runs it as root, without ever asking for a password.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

# need PROGRAM PACKAGE: installs Debian's package of a program that is missing. Those of Prometheus and Alertmanager
# have a service as well, which RUNLEVEL=1 keeps from being started.
need() {
    command -v "$1" >/dev/null && return
    local script="tests/${0##*/}"
    echo "$script: $1 is missing; installing the Debian package $2"
    as_root apt-get update --quiet=2 </dev/null &&
        as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
            apt-get install --quiet=2 --yes --no-install-recommends "$2" </dev/null &&
        command -v "$1" >/dev/null && return
    echo "$script: cannot install $1; install it yourself (Debian: apt-get install $2) and put it on PATH" >&2
    exit 1
}

# need_cargo: says where to get a Rust toolchain, which no package of Debian is new enough for.
need_cargo() {
    command -v cargo >/dev/null && return
    echo "tests/${0##*/}: cargo is missing; install a Rust toolchain: https://rustup.rs" >&2
    exit 1
}
