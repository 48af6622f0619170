# Completions for fish. Made from src/daemon/config/options.rs by cargo test --bin ecohttpd documents.
complete -c ecohttpd -f
complete -c ecohttpd -s h -l docroot -d 'the folder to serve' -xa '(__fish_complete_directories)'
complete -c ecohttpd -s p -l listen -d 'listen here; IPv6 in brackets; port 0 picks one' -x
complete -c ecohttpd -s s -l listen-tls -d 'listen here for HTTPS; needs -C and -K' -x
complete -c ecohttpd -s C -l cert -d 'certificate chain, PEM or DER' -rF
complete -c ecohttpd -s K -l key -d 'private key of the certificate, PEM or DER' -rF
complete -c ecohttpd -l ca -d 'authorities that sign client certificates, PEM' -rF
complete -c ecohttpd -l require-client-cert -d 'require a client certificate below /PREFIX; needs --ca' -x
complete -c ecohttpd -s P -l ciphers -d 'TLS 1.2 cipher suites, OpenSSL\'s names separated by colons' -x
complete -c ecohttpd -l http2 -d 'offer HTTP/2 to clients of HTTPS' -x
complete -c ecohttpd -l self-signed -d 'make a self-signed certificate and key if one is missing'
complete -c ecohttpd -s q -l redirect-https -d 'redirect HTTP to HTTPS, except ACME challenges'
complete -c ecohttpd -l hsts -d 'tell browsers to use HTTPS only, for this long' -x
complete -c ecohttpd -l server-name -d 'host name of this site; *.NAME: all names below it' -x
complete -c ecohttpd -s I -l index -d 'index file, tried before index.html and the like' -x
complete -c ecohttpd -s E -l error-page -d 'file or script that answers 403 and 404' -x
complete -c ecohttpd -l fallback -d 'page sent with 200 in place of missing pages' -x
complete -c ecohttpd -s y -l alias -d 'serve /PATH from /OTHER/PATH, or from below the CGI prefix' -x
complete -c ecohttpd -l proxy -d 'forward requests below /PREFIX to a server: http://HOST:PORT[/PATH], https://..., unix:/FILE[:/PATH]' -x
complete -c ecohttpd -l proxy-timeout -d 'time for such a server, or one of --fastcgi, to move data' -x
complete -c ecohttpd -l proxy-idle-timeout -d 'close a proxied WebSocket that is silent for so long' -x
complete -c ecohttpd -l fastcgi -d 'have files with this extension, or /PREFIX, run by a FastCGI server: unix:/FILE or HOST:PORT' -x
complete -c ecohttpd -s S -l no-symlinks -d 'refuse symbolic links that lead out of the folder'
complete -c ecohttpd -s D -l no-dirlists -d 'answer 403 for a folder without an index'
complete -c ecohttpd -s b -l list-charset -d 'charset of directory listings' -x
complete -c ecohttpd -l private-files -d 'also serve files that not every user may read'
complete -c ecohttpd -l no-gzip -d 'do not serve FILE.br, FILE.zst, FILE.gz in place of FILE'
complete -c ecohttpd -l header -d 'add a header field to responses below /PREFIX' -x
complete -c ecohttpd -l no-server-header -d 'send no Server field'
complete -c ecohttpd -s R -l rfc1918-filter -d 'refuse private clients at public addresses (DNS rebinding)'
complete -c ecohttpd -l allow -d 'allow only these below /PREFIX: ADDR, ADDR/BITS, *, unix' -x
complete -c ecohttpd -l deny -d 'deny these below /PREFIX; *: all not named by --allow' -x
complete -c ecohttpd -l trusted-proxy -d 'take the client from X-Forwarded-For or Forwarded of these proxies' -x
complete -c ecohttpd -s r -l realm -d 'realm of logins' -x
complete -c ecohttpd -s c -l httpd-conf -d 'logins and more, as for busybox httpd; /etc/httpd.conf if it exists' -rF
complete -c ecohttpd -s x -l cgi-prefix -d 'where CGI scripts are' -x
complete -c ecohttpd -s i -l interpreter -d 'run files with this extension by PROGRAM' -x
complete -c ecohttpd -s n -l max-requests -d 'scripts that run at once; others wait' -x
complete -c ecohttpd -s t -l script-timeout -d 'end a script that moves no data for this long' -x
complete -c ecohttpd -l chunked-body-limit -d 'longest chunked body for a script, in KiB' -x
complete -c ecohttpd -l body-temp-path -d 'where chunked bodies are buffered' -xa '(__fish_complete_directories)'
complete -c ecohttpd -s u -l ubus-prefix -d 'serve JSON-RPC over ubus here' -x
complete -c ecohttpd -s U -l ubus-socket -d 'ubusd\'s socket' -rF
complete -c ecohttpd -s a -l no-ubusauth -d 'let everyone call everything over ubus'
complete -c ecohttpd -s X -l ubus-cors -d 'let pages of other origins call over ubus'
complete -c ecohttpd -s e -l ubus-retry -d 'tell ubus subscribers to reconnect after this many milliseconds' -x
complete -c ecohttpd -s N -l max-connections -d 'connections at once' -x
complete -c ecohttpd -s k -l http-keepalive -d 'close idle connections after this long; 0: after each response' -x
complete -c ecohttpd -s T -l network-timeout -d 'time for a request\'s head, and for a body to make progress' -x
complete -c ecohttpd -l send-timeout -d 'time for a client to read some of its response' -x
complete -c ecohttpd -s A -l tcp-keepalive -d 'interval of TCP keep-alive probes; 0: none' -x
complete -c ecohttpd -l access-log -d 'log requests to stdout, syslog or /FILE; 0: no'
complete -c ecohttpd -l metrics -d 'show metrics for Prometheus here; consider --allow' -x
complete -c ecohttpd -l server-status -d 'show what the server is doing here, as a page and as JSON; consider --allow' -x
complete -c ecohttpd -s l -l lua-prefix -d 'answer requests below /PATH by the Lua handler FILE, or that of -L' -x
complete -c ecohttpd -s L -l lua-handler -d 'the handler of -l' -rF
complete -c ecohttpd -s o -l ucode-prefix -d 'answer requests below /PATH by the ucode handler FILE, or that of -O' -x
complete -c ecohttpd -s O -l ucode-handler -d 'the handler of -o' -rF
complete -c ecohttpd -l lua-worker -d 'what runs Lua handlers' -x
complete -c ecohttpd -l ucode-worker -d 'what runs ucode handlers' -x
complete -c ecohttpd -s H -l json-script -d '(uhttpd\'s; not supported)' -rF
complete -c ecohttpd -l config -d 'read the options from a file in UCI syntax, as /etc/config/uhttpd' -rF
complete -c ecohttpd -s f -l foreground -d 'stay in the foreground'
complete -c ecohttpd -l open -d 'print the address for a phone or another device, with a QR code in a terminal'
complete -c ecohttpd -l user -d 'become this user once everything is open' -xa '(__fish_complete_users)'
complete -c ecohttpd -l pid-file -d 'write the process id there' -rF
complete -c ecohttpd -l syslog -d 'log to syslog instead of standard error'
complete -c ecohttpd -l test -d 'check the configuration, and exit: 0 if it is valid'
complete -c ecohttpd -l dump -d 'print the configuration in effect as UCI, and exit'
complete -c ecohttpd -s d -l urldecode -d 'print TEXT decoded, and exit' -x
complete -c ecohttpd -s m -l md5crypt -d 'print the MD5 crypt of TEXT, and exit' -x
complete -c ecohttpd -l help -d 'print this, and exit'
complete -c ecohttpd -l version -d 'print the version, and exit'
