#!/usr/bin/env bash
# Has openssl and curl talk TLS to the cross-built daemon under qemu-user: each kind of key with each version, suite and
# group that it offers, 10 MB that must arrive as they were, resumption, and what must be refused.
#
#   cross/tls.sh TARGET
#
# What the daemon does not do by itself, uploads and certificates of clients, tests/tls.rs tries on the target; see
# cross/test.sh, which runs both. Environment: that of lib.sh; ECOHTTPD_BIN (default: cross/build.sh makes it).
# shellcheck source=lib.sh source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

# Name of the key, and how openssl makes it.
KEYS=(
    "p256 -algorithm EC -pkeyopt ec_paramgen_curve:P-256"
    "p384 -algorithm EC -pkeyopt ec_paramgen_curve:P-384"
    "ed25519 -algorithm ED25519"
    "rsa2048 -algorithm RSA -pkeyopt rsa_keygen_bits:2048"
    "rsa4096 -algorithm RSA -pkeyopt rsa_keygen_bits:4096"
)
SUITES13=(TLS_AES_128_GCM_SHA256 TLS_AES_256_GCM_SHA384 TLS_CHACHA20_POLY1305_SHA256)
SUITES12=(AES128-GCM-SHA256 AES256-GCM-SHA384 CHACHA20-POLY1305)

main() {
    local key name
    target "${1:?usage: cross/tls.sh TARGET}"
    binary=${ECOHTTPD_BIN:-$(cross/build.sh "$target")}
    mkdir "$dir/www"
    head -c 10000000 /dev/urandom >"$dir/www/large"
    echo content >"$dir/www/small"
    for key in "${KEYS[@]}"; do
        name=${key%% *}
        # shellcheck disable=SC2086 # words
        openssl genpkey ${key#* } -out "$dir/key" 2>/dev/null
        openssl req -x509 -new -key "$dir/key" -out "$dir/cert" -days 30 -subj /CN=localhost \
            -addext subjectAltName=DNS:localhost,IP:127.0.0.1
        serve
        versions "$name"
        stop
    done
    printf '%s: %d handshakes and exchanges, all as they should be\n' "$target" "$count"
}

# serve: starts the daemon; sets $pid and $port.
serve() {
    local line
    coproc daemon { exec "${runner[@]}" "$binary" -f -s 127.0.0.1:0 -C "$dir/cert" -K "$dir/key" -h "$dir/www" 2>&1; }
    # shellcheck disable=SC2154 # bash sets it
    pid=$daemon_PID
    read -r line <&"${daemon[0]}"
    port=$(sed -n 's|.*https://127.0.0.1:\([0-9]*\)/.*|\1|p' <<<"$line")
    [ -n "$port" ] || { echo "the daemon does not start: $line" >&2 && exit 1; }
}

stop() {
    [ -z "$pid" ] || { kill "$pid" && wait "$pid"; } 2>/dev/null || true
    pid=
}

# versions KEY: all that a client may ask for of a server with this key.
versions() {
    local suite group kind=ECDSA curve='' both
    case $1 in
    rsa*) kind=RSA ;;
    # In TLS 1.2 the groups are those of certificates too (RFC 8422 §5.1.1).
    p256) curve=P-256 ;;
    p384) curve=P-384 ;;
    esac
    for group in X25519 P-256 P-384; do
        for suite in "${SUITES13[@]}"; do
            talk "$1" "TLSv1.3, Cipher is $suite" -tls1_3 -ciphersuites "$suite" -groups "$group"
        done
        both=$group
        [ -z "$curve" ] || [ "$curve" = "$group" ] || both=$group:$curve
        for suite in "${SUITES12[@]}"; do
            talk "$1" "TLSv1.2, Cipher is ECDHE-$kind-$suite" -tls1_2 -cipher "ECDHE-$kind-$suite" -groups "$both"
        done
    done
    for suite in "${SUITES13[@]}"; do download "$1" --tlsv1.3 --tls13-ciphers "$suite"; done
    for suite in "${SUITES12[@]}"; do download "$1" --tlsv1.2 --tls-max 1.2 --ciphers "ECDHE-$kind-$suite"; done
    resume "$1" -tls1_2
    resume "$1" -tls1_3
    refuse "$1" -tls1_2 -cipher "ECDHE-$kind-AES128-SHA:@SECLEVEL=0"
    refuse "$1" -tls1_2 -cipher AES128-GCM-SHA256
    refuse "$1" -tls1_1 -cipher DEFAULT:@SECLEVEL=0
    refuse "$1" -tls1_3 -groups P-521
}

# client ARG...: one GET by s_client; sets $said.
client() {
    count=$((count + 1))
    said=$(printf 'GET /small HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' |
        timeout 60 openssl s_client -ign_eof -connect "127.0.0.1:$port" -servername localhost -CAfile "$dir/cert" \
            -verify_return_error "$@" 2>&1)
}

# talk KEY WANTED ARG...
talk() {
    local key=$1 wanted=$2
    shift 2
    client "$@" || wrong "$key: $*"
    [[ $said == *"$wanted"* && $said == *"HTTP/1.1 200 OK"*content* ]] || wrong "$key: $* is not $wanted"
}

# refuse KEY ARG...
refuse() {
    local key=$1
    shift
    ! client "$@" || wrong "$key: $* should be refused"
    [[ $said == *alert* ]] || wrong "$key: $*: no alert"
}

# resume KEY VERSION
resume() {
    talk "$1" "New, " "$2" -sess_out "$dir/session"
    talk "$1" "Reused, " "$2" -sess_in "$dir/session"
}

# download KEY ARG...: 10 MB by curl.
download() {
    local key=$1
    shift
    count=$((count + 1))
    curl -q -sS -f --noproxy '*' --cacert "$dir/cert" "$@" -o "$dir/got" "https://localhost:$port/large" ||
        { echo "$key: curl $* failed" >&2 && exit 1; }
    cmp "$dir/www/large" "$dir/got"
}

wrong() {
    printf '%s\n%s: %s\n' "$said" "$target" "$1" >&2
    exit 1
}

count=0 pid='' dir=$(mktemp -d)
trap 'stop; rm -rf "$dir"' EXIT
main "$@"
