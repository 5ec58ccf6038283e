#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# The daemon's life: started when it is needed, one per store, gone when idle.

load ../helpers

socket() {
	find "$XDG_RUNTIME_DIR/larder" -name '*.sock' -type s
}

setup() {
	larder_setup
	need jq
	mkdir -p tree m
	echo content >tree/file
}

ended() {
	[ ! -e "/proc/$1" ]
}

@test "a command that needs the daemon starts it, and the next ones find it" {
	[ -z "$(daemon_pids "$BATS_TEST_TMPDIR")" ]
	run_json status
	pid=$(json .pid)
	run_json status
	[ "$(json .pid)" -eq "$pid" ]
	# Supervisor and worker.
	[ "$(daemon_pids "$BATS_TEST_TMPDIR" | wc -l)" -eq 2 ]
	[ "$(json .store)" = "$XDG_CACHE_HOME/larder" ]
	[ "$(json .state)" = "$XDG_STATE_HOME/larder" ]
}

@test "commands at the same time start one daemon" {
	for i in 1 2 3 4 5 6; do
		larder status --json >"status.$i" 3>&- &
	done
	wait
	[ "$(jq .pid status.* | sort -u | wc -l)" -eq 1 ]
	[ "$(daemon_pids "$BATS_TEST_TMPDIR" | wc -l)" -eq 2 ]
}

@test "commands that need no daemon start none" {
	larder --version
	larder --help
	larder key --salt x
	larder daemon stop
	run_json daemon status
	[ "$(json .running)" = false ]
	no_daemon "$BATS_TEST_TMPDIR"
}

@test "a second daemon on a store is refused with one sentence" {
	larder daemon start
	run_json status
	pid=$(json .pid)
	run timeout 30 "$LARDERD"
	[ "$status" -eq 1 ]
	[ "${#lines[@]}" -eq 1 ]
	[[ $output == *[a-z]* ]]
	run_json status
	[ "$(json .pid)" -eq "$pid" ]

	# Nor by another way to the same store.
	mkdir elsewhere
	chmod 700 elsewhere
	run timeout 30 env XDG_RUNTIME_DIR="$PWD/elsewhere" \
		XDG_STATE_HOME="$PWD/elsewhere/state" "$LARDER" status
	[ "$status" -ne 0 ]
	[ "$status" -ne 124 ]
	[[ $output == *"$XDG_CACHE_HOME/larder"* ]]
	[ "$(wc -l <<<"$output")" -eq 1 ]
}

@test "a daemon ends when it is idle, and leaves no socket" {
	export LARDER_IDLE_SECONDS=1
	run_json status
	pid=$(json .pid)
	wait_until ended "$pid"
	no_daemon "$BATS_TEST_TMPDIR"
	[ -z "$(socket)" ]
	larder status
}

@test "a daemon with a mount is not idle" {
	require_fuse
	export LARDER_IDLE_SECONDS=1
	larder mount --empty m
	run_json status
	pid=$(json .pid)
	larder import tree --name tree --key one
	# Idle for longer than the limit: another daemon's whole life.
	mkdir -p other/run
	chmod 700 other/run
	other=$(XDG_CACHE_HOME=$PWD/other XDG_RUNTIME_DIR=$PWD/other/run \
		XDG_STATE_HOME=$PWD/other larder status --json | jq .pid)
	wait_until ended "$other"
	run_json status
	[ "$(json .pid)" -eq "$pid" ]
	larder umount m
	wait_until ended "$pid"
}

@test "stop refuses while there are mounts, exit code 8; --force unmounts" {
	require_fuse
	larder mount --empty m
	echo x >m/new
	run larder daemon stop
	[ "$status" -eq 8 ]
	[ "${#lines[@]}" -eq 1 ]
	[[ $output == *"$PWD/m"* ]]
	[ "$(cat m/new)" = x ]

	larder daemon stop --force
	no_daemon "$BATS_TEST_TMPDIR"
	run ! mountpoint -q m
	[ -z "$(ls -A m)" ]
	larder mount --resume m
	[ "$(cat m/new)" = x ]
}

@test "stop --force ends mounts that are in use, too" {
	require_fuse
	may_hang=1
	larder mount --empty m
	echo x >m/new
	hold hold-read m/new
	timeout 20 larder daemon stop --force
	no_daemon "$BATS_TEST_TMPDIR"
	run ! mountpoint -q m
	release || true
}

