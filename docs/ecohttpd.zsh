#compdef ecohttpd
# Completions for zsh. Made from src/daemon/config/options.rs by cargo test --bin ecohttpd documents.
_arguments -s \
    '*'{-h+,--docroot=}'[the folder to serve]:DIR:_files -/' \
    '*'{-p+,--listen=}'[listen here; IPv6 in brackets; port 0 picks one]:\[ADDR\:\]PORT: ' \
    '*'{-s+,--listen-tls=}'[listen here for HTTPS; needs -C and -K]:\[ADDR\:\]PORT: ' \
    '*'{-C+,--cert=}'[certificate chain, PEM or DER]:FILE:_files' \
    '*'{-K+,--key=}'[private key of the certificate, PEM or DER]:FILE:_files' \
    '*'--ca='[authorities that sign client certificates, PEM]:FILE:_files' \
    '*'--require-client-cert='[require a client certificate below /PREFIX; needs --ca]:/PREFIX: ' \
    '*'{-P+,--ciphers=}'[TLS 1.2 cipher suites, OpenSSL'\''s names separated by colons]:LIST: ' \
    '*'--http2='[offer HTTP/2 to clients of HTTPS]:0|1: ' \
    '*'--self-signed'[make a self-signed certificate and key if one is missing]' \
    '*'{-q,--redirect-https}'[redirect HTTP to HTTPS, except ACME challenges]' \
    '*'--hsts='[tell browsers to use HTTPS only, for this long]:SECS: ' \
    '*'--server-name='[host name of this site; *.NAME\: all names below it]:NAME: ' \
    '*'{-I+,--index=}'[index file, tried before index.html and the like]:NAME: ' \
    '*'{-E+,--error-page=}'[file or script that answers 403 and 404]:/URL: ' \
    '*'--fallback='[page sent with 200 in place of missing pages]:/URL: ' \
    '*'{-y+,--alias=}'[serve /PATH from /OTHER/PATH, or from below the CGI prefix]:/PATH\[=/OTHER\]: ' \
    '*'--proxy='[forward requests below /PREFIX to a server\: http\://HOST\:PORT\[/PATH\], https\://..., unix\:/FILE\[\:/PATH\]]:'\''/PREFIX=URL...'\'': ' \
    '*'--proxy-timeout='[time for such a server, or one of --fastcgi, to move data]:SECS: ' \
    '*'--proxy-idle-timeout='[close a proxied WebSocket that is silent for so long]:SECS: ' \
    '*'--fastcgi='[have files with this extension, or /PREFIX, run by a FastCGI server\: unix\:/FILE or HOST\:PORT]:'\''.EXT=ADDR...'\'': ' \
    '*'{-S,--no-symlinks}'[refuse symbolic links that lead out of the folder]' \
    '*'{-D,--no-dirlists}'[answer 403 for a folder without an index]' \
    '*'{-b+,--list-charset=}'[charset of directory listings]:NAME: ' \
    '*'--private-files'[also serve files that not every user may read]' \
    '*'--no-gzip'[do not serve FILE.br, FILE.zst, FILE.gz in place of FILE]' \
    '*'--header='[add a header field to responses below /PREFIX]:'\''\[/PREFIX\[?PARAMETER\] \]NAME\: VALUE'\'': ' \
    '*'--no-server-header'[send no Server field]' \
    '*'{-R,--rfc1918-filter}'[refuse private clients at public addresses (DNS rebinding)]' \
    '*'--allow='[allow only these below /PREFIX\: ADDR, ADDR/BITS, *, unix]:'\''\[/PREFIX \]ADDR...'\'': ' \
    '*'--deny='[deny these below /PREFIX; *\: all not named by --allow]:'\''\[/PREFIX \]ADDR...'\'': ' \
    '*'--trusted-proxy='[take the client from X-Forwarded-For or Forwarded of these proxies]:ADDR...: ' \
    '*'{-r+,--realm=}'[realm of logins]:TEXT: ' \
    '*'{-c+,--httpd-conf=}'[logins and more, as for busybox httpd; /etc/httpd.conf if it exists]:FILE:_files' \
    '*'{-x+,--cgi-prefix=}'[where CGI scripts are]:/PATH: ' \
    '*'{-i+,--interpreter=}'[run files with this extension by PROGRAM]:.EXT=PROGRAM: ' \
    '*'{-n+,--max-requests=}'[scripts that run at once; others wait]:N: ' \
    '*'{-t+,--script-timeout=}'[end a script that moves no data for this long]:SECS: ' \
    '*'--chunked-body-limit='[longest chunked body for a script, in KiB]:KIB: ' \
    '*'--body-temp-path='[where chunked bodies are buffered]:DIR:_files -/' \
    '*'{-u+,--ubus-prefix=}'[serve JSON-RPC over ubus here]:/PATH: ' \
    '*'{-U+,--ubus-socket=}'[ubusd'\''s socket]:FILE:_files' \
    '*'{-a,--no-ubusauth}'[let everyone call everything over ubus]' \
    '*'{-X,--ubus-cors}'[let pages of other origins call over ubus]' \
    '*'{-e+,--ubus-retry=}'[tell ubus subscribers to reconnect after this many milliseconds]:MS: ' \
    '*'{-N+,--max-connections=}'[connections at once]:N: ' \
    '*'{-k+,--http-keepalive=}'[close idle connections after this long; 0\: after each response]:SECS: ' \
    '*'{-T+,--network-timeout=}'[time for a request'\''s head, and for a body to make progress]:SECS: ' \
    '*'--send-timeout='[time for a client to read some of its response]:SECS: ' \
    '*'{-A+,--tcp-keepalive=}'[interval of TCP keep-alive probes; 0\: none]:SECS: ' \
    '*'--access-log=-'[log requests to stdout, syslog or /FILE; 0\: no]::WHERE: ' \
    '*'--metrics='[show metrics for Prometheus here; consider --allow]:/PATH: ' \
    '*'--server-status='[show what the server is doing here, as a page and as JSON; consider --allow]:/PATH: ' \
    '*'{-l+,--lua-prefix=}'[answer requests below /PATH by the Lua handler FILE, or that of -L]:/PATH\[=FILE\]: ' \
    '*'{-L+,--lua-handler=}'[the handler of -l]:FILE:_files' \
    '*'{-o+,--ucode-prefix=}'[answer requests below /PATH by the ucode handler FILE, or that of -O]:/PATH\[=FILE\]: ' \
    '*'{-O+,--ucode-handler=}'[the handler of -o]:FILE:_files' \
    '*'--lua-worker='[what runs Lua handlers]:COMMAND: ' \
    '*'--ucode-worker='[what runs ucode handlers]:COMMAND: ' \
    '*'{-H+,--json-script=}'[(uhttpd'\''s; not supported)]:FILE:_files' \
    '*'--config='[read the options from a file in UCI syntax, as /etc/config/uhttpd]:FILE:_files' \
    '*'{-f,--foreground}'[stay in the foreground]' \
    '*'--open'[print the address for a phone or another device, with a QR code in a terminal]' \
    '*'--user='[become this user once everything is open]:NAME:_users' \
    '*'--pid-file='[write the process id there]:FILE:_files' \
    '*'--syslog'[log to syslog instead of standard error]' \
    '*'--test'[check the configuration, and exit\: 0 if it is valid]' \
    '*'--dump'[print the configuration in effect as UCI, and exit]' \
    '*'{-d+,--urldecode=}'[print TEXT decoded, and exit]:TEXT: ' \
    '*'{-m+,--md5crypt=}'[print the MD5 crypt of TEXT, and exit]:TEXT: ' \
    '*'--help'[print this, and exit]' \
    '*'--version'[print the version, and exit]'
