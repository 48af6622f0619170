# shellcheck shell=bash
# Completions for bash. Made from src/daemon/config/options.rs by cargo test --bin ecohttpd documents.
_ecohttpd() {
    local word=${COMP_WORDS[COMP_CWORD]}
    case ${COMP_WORDS[COMP_CWORD - 1]} in
    -C | --cert | -K | --key | --ca | -c | --httpd-conf | -U | --ubus-socket | -L | --lua-handler | -O | --ucode-handler | -H | --json-script | --config | --pid-file)
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
        ;;
    -h | --docroot | --body-temp-path)
        mapfile -t COMPREPLY < <(compgen -d -- "$word")
        return
        ;;
    --user)
        mapfile -t COMPREPLY < <(compgen -u -- "$word")
        return
        ;;
    -p | --listen | -s | --listen-tls | --require-client-cert | -P | --ciphers | --http2 | --hsts | --server-name | -I | --index | -E | --error-page | --fallback | -y | --alias | --proxy | --proxy-timeout | --proxy-idle-timeout | --fastcgi | -b | --list-charset | --header | --allow | --deny | --trusted-proxy | -r | --realm | -x | --cgi-prefix | -i | --interpreter | -n | --max-requests | -t | --script-timeout | --chunked-body-limit | -u | --ubus-prefix | -e | --ubus-retry | -N | --max-connections | -k | --http-keepalive | -T | --network-timeout | --send-timeout | -A | --tcp-keepalive | --metrics | --server-status | -l | --lua-prefix | -o | --ucode-prefix | --lua-worker | --ucode-worker | -d | --urldecode | -m | --md5crypt) return ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "--docroot --listen --listen-tls --cert --key --ca --require-client-cert --ciphers --http2 --self-signed --redirect-https --hsts --server-name --index --error-page --fallback --alias --proxy --proxy-timeout --proxy-idle-timeout --fastcgi --no-symlinks --no-dirlists --list-charset --private-files --no-gzip --header --no-server-header --rfc1918-filter --allow --deny --trusted-proxy --realm --httpd-conf --cgi-prefix --interpreter --max-requests --script-timeout --chunked-body-limit --body-temp-path --ubus-prefix --ubus-socket --no-ubusauth --ubus-cors --ubus-retry --max-connections --http-keepalive --network-timeout --send-timeout --tcp-keepalive --access-log --metrics --server-status --lua-prefix --lua-handler --ucode-prefix --ucode-handler --lua-worker --ucode-worker --json-script --config --foreground --open --user --pid-file --syslog --test --dump --urldecode --md5crypt --help --version" -- "$word")
}
complete -F _ecohttpd ecohttpd
