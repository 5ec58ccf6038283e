# shellcheck shell=bash disable=SC2154 # bats sets output, status and stderr
# SPDX-License-Identifier: Apache-2.0
#
# Loaded by every file of cases: `load ../helpers`.
#
# Each test gets directories of its own, and so a store and a daemon of its
# own; they are in BATS_TEST_TMPDIR, or, for commands run as another user, in
# USER_DIR. teardown takes down what is left in them: mounts first, then the
# daemon. A file that needs its own setup or teardown defines them after the
# load and calls larder_setup and larder_teardown from them.
#
# Nothing here sleeps for a fixed time: wait_until polls.

bats_require_minimum_version 1.5.0

# shellcheck source=tests/cases/daemons.bash
. "${BASH_SOURCE[0]%/*}/daemons.bash"
# shellcheck source=tests/cases/trees.bash
. "${BASH_SOURCE[0]%/*}/trees.bash"

: "${LARDER:?is not set: run the cases with make check, or set it to the program}"
LARDER=$(realpath "$LARDER")
LARDERD=$(realpath "${LARDERD:-$(dirname "$LARDER")/larderd}")
LARDER_SRCDIR=${LARDER_SRCDIR:-$(realpath "${BASH_SOURCE[0]%/*}/../..")}
LARDER_BUILDDIR=${LARDER_BUILDDIR:-$(dirname "$LARDER")}
export LARDER LARDERD LARDER_SRCDIR LARDER_BUILDDIR
PATH=$(dirname "$LARDER"):$PATH

# ---- directories

larder_setup() {
	local assignment
	make_xdg_dirs "$BATS_TEST_TMPDIR"
	# A name only: as_user makes it, also from the subshell of `run`.
	USER_DIR=$(mktemp -u \
		"${LARDER_USER_TMPDIR:-/tmp}/larder-user.XXXXXX")
	while IFS= read -r assignment; do
		export "${assignment?}"
	done < <(xdg_dirs "$BATS_TEST_TMPDIR")
	unset LARDER_MODE LARDER_REBUILD LARDER_FAULT ACTIONS_CACHE_MODE
	cd "$BATS_TEST_TMPDIR" || return
}

larder_teardown() {
	local status=0 root
	# A test may have run in a directory that is about to be unmounted.
	cd / || return
	for root in "$BATS_TEST_TMPDIR" "$USER_DIR"; do
		[ ! -d "$root" ] || take_down "$root" || status=1
		[ ! -d "$root" ] || no_reports "$root" || status=1
	done
	rm -rf --one-file-system "$USER_DIR"
	return "$status"
}

# no_reports ROOT fails where a sanitizer found something in a daemon, which it
# says in the daemon's log: a worker that dies of it is replaced, and what it
# served goes on.
no_reports() {
	local log found=0
	while IFS= read -r log; do
		if grep -qE '(Address|Leak|Thread)Sanitizer|runtime error: ' \
			"$log"; then
			echo "teardown: a sanitizer's report in ${log#"$1"/}:" >&2
			grep -vE '^larderd: ' "$log" | head -n 100 >&2
			found=1
		fi
	done < <(find "$1" -xdev -name 'larderd.log*' -type f 2>/dev/null)
	return "$found"
}

setup() {
	larder_setup
}

teardown() {
	larder_teardown
}

# ---- conditions

# need COMMAND... skips the test where one is missing.
need() {
	local command
	for command in "$@"; do
		command -v "$command" >/dev/null ||
			skip "$command is not installed"
	done
}

# require_fuse skips the test where nothing can be mounted.
require_fuse() {
	[ -c /dev/fuse ] || skip "/dev/fuse is not there"
	command -v fusermount3 >/dev/null || skip "fusermount3 is not installed"
	(exec 3<>/dev/fuse) 2>/dev/null || skip "/dev/fuse cannot be opened"
}

require_root() {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
}

# ---- commands

# fsops OPERATION ARGUMENT... makes system calls that no common command makes
# (bin/fsops.c).
fsops() {
	"$LARDER_BUILDDIR/tests/cases/bin/fsops" "$@"
}

# hold OPERATION ARGUMENT... starts one of the fsops that wait, and returns
# when it has come so far; release lets it go on, and is its exit code. Its
# output is in the file held.out.
hold() {
	rm -f held.in held.out
	mkfifo held.in
	fsops "$@" <held.in >held.out 3>&- &
	held_pid=$!
	exec {held_fd}>held.in
	wait_until grep -q ready held.out
}

release() {
	exec {held_fd}>&-
	wait "$held_pid"
}

# worker_pid prints the process that serves the mounts.
worker_pid() {
	"$LARDER" status --json | jq -r .worker_pid
}

# kill_worker ends it without a warning.
kill_worker() {
	kill -KILL "$(worker_pid)"
}

# mount_field DIR FIELD prints a field of the mount at DIR.
mount_field() {
	"$LARDER" status --json | jq -r --arg dir "$(realpath -s "$1")" \
		".mounts[] | select(.dir == \$dir) | .$2"
}

# drop_caches makes the kernel ask again, where that is possible: as root.
drop_caches() {
	[ "$(id -u)" -ne 0 ] || echo 2 >/proc/sys/vm/drop_caches
}

# run_json ARGUMENT... runs larder with --json, which must succeed; $output is
# its standard output, one JSON value, and $stderr the rest.
run_json() {
	need jq
	run --separate-stderr "$LARDER" "$1" --json "${@:2}"
	if [ "$status" -ne 0 ]; then
		echo "larder $*: exit code $status: $stderr" >&2
		return 1
	fi
	jq -es 'length == 1' >/dev/null <<<"$output"
}

# json FILTER prints what jq makes of $output, strings without quotes.
json() {
	jq -r "$1" <<<"$output"
}
