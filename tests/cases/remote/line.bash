# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# A line to a server on loopback, with a delay and a rate, that can be cut:
# bin/netproxy.c. Loaded behind helpers.

# line_start PORT [ROUND_TRIP_MS [BYTES_PER_SECOND]]: 20 ms and 200 Mbit/s.
# Leaves the port of the near end in $line_port. It ends with the test, whose
# end closes its input.
line_start() {
	rm -f line.in line.out
	mkfifo line.in
	"$LARDER_BUILDDIR/tests/cases/bin/netproxy" "${2:-20}" \
		"${3:-25000000}" "$1" <line.in >line.out 3>&- &
	exec {line_fd}>line.in
	wait_until test -s line.out
	line_port=$(head -n 1 line.out)
}

# line COMMAND: cut, stall, resume or count, whose answer it prints.
line() {
	local before
	before=$(wc -l <line.out)
	echo "$1" >&"$line_fd"
	wait_until line_has_answered "$before"
	tail -n 1 line.out
}

line_has_answered() {
	[ "$(wc -l <line.out)" -gt "$1" ]
}
