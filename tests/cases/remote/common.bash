# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Several machines: each has directories of its own, and so a store and a
# daemon; what they have in common is a remote tier. Loaded behind helpers.

# on MACHINE COMMAND... runs it as on another machine.
on() {
	local root=$BATS_TEST_TMPDIR/machines/$1
	shift
	[ -d "$root" ] || make_xdg_dirs "$root"
	env $(xdg_dirs "$root") "$@"
}

machines_teardown() {
	local root status=0
	for root in "$BATS_TEST_TMPDIR"/machines/*; do
		[ ! -d "$root" ] || take_down "$root" || status=1
	done
	larder_teardown || status=1
	return "$status"
}

teardown() {
	machines_teardown
}

# make_tree DIR: a few files of several kinds and sizes, the same each time.
make_remote_tree() {
	mkdir -p "$1/lib/deep" "$1/empty"
	seq 1 2000 >"$1/lib/numbers"
	seq 1 300000 >"$1/lib/deep/large"
	echo 'echo hello' >"$1/run.sh"
	chmod 755 "$1/run.sh"
	ln -s lib/numbers "$1/link"
	touch -d '2024-02-03 04:05:06.123456789' "$1/lib/numbers" "$1/lib"
}

# same_tree DIR DIR compares contents, kinds, modes and times.
same_tree() {
	diff -r "$1" "$2" &&
		diff <(cd "$1" && find . -printf '%p %y %m %T@ %l\n' | sort) \
			<(cd "$2" && find . -printf '%p %y %m %T@ %l\n' | sort)
}

# configure MACHINE writes its config.yml from standard input.
configure() {
	local root=$BATS_TEST_TMPDIR/machines/$1
	[ -d "$root" ] || make_xdg_dirs "$root"
	mkdir -p "$root/config/larder"
	(umask 022 && cat >"$root/config/larder/config.yml")
}

# faulty FAULT N starts faulty-server.py over far/; it ends with its input.
faulty() {
	rm -f server.in server.out
	mkfifo server.in
	"$BATS_TEST_DIRNAME/faulty-server.py" \
		far "$1" "$2" <server.in >server.out 3>&- &
	exec {server_fd}>server.in
	wait_until test -s server.out
}
