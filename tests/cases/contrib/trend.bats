#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# What the soak takes for growth (contrib/trend.awk).

load ../helpers

# series EXPRESSION FLOOR prints 30 values of an expression of i and r, which
# is a number from 0 to 99 that wanders.
series() {
	awk -v floor="$2" 'BEGIN {
		for (i = 0; i < 30; i++) {
			r = (i * 7919 + 31) % 97
			print "it", floor, '"$1"'
		}
	}'
}

verdict() {
	series "$1" "$2" | awk -f "$LARDER_SRCDIR/contrib/trend.awk"
}

@test "a series that grows is told, through noise and in steps" {
	run -1 verdict '1000 + i * 10 + r' 50
	[[ $output == GROWS* ]]
	run -1 verdict '10 + int(i / 8)' 0
	[[ $output == GROWS* ]]
}

@test "a series that is even, wanders, falls, or has an outlier is flat" {
	for expression in 5 '1000 + r' '1000 - i * 10' \
		'i == 20 ? 9000 : 7' '1000 + i'; do
		run -0 verdict "$expression" 50
		[[ $output == flat* ]]
	done
}
