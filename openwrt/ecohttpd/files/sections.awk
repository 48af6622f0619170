# Of the text of `uci export`, what the daemon is to serve: the sections that are enabled, without their `enabled`.
#
# -v taken: the sections of uhttpd that are served although they are marked as off, with what that was before.

BEGIN {
	count = split(taken, entries, " ")
	for (n = 1; n <= count; n++) {
		sub(/=.*/, "", entries[n])
		is_taken[entries[n]]
	}
	position = 0
}

$1 == "package" {
	finish()
	is_ours = $2 == "ecohttpd"
	next
}

$1 == "config" {
	finish()
	kind = bare($2)
	name = bare($3)
	enabled = 1
	listens = 0
	text = $0 "\n"
	if (kind == "uhttpd" && !is_ours) {
		always = (name == "" ? "@uhttpd[" position "]" : name) in is_taken
		position++
	} else
		always = 0
	next
}

kind == "uhttpd" && $1 == "option" && $2 == "enabled" {
	enabled = always || bare($3) !~ /^(0|off|false|no|disabled)$/
	next
}

$2 ~ /^listen_https?$/ { listens = 1 }

{ text = text $0 "\n" }

END { finish() }

# Prints the section that has come to its end: only now all of it is known.
function finish() {
	if (kind == "uhttpd") {
		# One of ours without an address adds to one of uhttpd's, if that is served.
		if (enabled && (listens || !is_ours || name in served)) {
			if (name != "")
				served[name]
			printf "%s", text
		}
	} else if (kind == "cert" || kind == "httpauth")
		printf "%s", text
	kind = ""
	text = ""
}

function bare(word) {
	gsub(/['"]/, "", word)
	return word
}
