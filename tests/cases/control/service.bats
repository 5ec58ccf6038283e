#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# The daemon as a service: what it says to systemd, what it does when it is told
# to end, and the units.

load ../helpers

setup() {
	larder_setup
	need jq
}

# start runs the daemon as a unit does, and returns when it has said that it
# is ready; what it says is in the file said.
start() {
	need python3
	rm -f said notify
	python3 - notify said 3>&- <<-'END_OF_LISTENER' &
		import socket, sys
		s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		s.bind(sys.argv[1])
		said = open(sys.argv[2], "w")
		text = ""
		while text != "STOPPING=1":
		    text = s.recv(4096).decode()
		    print(text, file=said, flush=True)
	END_OF_LISTENER
	listener=$!
	wait_until test -S notify
	# Not this test's file descriptors: only what a unit would have.
	NOTIFY_SOCKET=$PWD/notify "$LARDERD" --service 3>&- \
		>>"$XDG_STATE_HOME/service.log" 2>&1 &
	service=$!
	wait_until grep -qx READY=1 said
	larder mount --resume # as ExecStartPost= does
}

# stop ends it as systemd does: a signal to the main process.
stop() {
	kill -TERM "$service"
	wait "$service"
	wait "$listener"
	grep -qx STOPPING=1 said
}

@test "it says when it is ready and when it stops, and stays when it is idle" {
	export LARDER_IDLE_SECONDS=1
	start
	pid=$(larder status --json | jq .pid)
	[ "$pid" -eq "$service" ]
	# Another daemon, with the same patience, ends meanwhile.
	mkdir -p other/run
	chmod 700 other/run
	env XDG_CACHE_HOME="$PWD/other" XDG_RUNTIME_DIR="$PWD/other/run" \
		XDG_STATE_HOME="$PWD/other" "$LARDER" daemon start
	wait_until no_socket other/run
	[ "$(larder status --json | jq .pid)" -eq "$service" ]
	stop
	[ ! -e "/proc/$service" ]
}

no_socket() {
	[ -z "$(find "$1" -name '*.sock')" ]
}

@test "its mounts are there again, with changes or without" {
	require_fuse
	mkdir tree clean changed all gone
	echo content >tree/file
	start
	larder import -q tree --name web --key k1
	larder mount -q -o ro web@k1 clean
	larder mount -q web@k1 changed
	larder mount -q web@k1 gone
	larder mount -q --all all
	echo new >changed/new
	larder umount -q gone
	stop
	[ -z "$(ls clean; ls changed; ls all)" ]
	start
	cmp tree/file clean/file
	cmp tree/file all/default/web/k1/file
	[ "$(cat changed/new)" = new ]
	[ -z "$(ls gone)" ]
	[ "$(larder status --json | jq '.mounts | length')" -eq 3 ]
	# Another worker is ready, too, and nothing is mounted twice.
	kill_worker
	cmp tree/file clean/file
	[ "$(larder mount --resume --json | jq '.mounts | length')" -eq 0 ]
	# What is stopped by a command is stopped for good.
	larder daemon stop -q --force
	wait "$service"
	start
	[ -z "$(ls clean; ls all)" ]
	[ "$(cat changed/new)" = new ]
	stop
}

@test "the units are valid, and start what is installed" {
	need systemd-analyze
	units=$LARDER_BUILDDIR/contrib/systemd
	mkdir -p user system bin
	printf '#!/bin/sh\n' >bin/larder
	cp bin/larder bin/larderd
	chmod +x bin/*
	for unit in "$units"/user/* "$units"/system/*; do
		run ! grep '@[a-z]*dir@' "$unit"
		sed -E "s,^(ExecStart|ExecStop)(Post)?=(-?)[^ ]*/(larderd?) ,\
\1\2=\3$PWD/bin/\4 ,; s,^Documentation=.*,," "$unit" \
			>"${unit#"$units/"}"
	done
	SYSTEMD_LOG_LEVEL=warning systemd-analyze verify --user --man=no \
		user/larderd.service 2>&1 | tee out
	SYSTEMD_LOG_LEVEL=warning systemd-analyze verify --man=no \
		system/larderd.service 2>&1 | tee -a out
	SYSTEMD_LOG_LEVEL=warning systemd-analyze verify --user --man=no \
		user/larderd.service 'user/larder-mount@home-me-out.service' \
		2>&1 | tee -a out
	cp "$LARDER_SRCDIR/contrib/systemd/larder-stats.timer" system/
	sed -i '/^Documentation=/d' system/larder-stats.timer
	SYSTEMD_LOG_LEVEL=warning systemd-analyze verify --man=no \
		system/larder-stats.timer system/larder-stats.service 2>&1 |
		tee -a out
	run ! grep -E '(larderd|larder-mount@|larder-stats)[a-z.]*:' out
	# The two say the same but for where things are.
	diff <(grep -E '^(Type|NotifyAccess|Restart|KillMode|ExecStartPost)=' \
		user/larderd.service) \
		<(grep -E '^(Type|NotifyAccess|Restart|KillMode|ExecStartPost)=' \
			system/larderd.service)
	grep -qx "ExecStart=$PWD/bin/larderd --service" user/larderd.service
	# The numbers are those of the daemon that has these directories.
	diff <(sed -n 's/^Environment=\(XDG_RUNTIME_DIR=.*\)/\1/p;
			s,^CacheDirectory=,CACHE_DIRECTORY=/var/cache/,p;
			s,^StateDirectory=,STATE_DIRECTORY=/var/lib/,p' \
			system/larderd.service | sort) \
		<(sed -n '/TEXTFILE/d; s/^Environment=//p' \
			system/larder-stats.service | sort)
}
