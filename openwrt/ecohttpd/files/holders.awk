# Who listens where, as "PORT ADDRESS PROGRAM" lines: netstat's -p is not in every busybox.
#
# Reads /proc/net/tcp and tcp6, then `ls -l /proc/[0-9]*/fd`. Addresses are as the kernel prints them: hexadecimal, in the
# byte order of the processor; "any" and "any6" stand for all addresses. An unknown program is "-".

$2 ~ /:/ && $4 == "0A" {
	split($2, place, ":")
	address = place[1] ~ /[^0]/ ? place[1] : length(place[1]) == 8 ? "any" : "any6"
	holder[$10] = number(place[2]) " " address
	next
}

/^\/proc\/[0-9]+\/fd:$/ {
	program = ""
	folder = substr($0, 1, length($0) - 3)
	next
}

/ socket:\[[0-9]+\]$/ {
	socket = $NF
	gsub(/[^0-9]/, "", socket)
	if (!(socket in holder))
		next
	if (program == "" && (getline program <(folder "comm")) < 1)
		program = "-"
	close(folder "comm")
	print holder[socket], program
	found[socket]
}

END {
	for (socket in holder)
		if (!(socket in found))
			print holder[socket], "-"
}

function number(hex, at, value) {
	for (at = 1; at <= length(hex); at++)
		value = value * 16 + index("123456789ABCDEF", substr(hex, at, 1))
	return value
}