@test "restart keeps mounts working, with their open files" {
	require_fuse
	larder import tree --name tree --key one
	larder mount tree@one m
	echo before >m/new
	hold hold-write m/file 'after the restart
'
	run_json status
	pid=$(json .pid)
	worker=$(json .worker_pid)
	larder daemon restart
	run_json status
	[ "$(json .pid)" -eq "$pid" ]
	[ "$(json .worker_pid)" -ne "$worker" ]
	[ "$(cat m/new)" = before ]
	release
	[ "$(cat m/file)" = $'content\nafter the restart' ]
	echo more >m/more
	larder commit m --name tree --key two
	[ "$(larder cat tree@two file)" = $'content\nafter the restart' ]
}

@test "the socket is the user's alone" {
	larder daemon start
	[ "$(stat -c %a "$(socket)")" = 600 ]
	[ "$(stat -c %a "$XDG_RUNTIME_DIR/larder")" = 700 ]
}

@test "another user's runtime directory is not used" {
	require_root
	rm -rf "$XDG_RUNTIME_DIR/larder"
	mkdir -m 777 "$XDG_RUNTIME_DIR/larder"
	chown 12345 "$XDG_RUNTIME_DIR/larder"
	run larder status
	[ "$status" -eq 1 ]
	[[ ${lines[0]} == *"$XDG_RUNTIME_DIR/larder"* ]]
	no_daemon "$BATS_TEST_TMPDIR"
}

@test "another user who reaches the socket is refused" {
	require_root
	need python3
	larder daemon start
	make_user_dir
	# As if someone had opened the doors.
	chmod 777 "$(socket)" "$XDG_RUNTIME_DIR/larder" "$XDG_RUNTIME_DIR" .
	ln "$(socket)" "$USER_DIR/socket" || skip "the socket cannot be linked"
	chmod 711 "$USER_DIR"
	cat >"$USER_DIR/ask.py" <<-'END'
		import socket, sys
		s = socket.socket(socket.AF_UNIX)
		s.settimeout(10)
		s.connect(sys.argv[1])
		try:
		    s.sendall(b'{"jsonrpc":"2.0","id":1,"method":"status"}\n')
		    print(s.recv(4096).decode())
		except (BrokenPipeError, ConnectionResetError):
		    pass
	END
	[ -n "$(python3 "$USER_DIR/ask.py" "$USER_DIR/socket")" ]
	run as_user "$(command -v python3.11 || echo /usr/bin/python3)" \
		"$USER_DIR/ask.py" "$USER_DIR/socket"
	[[ $output != *worker_pid* ]]
	[[ $output != *result* ]]
	chmod 700 "$XDG_RUNTIME_DIR/larder" "$XDG_RUNTIME_DIR"
	larder status
}

@test "what is no request is answered or ends the connection, no more" {
	need python3
	run_json status
	pid=$(json .worker_pid)
	cat >ask.py <<-'END'
		import socket, sys
		for text in (b'\n', b'{}\n', b'[1,2,3]\n', b'nonsense\n',
		             b'{"jsonrpc":"2.0","id":1,"method":"none"}\n',
		             b'{"jsonrpc":"2.0","id":1,"method":"mount"}\n',
		             b'{"jsonrpc":"2.0","id":1,"method":"import",'
		             b'"params":{"name":"a","key":"b","kind":"dir"}}\n',
		             b'{"jsonrpc":"2.0","id":{},"method":5}\n',
		             b'\xff\xfe\x00\n', b'[' * 100000 + b'\n',
		             b'x' * 2000000 + b'\n'):
		    s = socket.socket(socket.AF_UNIX)
		    s.settimeout(10)
		    s.connect(sys.argv[1])
		    try:
		        s.sendall(text)
		        s.shutdown(socket.SHUT_WR)
		        while s.recv(65536):
		            pass
		    except (BrokenPipeError, ConnectionResetError):
		        pass
		    s.close()
	END
	python3 ask.py "$(socket)"
	run_json status
	[ "$(json .worker_pid)" -eq "$pid" ]
}

@test "a stale socket does not keep a daemon from starting" {
	larder daemon start
	path=$(socket)
	read -r supervisor worker < <(larder status --json |
		jq -r '"\(.pid) \(.worker_pid)"')
	kill -KILL "$supervisor" "$worker"
	wait_until no_daemon "$BATS_TEST_TMPDIR"
	[ -S "$path" ]
	larder import tree --name tree --key one
	[ "$(larder cat tree@one file)" = content ]
}

