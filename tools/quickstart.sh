#!/bin/bash
# From a fresh clone to a paid order, on Debian 12: installs what is missing, builds, starts a private RabbitMQ, the
# provider's sandbox and the server on SQLite; then orders, pays and shows the message that a consumer gets.
#
#   tools/quickstart.sh          start, or use what runs already, and pay one order
#   tools/quickstart.sh --stop   stop everything; quickstart-run/ keeps the data
#   tools/quickstart.sh --help
#
# No money moves: the provider is paynotify-sandbox. Everything listens on 127.0.0.1 and lives in ./quickstart-run/.
# As root it installs missing packages; as another user it says which ones to install.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # also as `sh tools/quickstart.sh`
set -euo pipefail
cd "$(dirname "$0")/.."

run=$PWD/quickstart-run
build=$run/build
logs=$run/logs
node=tests/integration/rabbitmq.py
python=/usr/bin/python3 # Debian's, which has python3-pika
packages=(gcc make autoconf automake libtool pkg-config g++ curl qrencode openssl python3 python3-pika rabbitmq-server
    libmicrohttpd-dev libgnutls28-dev libssl-dev libjansson-dev libpq-dev libsqlite3-dev libcurl4-openssl-dev librabbitmq-dev
    libinih-dev libqrencode-dev libpng-dev libxml2-dev)

# ------------------------------------------------------------------------------------------------ what is shown

