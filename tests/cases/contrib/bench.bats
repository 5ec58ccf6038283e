#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# The benchmark runs, says what it found, and leaves nothing behind. What the
# figures are is not looked at: they depend on the machine.

load ../helpers

setup() {
	larder_setup
	require_fuse
	need jq
	need python3
	bench=$LARDER_SRCDIR/contrib/bench/run
	export LARDER=$LARDER_BUILDDIR/larder TMPDIR=$BATS_TEST_TMPDIR/bench
	mkdir "$TMPDIR"
}

@test "rows are listed, and one that is not there is refused" {
	run "$bench" --list
	[ "$status" -eq 0 ]
	[[ $output == *$'\n'"untar "* ]]
	run "$bench" --rows untar,nonsense
	[ "$status" -eq 2 ]
	[[ $output == *"no row nonsense"* ]]
}

# How often the kernel was asked to drop its caches, as other cases do.
drops() {
	awk '/^drop_(pagecache|slab) / { n += $2 } END { print n }' /proc/vmstat
}

# undisturbed COMMAND... until the kernel's caches stayed all the while.
undisturbed() {
	local before tries
	for ((tries = 0; tries < 10; tries++)); do
		before=$(drops)
		"$@"
		[ "$(drops)" != "$before" ] || return 0
	done
	skip "the kernel's caches are dropped again and again"
}

@test "rows that are named are measured and written down" {
	"$bench" --quick --rounds 1 --rows warm-walk,warm-requests,commit \
		--work work --out out
	[ "$(cut -f 1,2 out/raw.tsv | grep -vc '^load')" -gt 3 ]
	awk -F '\t' '$3 !~ /^[0-9.e+-]+$/ { bad = 1 } END { exit bad }' \
		out/raw.tsv
	grep -F '| warm walk and stat of all | plain |' out/table.md
	# A warm walk is the kernel's alone, on any machine.
	undisturbed "$bench" --quick --rounds 1 --rows warm-requests \
		--work work --out warm
	grep -F '| requests to the daemon during those | - | 0 |' warm/table.md
	grep -c '<rect' out/ratios.svg
	[ -z "$(ls "$TMPDIR")" ]
}

@test "a tree that comes over a slow line is measured" {
	PATH=$PATH:/usr/sbin
	need nginx zstd cc curl
	"$LARDER_SRCDIR/contrib/bench/remote" --quick --rounds 1 \
		--work work >figures
	grep -E '^mount and tsc --version: [0-9.]+ s .*1 chunks read' figures
	grep -E '^mount and read all.*ratio [0-9.]+ .* 1334 chunks read' figures
	grep -E '^mount and webpack with a learned record.*ratio [0-9.]+ .wanted: 0.25; [0-9.]+ of it' figures
	[ -z "$(ls "$TMPDIR")" ]
}

# Daemons whose files are below $TMPDIR.
daemons() {
	local dir
	for dir in /proc/[0-9]*; do
		[ "$(cat "$dir/comm" 2>/dev/null)" = larderd ] &&
			grep -qasF "XDG_CACHE_HOME=$TMPDIR" "$dir/environ" &&
			echo "${dir#/proc/}"
	done
	return 0
}

nothing_is_left() {
	[ -z "$(ls "$TMPDIR")" ] && [ -z "$(daemons)" ] &&
		! grep -q "$TMPDIR" /proc/mounts
}

@test "a benchmark that is killed leaves no mount, no daemon and no file" {
	"$bench" --quick --rounds 1000 --rows warm-walk --work work \
		--out out >log 2>&1 3>&- &
	pid=$!
	wait_until grep -q '^warm-walk' out/raw.tsv
	[ -n "$(daemons)" ]
	grep -q "$TMPDIR" /proc/mounts
	kill -KILL "$pid"
	wait_until nothing_is_left
}
