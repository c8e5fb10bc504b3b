# Sourced by ./check and ./quickstart: installs Debian packages that are
# missing, or says what to type.
#
#   need_packages PACKAGE...

packages_missing() {
    local package
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null |
            grep -qx installed || printf '%s ' "$package"
    done
}

need_packages() {
    if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
        echo "This is not a Debian system; going on with what is installed." >&2
        echo "tgc is tested with these packages of Debian 12: $*" >&2
        return 0
    fi
    local missing root=
    missing=$(packages_missing "$@")
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" != 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "These packages are missing. As root, type:" >&2
            echo "    apt-get update && apt-get install -y $missing" >&2
            return 1
        fi
        root=sudo
    fi
    echo "Installing: $missing"
    # shellcheck disable=SC2086
    if ! { $root apt-get update -qq &&
        $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
            --no-install-recommends $missing >/dev/null; }; then
        echo "The packages could not be installed. As root, type:" >&2
        echo "    apt-get update && apt-get install -y $missing" >&2
        return 1
    fi
}

# What the compiler needs to be built, and to work afterwards.
packages_build="gcc g++ libc6-dev make cmake ninja-build flex bison
    libdnnl-dev zlib1g-dev libjpeg-dev libpng-dev"