if [[ -t 1 ]]; then
    bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m' clear=$'\r\e[K'
else
    bold='' dim='' green='' red='' plain='' clear=''
fi

heading() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
note() { printf '  %s\n' "$*"; }
ok() { printf '%s  %s✓%s %s\n' "$clear" "$green" "$plain" "$*"; }
die() {
    printf '%s  %s✗%s %s\n' "$clear" "$red" "$plain" "$1" >&2
    shift
    [[ $# -eq 0 ]] || printf '    %s\n' "$@" >&2
    exit 1
}

# How far a job is, from its log: percents while compiling, else its last line.
progress_of() {
    local log=$1 total=${2:-0} done
    if ((total > 0)); then
        done=$(grep -cE '^  (CC|CXX|CCLD|AR|GEN) ' "$log" || true)
        printf '%3d%%  ' $((done < total ? done * 100 / total : 100))
    fi
    tail -n 1 "$log" | tr -d '\r' | tr -s ' ' | cut -c1-60
}

# step TITLE LOG TOTAL COMMAND…: runs the command and shows that something happens: a moving line on a terminal, a line
# every ten seconds elsewhere. TOTAL is how many files it compiles; 0 when it does not.
step() {
    local title=$1 log=$2 total=$3 begun=$SECONDS shown=$SECONDS job
    shift 3
    : >"$log"
    "$@" >>"$log" 2>&1 9>&- &
    job=$!
    trap 'kill "$job" 2>/dev/null || true; exit 130' INT TERM
    while kill -0 "$job" 2>/dev/null; do
        if [[ -n $clear ]]; then
            printf '%s  … %s %s%3d s  %s%s' "$clear" "$title" "$dim" $((SECONDS - begun)) "$(progress_of "$log" "$total")" "$plain"
        elif ((SECONDS - shown >= 10)); then
            shown=$SECONDS
            note "… $title, $((SECONDS - begun)) s: $(progress_of "$log" "$total")"
        fi
        sleep 0.2
    done
    trap - INT TERM
    if ! wait "$job"; then
        printf '%s' "$clear"
        tail -n 25 "$log" | sed 's/^/    /' >&2
        die "$title failed. The whole log: ${log#"$PWD"/}"
    fi
    ok "$title $dim($((SECONDS - begun)) s)$plain"
}

# ------------------------------------------------------------------------------------------------ processes

# The pid of a part that we started and that still runs: the number alone may belong to somebody else by now.
pid_of() {
    local pid
    pid=$(cat "$run/$1.pid" 2>/dev/null) && [[ -n $pid && $(readlink "/proc/$pid/exe" 2>/dev/null) == "$build/"* ]] && echo "$pid"
}

# launch NAME COMMAND…: in the background, in a session of its own, with a log.
launch() {
    local name=$1
    shift
    setsid "$@" >>"$logs/$name.log" 2>&1 </dev/null 9>&- &
    echo $! >"$run/$name.pid"
}

# until_true SECONDS NAME COMMAND…: polls; fails at once when the part has ended.
until_true() {
    local end=$((SECONDS + $1)) name=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        if [[ -z $(pid_of "$name") ]] || ((SECONDS > end)); then
            tail -n 15 "$logs/$name.log" | sed 's/^/    /' >&2
            die "$name does not start. The whole log: quickstart-run/logs/$name.log"
        fi
        sleep 0.1
    done
}

end_part() {
    local name=$1 pid
    pid=$(pid_of "$name") || return 0
    kill "$pid"
    for ((i = 0; i < 350; i++)); do
        [[ -n $(pid_of "$name") ]] || { rm -f "$run/$name.pid"; ok "$name stopped"; return 0; }
        sleep 0.1
    done
    die "$name (process $pid) does not stop"
}

end_if_rebuilt() {
    local pid
    pid=$(pid_of "$1") || return 0
    [[ $(readlink "/proc/$pid/exe") != *' (deleted)' ]] || end_part "$1"
}

stop_all() {
    [[ -d $run ]] || die "nothing to stop: there is no quickstart-run/"
    heading "Stopping"
    end_part paynotifyd
    end_part paynotify-sandbox
    $python $node stop "$run/rabbitmq"
    ok "RabbitMQ stopped"
    note "The data stays in quickstart-run/; remove the folder to begin anew."
}

# ------------------------------------------------------------------------------------------------ ports

is_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# port_for NAME WISH: the port of an earlier run, else WISH, else the next free one. Kept in $run/NAME.port.
port_for() {
    local name=$1 wish=$2 port
    port=$(cat "$run/$name.port" 2>/dev/null || echo "$wish")
    wish=$port
    while is_taken "$port"; do
        port=$((port + 10))
        ((port < 65536)) || die "no free port for $name"
    done
    [[ $port -eq $wish ]] || note "port $wish is taken by another program: $name uses $port" >&2
    echo "$port" | tee "$run/$name.port"
}

# ------------------------------------------------------------------------------------------------ the parts

install_packages() {
    local missing=() package
    for package in "${packages[@]}"; do
        [[ $(dpkg-query -Wf '${db:Status-Abbrev}' "$package" 2>/dev/null) == ii* ]] || missing+=("$package")
    done
    if [[ ${#missing[@]} -eq 0 ]]; then
        ok "packages are there"
        return
    fi
    [[ $EUID -eq 0 ]] || die "these packages are missing, and only root can install them:" "apt-get install ${missing[*]}"
    note "to be installed: ${missing[*]}"
    step "package lists" "$logs/apt-update.log" 0 apt-get update
    step "${#missing[@]} packages" "$logs/apt-install.log" 0 apt_install "${missing[@]}"
}

# Without starting the system's own RabbitMQ: ours is private.
apt_install() {
    local policy=/usr/sbin/policy-rc.d status=0
    [[ ! -e $policy ]] || policy=''
    [[ -z $policy ]] || { printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy; }
    DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y --no-install-recommends -o Dpkg::Use-Pty=0 "$@" || status=$?
    [[ -z $policy ]] || rm -f $policy
    return $status
}

build_server() {
    local total
    [[ -x configure && configure -nt configure.ac ]] || step "autoreconf" "$logs/autoreconf.log" 0 autoreconf -fi
    mkdir -p "$build"
    if [[ ! -f $build/Makefile || configure -nt $build/Makefile ]]; then
        step "configure" "$logs/configure.log" 0 env --chdir="$build" ../../configure
    fi
    total=$(make -n -C "$build" 2>/dev/null | grep -cE '^echo "  (CC|CXX|CCLD|AR|GEN) ' || true)
    step "compiled" "$logs/make.log" "$((total + 1))" make -C "$build" -j"$(nproc)"
}

start_broker() {
    step "RabbitMQ, a node of its own" "$logs/rabbitmq.log" 0 $python $node start "$run/rabbitmq"
    amqp=$(tail -n 1 "$logs/rabbitmq.log")
}

start_sandbox() {
    end_if_rebuilt paynotify-sandbox
    if [[ -z $(pid_of paynotify-sandbox) ]]; then
        local port
        port=$(port_for sandbox 8090)
        rm -f "$run/sandbox-ready"
        launch paynotify-sandbox "$build/paynotify-sandbox" --dir "$run/sandbox" --listen "127.0.0.1:$port" --speed 60 \
            --port-file "$run/sandbox-ready"
        until_true 20 paynotify-sandbox test -s "$run/sandbox-ready"
    fi
    sandbox=http://127.0.0.1:$(cat "$run/sandbox-ready")
    ok "sandbox: plays Alipay and WeChat Pay at $sandbox"
}

write_config() {
    [[ -s $run/api.key ]] || (umask 077 && openssl rand -hex 16 >"$run/api.key")
    mkdir -p "$run/plugins"
    ln -sf "$build"/.libs/paynotify-*.so "$run/plugins/"
    (umask 077 && cat >"$run/paynotify.conf") <<END
; Written by tools/quickstart.sh at every start.
[server]
public_listen = 127.0.0.1:$1
api_listen = 127.0.0.1:$2
public_url = http://127.0.0.1:$1
link_key_file = link.key
plugin_dir = $run/plugins
node_name = quickstart

[store]
url = sqlite:$run/paynotify.db

[app quickstart]
key_sha256 = $(tr -d '\n' <"$run/api.key" | sha256sum | cut -d' ' -f1)

[channel alipay]
plugin = alipay
$(grep -v '^;' "$run/sandbox/merchant.conf")

[channel wechat]
plugin = wechat
$(grep -v '^;' "$run/sandbox/wechat-merchant.conf")

[sink learning-centre]
plugin = sink-rabbitmq
url = $amqp
END
}

start_server() {
    end_if_rebuilt paynotifyd
    if [[ -z $(pid_of paynotifyd) ]]; then
        local public_port api_port
        public_port=$(port_for public 8080)
        api_port=$(port_for api 8081)
        write_config "$public_port" "$api_port"
        launch paynotifyd "$build/paynotifyd" -c "$run/paynotify.conf"
        until_true 30 paynotifyd curl -sf "http://127.0.0.1:$api_port/readyz"
    fi
    public=http://127.0.0.1:$(cat "$run/public.port")
    api=http://127.0.0.1:$(cat "$run/api.port")
    ok "paynotifyd: API at $api, payers and providers at $public"
}

# ------------------------------------------------------------------------------------------------ the order

# field NAME: of the JSON object on stdin.
field() { $python -c 'import json, sys; print(json.load(sys.stdin).get(sys.argv[1], ""))' "$1"; }

create_order() {
    # The key goes through a pipe: arguments can be read by everybody on the machine.
    curl -sS "$api/v1/orders" -H @<(printf 'Authorization: Bearer %s\n' "$(cat "$run/api.key")") -H 'Content-Type: application/json' -d "{
        \"out_business_id\": \"$1\", \"amount\": \"88.80\", \"currency\": \"CNY\", \"name\": \"Java course\",
        \"order_type\": \"60201\", \"user_id\": \"student-7\", \"channel\": \"alipay\" }"
}

pay_one_order() {
    local number order pay_url
    number=course-$(date +%Y%m%d-%H%M%S)
    heading "An order"
    cat <<END
  curl $api/v1/orders -H "Authorization: Bearer \$(cat quickstart-run/api.key)" \\
       -H 'Content-Type: application/json' -d '{"out_business_id": "$number", "amount": "88.80",
       "currency": "CNY", "name": "Java course", "order_type": "60201", "channel": "alipay"}'

END
    order=$(create_order "$number")
    pay_url=$(field pay_url <<<"$order")
    [[ -n $pay_url ]] || die "the order was refused: $order"
    ok "order $(field order_id <<<"$order"), payment $(field pay_no <<<"$order"): CNY 88.80, unpaid"

    heading "Scan to pay"
    qrencode -t ANSIUTF8 -m 2 "$pay_url" | sed 's/^/  /'
    note "$pay_url"

    heading "The payer opens the link and presses Pay"
    $python tools/quickstart/payer.py "$pay_url" || die "the payment did not work"

    heading "What a consumer of the queue paynotify_queue receives"
    $python examples/consumer.py --url "$amqp" --until "$number" --seconds 30 | sed 's/^/  /'
}

show_where() {
    local number=course-$(date +%Y%m%d-%H%M%S)-b link
    link=$(create_order "$number" | field pay_url)
    heading "Everything is running"
    cat <<END
  Pay one yourself   $link
  API                $api/v1/orders   (key: quickstart-run/api.key)
  Health, metrics    $api/readyz   $api/metrics
  The providers      $sandbox/ (Alipay)   $sandbox/wechat (WeChat Pay)   $sandbox/control/trades
  RabbitMQ           $amqp   ($python examples/consumer.py --url $amqp)
  Configuration      quickstart-run/paynotify.conf
  Books, logs        quickstart-run/paynotify.db   quickstart-run/logs/

  Again, with another order:  tools/quickstart.sh
  Stop:                       tools/quickstart.sh --stop
END
}

case ${1:-} in
'') ;;
--stop) stop_all; exit 0 ;;
-h | --help) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
*) die "unknown argument: $1" "tools/quickstart.sh [--stop | --help]" ;;
esac

mkdir -p "$logs"
exec 9>"$run/lock"
flock -n 9 || die "another tools/quickstart.sh is at work in this folder"
heading "Packages"
install_packages
heading "Build"
build_server
heading "Servers"
start_broker
start_sandbox
start_server
pay_one_order
show_where
