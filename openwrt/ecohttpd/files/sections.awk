# Filters the output of `uci export`: prints the sections that the daemon serves, without their option `enabled`.
#
# -v taken: the sections of uhttpd that are served although they are disabled, as in ecohttpd.global.taken.

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

# Prints the section that has just ended: only now all of it is known.
function finish() {
	if (kind == "uhttpd") {
		# A section of ecohttpd without an address adds to one of uhttpd, if that is served.
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
