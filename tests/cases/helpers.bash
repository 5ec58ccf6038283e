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

: "${LARDER:?is not set: run the cases with make check, or set it to the program}"
LARDER=$(realpath "$LARDER")
LARDERD=$(realpath "${LARDERD:-$(dirname "$LARDER")/larderd}")
LARDER_SRCDIR=${LARDER_SRCDIR:-$(realpath "${BASH_SOURCE[0]%/*}/../..")}
LARDER_BUILDDIR=${LARDER_BUILDDIR:-$(dirname "$LARDER")}
export LARDER LARDERD LARDER_SRCDIR LARDER_BUILDDIR
PATH=$(dirname "$LARDER"):$PATH

LARDER_TEST_USER=larder-test

# ---- directories

# xdg_dirs ROOT prints assignments for env: directories in ROOT.
xdg_dirs() {
	printf '%s\n' "HOME=$1/home" "TMPDIR=$1/tmp" \
		"XDG_CACHE_HOME=$1/cache" "XDG_CONFIG_HOME=$1/config" \
		"XDG_RUNTIME_DIR=$1/run" "XDG_STATE_HOME=$1/state"
}

# make_xdg_dirs ROOT
make_xdg_dirs() {
	mkdir -p "$1"/{home,tmp,cache,config,run,state}
	chmod 700 "$1/run"
}

larder_setup() {
	local assignment
	make_xdg_dirs "$BATS_TEST_TMPDIR"
	# A name only: as_user makes it, also from the subshell of `run`.
	USER_DIR=$(mktemp -u /tmp/larder-user.XXXXXX)
	while IFS= read -r assignment; do
		export "${assignment?}"
	done < <(xdg_dirs "$BATS_TEST_TMPDIR")
	unset LARDER_MODE LARDER_FAULT ACTIONS_CACHE_MODE
	cd "$BATS_TEST_TMPDIR" || return
}

