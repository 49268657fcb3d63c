#!/bin/bash
# Installs what the tests need (as root, on Debian 12), builds out of tree, runs `make check`.
# The last line is the sum over all tests: "N passed, N failed" (", N skipped" when there were some).
#
#   tools/test.sh                     everything
#   tools/test.sh --sanitize=address  the same under a sanitizer: address, undefined or thread
#   tools/test.sh --long              also `make check-long`
#   PN_JOBS=4 tools/test.sh           as many jobs at a time; default: one per processor, two for the tests
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # also as `sh tools/test.sh`
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(gcc g++ make autoconf automake libtool pkg-config
    libmicrohttpd-dev libgnutls28-dev libssl-dev libjansson-dev libpq-dev libsqlite3-dev libcurl4-openssl-dev librabbitmq-dev
    libinih-dev libqrencode-dev libpng-dev libxml2-dev libcmocka-dev
    rabbitmq-server postgresql python3-pytest python3-pika python3-psycopg2 python3-requests python3-yaml zbar-tools
    python3-cryptography openssl qrencode curl chromium chromium-driver python3-selenium)

say() { printf '\n== %s\n' "$*"; }

usage() {
    sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"
}

parse_arguments() {
    sanitize='' targets=(check)
    for argument in "$@"; do
        case $argument in
        --sanitize=*) sanitize=${argument#--sanitize=} ;;
        --long) targets=(check check-long) ;;
        -h | --help) usage; exit 0 ;;
        *) echo "unknown argument: $argument" >&2; usage >&2; exit 2 ;;
        esac
    done
    build=build-check${sanitize:+-${sanitize//,/-}}
    jobs=${PN_JOBS:-$(nproc)}
    test_jobs=${PN_JOBS:-$((2 * $(nproc)))} # a test mostly waits: for a server, a time-out, a lease
}

# Servers are installed for their binaries only; the tests start private ones.
install_packages() {
    local missing=() package
    for package in "${packages[@]}"; do
        [[ $(dpkg-query -Wf '${db:Status-Abbrev}' "$package" 2>/dev/null) == ii* ]] || missing+=("$package")
    done
    [[ ${#missing[@]} -eq 0 ]] && return
    if [[ $EUID -ne 0 ]]; then
        echo "Missing packages: ${missing[*]}. Install them, or run this as root." >&2
        exit 1
    fi
    say "Installing ${#missing[@]} packages: ${missing[*]}"
    if [[ ! -e /usr/sbin/policy-rc.d ]]; then
        policy=/usr/sbin/policy-rc.d # removed by finish
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod +x $policy
    fi
    export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

build_all() {
    say "Building in $build${sanitize:+ with the $sanitize sanitizer}"
    [[ -x configure && configure -nt configure.ac ]] || autoreconf -fi >/dev/null
    mkdir -p "$build"
    cd "$build"
    if [[ ! -f Makefile || ../configure -nt Makefile ]]; then
        ../configure -q ${sanitize:+--enable-sanitize="$sanitize"}
    fi
    make -s -j"$jobs"
}

# Prints what went wrong, then the one line that everybody reads.
report() {
    local status=$1 log results passed failed skipped
    for log in $(grep -lE '^:global-test-result: (FAIL|ERROR|XPASS)' -r --include='*.trs' . 2>/dev/null | sort); do
        log=${log%.trs}.log
        say "$log"
        grep -vE '^ok ' "$log" || true
    done
    results=$(find . -name '*.trs' -exec grep -hE '^:test-result:' {} + 2>/dev/null || true)
    passed=$(grep -cE '^:test-result: (PASS|XFAIL)' <<<"$results" || true)
    failed=$(grep -cE '^:test-result: (FAIL|ERROR|XPASS)' <<<"$results" || true)
    skipped=$(grep -cE '^:test-result: SKIP' <<<"$results" || true)
    if [[ $status -ne 0 && $failed -eq 0 ]]; then
        failed=1 # make itself stopped: what did not run has not passed
    fi
    reported=yes
    printf '\n'
    if [[ $skipped -gt 0 ]]; then
        echo "$passed passed, $failed failed, $skipped skipped"
    else
        echo "$passed passed, $failed failed"
    fi
    [[ $failed -eq 0 && $passed -gt 0 ]]
}

# Whatever ends this script early, its last line says so.
finish() {
    rm -f "${policy:-}"
    [[ -n ${reported:-} ]] || printf '\n0 passed, 1 failed\n'
}

main() {
    local status=0
    parse_arguments "$@"
    trap finish EXIT
    install_packages
    build_all
    find . -name '*.trs' -delete
    say "Running ${targets[*]}"
    make -s -k -j"$test_jobs" "${targets[@]}" || status=$?
    report "$status"
}

main "$@"
