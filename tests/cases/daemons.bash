# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# A daemon with directories of its own below one ROOT: how it is given them,
# and how it and its mounts are taken down. Sourced by helpers.bash and by the
# scripts in contrib/ that start daemons. LARDER and LARDERD are the programs'
# paths; USER_DIR is what as_user makes and uses.

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

# ---- waiting

# wait_until [-t SECONDS] COMMAND... polls until COMMAND succeeds, for at most
# SECONDS (30).
wait_until() {
	local tries=1500
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

# ---- what is left below ROOT

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
# below ROOT: the supervisor and its worker; not the worker's messenger, which
# goes when the worker does. Root finds the first by the environment that it was
# started with; others cannot look into either, and the store names the second.
daemon_pids() {
	local pid
	if [ "$(id -u)" -ne 0 ]; then
		owner_pids "$1" | sort -nu
		return
	fi
	while IFS=/ read -r _ _ pid _; do
		[[ $(readlink "/proc/$pid/exe") == */larderd* ]] || continue
		grep -qs '^larderd' "/proc/$pid/comm" || continue
		echo "$pid"
		worker_pids "$pid"
	done < <(grep -lsxzF "XDG_RUNTIME_DIR=$1/run" /proc/[0-9]*/environ) |
		sort -nu
}

# owner_pids ROOT prints who has the store below ROOT open, and the parent.
owner_pids() {
	local pid parent
	pid=$(cat "$1/cache/larder/v1/owner" 2>/dev/null) || return 0
	[ -n "$pid" ] || return 0
	parent=$(ps -o ppid= -p "$pid" | tr -d ' ')
	for pid in "$pid" "$parent"; do
		! grep -qs '^larderd' "/proc/$pid/comm" || echo "$pid"
	done
}

# worker_pids PID prints the children of the supervisor PID that are larderd,
# too: the worker, and for a moment who mounts.
worker_pids() {
	ps -o pid=,comm= --ppid "$1" |
		awk '$2 ~ /^larderd/ { print $1 }'
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
		timeout 30 fusermount3 -u "$point" 2>/dev/null || true
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
	env $(xdg_dirs "$1") timeout 30 "$LARDER" daemon stop \
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

# ---- another user

LARDER_TEST_USER=larder-test

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
# The caller's directories may be closed to the user, so USER_DIR is beside
# them and has copies of the programs.
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