@test "a worker that dies is started again, and the store is whole" {
	larder import tree --name tree --key one
	for _ in 1 2 3; do
		pid=$(worker_pid)
		kill -KILL "$pid"
		wait_until ended "$pid"
		[ "$(larder cat tree@one file)" = content ]
		[ "$(worker_pid)" -ne "$pid" ]
	done
}

@test "an import whose client goes away is given up" {
	mkdir large
	for i in $(seq 20); do
		head -c 10000000 /dev/urandom >"large/$i"
	done
	larder import large --name large --key one 3>&- &
	client=$!
	importing() {
		[ -n "$(find "$XDG_CACHE_HOME/larder/v1/packs" -type f \
			2>/dev/null | head -n 1)" ]
	}
	wait_until importing
	kill -TERM "$client"
	run wait "$client"
	[ "$status" -ne 0 ]
	run larder show large@one
	[ "$status" -eq 3 ]
	# Its packs go as well.
	packs_gone() {
		! importing
	}
	wait_until packs_gone
	larder import large --name large --key one
	larder cat large@one 7 | cmp - large/7
}

# proc_field FIELD prints it of the worker.
proc_field() {
	awk -v name="$1:" '$1 == name { print $2 }' \
		"/proc/$(worker_pid)/status"
}

@test "the worker has given up what it does not need, and works" {
	run_json status
	[ "$(json .sandbox.no_new_privileges)" = true ]
	[ "$(proc_field NoNewPrivs)" -eq 1 ]
	if [ "$(json .sandbox.seccomp)" = true ]; then
		[ "$(proc_field Seccomp)" -eq 2 ]
	fi
	if [ "$(json .sandbox.no_dumps)" = true ]; then
		# Nobody's but root's, whoever's the daemon is.
		for pid in "$(worker_pid)" "$(json .pid)"; do
			[ "$(stat -c %u "/proc/$pid/environ")" -eq 0 ]
		done
	fi
	larder status -v | grep -q '^sandbox  no new privileges, '
	larder import -q tree --name demo --key k1
	larder cat demo@k1 file | cmp - tree/file
	larder daemon restart
	[ "$(proc_field NoNewPrivs)" -eq 1 ]
	# The supervisor runs fusermount3, which is setuid.
	[ "$(awk '$1 == "NoNewPrivs:" { print $2 }' \
		"/proc/$(json .pid)/status")" -eq 0 ]
}

@test "the sandbox can be turned off, and status says so" {
	export LARDER_SANDBOX=OFF
	run_json status
	[ "$(json .sandbox)" = null ]
	[ "$(proc_field NoNewPrivs)" -eq 0 ]
	[ "$(proc_field Seccomp)" -eq 0 ]
	larder status | grep -q '^sandbox  off'
}

@test "parts of the sandbox can be turned off in the configuration" {
	mkdir -p "$XDG_CONFIG_HOME/larder"
	echo 'sandbox: off:seccomp,dumps' >"$XDG_CONFIG_HOME/larder/config.yml"
	run_json status
	[ "$(json .sandbox.seccomp)" = false ]
	[ "$(json .sandbox.no_dumps)" = false ]
	[ "$(proc_field NoNewPrivs)" -eq 1 ]
	[ "$(proc_field Seccomp)" -eq 0 ]
	larder status -v | grep -q '^sandbox  no new privileges, not: no dumps'
	larder daemon stop
	# The environment goes before the file.
	LARDER_SANDBOX=on larder daemon start
	[ "$(larder status --json | jq .sandbox)" != null ]
}

@test "a sandbox that is not understood is refused" {
	LARDER_SANDBOX=maybe run larder daemon start
	[ "$status" -eq 2 ]
	[[ $output == *maybe*off:seccomp,landlock* ]]
	no_daemon "$BATS_TEST_TMPDIR"
}

# Descriptors that a program which the daemon runs would inherit.
@test "every descriptor of the daemon is close-on-exec" {
	require_root
	run_json status
	for pid in $(daemon_pids "$BATS_TEST_TMPDIR"); do
		for fd in "/proc/$pid/fdinfo/"*; do
			[ "${fd##*/}" -gt 2 ] || continue
			flags=$(awk '/^flags:/ { print $2 }' "$fd") || continue
			[ $((flags & 02000000)) -ne 0 ] || {
				ls -l "/proc/$pid/fd/${fd##*/}"
				false
			}
		done
	done
}