larder_teardown() {
	local status=0 root
	# A test may have run in a directory that is about to be unmounted.
	cd / || return
	for root in "$BATS_TEST_TMPDIR" "$USER_DIR"; do
		[ ! -d "$root" ] || take_down "$root" || status=1
	done
	rm -rf --one-file-system "$USER_DIR"
	return "$status"
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

# ---- waiting

# wait_until [-t SECONDS] COMMAND... polls until COMMAND succeeds, for at most
# SECONDS (10).
wait_until() {
	local tries=500
	if [ "$1" = -t ]; then
		tries=$(($2 * 50))
		shift 2
	fi
	until "$@"; do
		tries=$((tries - 1))
		if [ "$tries" -le 0 ]; then
			echo "did not come true: $*" >&2
			return 1
		fi
		sleep 0.02
	done
}

# ---- what a test left behind

# fuse_mounts ROOT prints "MINOR MOUNT-POINT" of each FUSE mount below ROOT,
# the latest first; the connection in fusectl is named by the device's minor.
fuse_mounts() {
	local dev point rest
	while read -r _ _ dev _ point rest; do
		[[ ${rest##* - } == fuse* ]] || continue
		point=$(printf '%b' "$point")
		[[ $point == "$1"/* ]] || continue
		printf '%s %s\n' "${dev#*:}" "$point"
	done </proc/self/mountinfo | tac
}

no_fuse_mounts() {
	[ -z "$(fuse_mounts "$1")" ]
}

# daemon_pids ROOT prints the processes of the daemon that serves the store
# below ROOT, by the environment it was started with.
daemon_pids() {
	local pid
	while IFS=/ read -r _ _ pid _; do
		if [[ $(readlink "/proc/$pid/exe") == */larderd* ]]; then
			echo "$pid"
		fi
	done < <(grep -lsxzF "XDG_RUNTIME_DIR=$1/run" /proc/[0-9]*/environ)
}

no_daemon() {
	[ -z "$(daemon_pids "$1")" ]
}

# take_down ROOT unmounts all below ROOT and ends its daemon, by force where
# that is needed. Fails when it was: the daemon must end when it is told to,
# unless the test has set may_hang.
take_down() {
	local minor point pid failed=0
	while read -r minor point; do
		timeout 10 fusermount3 -u "$point" 2>/dev/null || true
	done < <(fuse_mounts "$1")

	if ! no_daemon "$1"; then
		stop_daemon "$1" || failed=1
	fi

	while read -r minor point; do
		echo "teardown: $point was still mounted" >&2
		failed=1
		abort_connection "$minor"
		fusermount3 -uz "$point" || umount -l "$point" || true
	done < <(fuse_mounts "$1")

	[ "$failed" -eq 0 ] || [ -n "${may_hang-}" ]
}

# stop_daemon ROOT
stop_daemon() {
	local pid
	# shellcheck disable=SC2046 # assignments without spaces
	env $(xdg_dirs "$1") timeout 10 "$LARDER" daemon stop \
		>/dev/null 2>&1 || true
	# Root's command is another user's peer: the supervisor ends by signal.
	if ! no_daemon "$1"; then
		for pid in $(daemon_pids "$1"); do
			kill -TERM "$pid" 2>/dev/null || true
		done
		wait_until no_daemon "$1" 2>/dev/null && return
	else
		return 0
	fi
	for pid in $(daemon_pids "$1"); do
		echo "teardown: killed daemon $pid" >&2
		kill -KILL "$pid" 2>/dev/null || true
	done
	wait_until no_daemon "$1" || true
	return 1
}

# abort_connection MINOR makes every request of a hanging mount fail.
abort_connection() {
	local control=/sys/fs/fuse/connections
	[ -e "$control/$1" ] ||
		mount -t fusectl fusectl "$control" 2>/dev/null || true
	[ ! -e "$control/$1/abort" ] || echo 1 >"$control/$1/abort"
}

# ---- trees

# tree_digest DIR prints a line for each path below DIR, and DIR itself, in
# byte order: type, mode, size, mtime in nanoseconds, SHA-256 of a file's
# content, path, and a symlink's target. Sizes of directories differ between
# file systems and are left out. Nothing in it depends on where DIR is. A
# newline in a name is shown as \001.
tree_digest() (
	export LC_ALL=C
	cd "$1" || exit
	set -o pipefail
	find . \( -type f -printf '%y %#m %s %T@ %p\0' \) -o \
		\( -type l -printf '%y %#m %s %T@ %p -> %l\0' \) -o \
		-printf '%y %#m - %T@ %p\0' |
		tr '\n\0' '\001\n' |
		awk '
		pass == 1 {
			sum[substr($0, 67)] = substr($0, 1, 64)
			next
		}
		{
			path = $0
			sub(/^[^ ]* [^ ]* [^ ]* [^ ]* /, "", path)
			digest = "-"
			if ($1 == "f") {
				digest = path in sum ? sum[path] : "unreadable"
				unreadable += !(path in sum)
			}
			print path "\t" $1, $2, $3, $4, digest
		}
		END { exit unreadable > 0 }
		' pass=1 <(content_digests) pass=2 - |
		sort | awk -F '\t' '{ print $NF, substr($0, 1,
			length($0) - length($NF) - 1) }'
)

# content_digests is the part of tree_digest that reads.
content_digests() {
	find . -type f -print0 | xargs -0 -r sha256sum -z -- |
		tr '\n\0' '\001\n'
}

# same_tree DIR DIR fails and shows the first differences.
same_tree() {
	local first second
	first=$(tree_digest "$1") || return
	second=$(tree_digest "$2") || return
	[ "$first" = "$second" ] && return
	diff <(echo "$first") <(echo "$second") | head -n 20
	return 1
}

# same_shape DIR DIR is same_tree without the times: for two trees to which the
# same was done.
same_shape() {
	local first second
	first=$(tree_digest "$1") || return
	second=$(tree_digest "$2") || return
	first=$(awk '{ $4 = ""; print }' <<<"$first")
	second=$(awk '{ $4 = ""; print }' <<<"$second")
	[ "$first" = "$second" ] && return
	diff <(echo "$first") <(echo "$second") | head -n 20
	return 1
}

# tree_links DIR prints the paths of each inode with several names, a line an
# inode.
tree_links() (
	cd "$1" || exit
	find . ! -type d -links +1 -printf '%i %n %p\n' | LC_ALL=C sort -k3 |
		awk '{ names[$1] = names[$1] " " $3; count[$1] = $2 }
		END { for (i in names) print count[i] names[i] }' |
		LC_ALL=C sort
)

# tree_xattrs DIR prints all extended attributes of users below DIR.
tree_xattrs() (
	cd "$1" || exit
	find . -print0 | LC_ALL=C sort -z |
		xargs -0 getfattr -h -d -m '^user\.' -e hex --
)

# tree_state DIR prints all that can be seen of a tree: names, content, times,
# links and attributes.
tree_state() {
	tree_digest "$1"
	tree_links "$1"
	tree_xattrs "$1"
}

# same_state DIR DIR is same_tree with links and attributes.
same_state() {
	is_state "$1" <(tree_state "$2")
}

# is_state DIR FILE: what tree_state printed to FILE before is still so.
is_state() {
	tree_state "$1" | diff "$2" - | head -n 20
	[ "${PIPESTATUS[*]}" = '0 0 0' ]
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

# as_user COMMAND... runs COMMAND as an ordinary user, in a home of its own,
# USER_DIR, which lives until teardown. Where the tests run as an ordinary
# user, that is the user.
as_user() {
	local become=()
	make_user_dir
	if [ "$(id -u)" -eq 0 ]; then
		become=(setpriv --reuid "$LARDER_TEST_USER"
			--regid "$LARDER_TEST_USER" --clear-groups)
	fi
	# shellcheck disable=SC2046 # assignments without spaces
	(cd "$USER_DIR" && "${become[@]}" env $(xdg_dirs "$USER_DIR") \
		"USER=$LARDER_TEST_USER" "LARDER=$USER_DIR/bin/larder" \
		"LARDERD=$USER_DIR/bin/larderd" "PATH=$USER_DIR/bin:$PATH" "$@")
}

# make_user_dir makes the user, once on a machine, and USER_DIR, once a test.
# BATS_TEST_TMPDIR and the build directory may be closed to the user, so the
# directory is beside them and has copies of the programs.
make_user_dir() {
	[ ! -d "$USER_DIR" ] || return 0
	mkdir -m 700 "$USER_DIR"
	make_xdg_dirs "$USER_DIR"
	mkdir "$USER_DIR/bin"
	cp "$LARDER" "$LARDERD" "$USER_DIR/bin/"
	[ "$(id -u)" -eq 0 ] || return 0

	# Tests run side by side.
	(
		flock 9
		id -u "$LARDER_TEST_USER" >/dev/null 2>&1 ||
			useradd --system --user-group --no-create-home \
				--shell /bin/sh "$LARDER_TEST_USER"
		# As udev sets it up where there is a udev.
		[ ! -c /dev/fuse ] || chmod 666 /dev/fuse
	) 9>/tmp/.larder-test-user.lock
	chown -R "$LARDER_TEST_USER:$LARDER_TEST_USER" "$USER_DIR"
}
