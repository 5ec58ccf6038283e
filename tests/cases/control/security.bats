#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# What another user of the machine, an archive or a path that somebody else
# may change cannot do. (The socket, the sandbox: daemon.bats. Mount points as
# such: ../badinput/mount_point.bats.)

load ../helpers

setup() {
	larder_setup
	need jq
	mkdir -p tree m
	echo content >tree/file
}

# refused WORDS COMMAND... : exit code 1 and WORDS among what it says.
refused() {
	local words=$1
	shift
	run "$@"
	[ "$status" -eq 1 ]
	[[ $output == *"$words"* ]]
}

# ask REQUEST sends a line to the daemon as it is, and prints the answer.
ask() {
	cat >ask.py <<-'END'
		import glob, os, socket, sys
		s = socket.socket(socket.AF_UNIX)
		s.settimeout(20)
		s.connect(glob.glob(os.environ['XDG_RUNTIME_DIR'] +
		                    '/larder/*.sock')[0])
		s.sendall(sys.argv[1].encode() + b'\n')
		print(s.makefile().readline())
	END
	python3 ask.py "$1"
}

# ---- directories

@test "a runtime directory of others, open to others or behind a link" {
	chmod 770 "$XDG_RUNTIME_DIR"
	refused 'others may write to the directory' larder status
	chmod 757 "$XDG_RUNTIME_DIR"
	refused 'others may write to the directory' larder daemon start
	chmod 700 "$XDG_RUNTIME_DIR"
	ln -s "$XDG_RUNTIME_DIR" link
	XDG_RUNTIME_DIR=$PWD/link refused 'is a symbolic link' larder status
	no_daemon "$BATS_TEST_TMPDIR"
	larder daemon start
	[ "$(id -u)" -eq 0 ] || return 0
	mkdir other
	chown 12345 other
	XDG_RUNTIME_DIR=$PWD/other refused 'belongs to another user (uid 12345)' \
		larder status
	[ -z "$(ls -A other)" ]
}

@test "a state directory of others, or open to others" {
	mkdir -m 775 "$XDG_STATE_HOME/larder"
	refused "others may write to the directory $XDG_STATE_HOME/larder" \
		larder daemon start
	# Also where no command starts it.
	refused 'others may write' timeout 20 larderd --service
	chmod 700 "$XDG_STATE_HOME/larder"
	if [ "$(id -u)" -eq 0 ]; then
		chown 12345 "$XDG_STATE_HOME/larder"
		refused 'belongs to another user (uid 12345)' larder daemon start
		refused 'belongs to another user' timeout 20 larderd --service
		chown 0 "$XDG_STATE_HOME/larder"
	fi
	mv "$XDG_STATE_HOME/larder" state-of-others
	ln -s "$PWD/state-of-others" "$XDG_STATE_HOME/larder"
	refused 'is a symbolic link' larder daemon start
	[ -z "$(ls -A state-of-others)" ]
	no_daemon "$BATS_TEST_TMPDIR"
	rm "$XDG_STATE_HOME/larder"
	larder daemon start
}

@test "all that is made for the user is the user's alone" {
	require_fuse
	umask 0
	larder import -q tree --name tree --key one
	larder mount -q tree@one m
	echo new >m/new
	head -c 3000000 /dev/zero >m/large
	larder commit -q m --name tree --key two
	larder umount m
	larder materialize -q tree@two copy
	larder import -q copy --name tree --key three
	larder daemon restart
	larder gc -q
	larder daemon stop
	run find "$XDG_CACHE_HOME/larder" "$XDG_STATE_HOME/larder" \
		"$XDG_RUNTIME_DIR/larder" ! -type l -perm /077
	[ -z "$output" ]
	[ -n "$(find "$XDG_CACHE_HOME/larder" -type f)" ]
	[ -f "$XDG_STATE_HOME/larder/larderd.log" ]
}

# ---- the socket

@test "who listens in the daemon's place gets no request" {
	require_root
	need python3
	larder daemon start
	socket=$(find "$XDG_RUNTIME_DIR/larder" -name '*.sock')
	larder daemon stop
	make_user_dir
	cat >"$USER_DIR/squat.py" <<-'END'
		import socket, sys
		s = socket.socket(socket.AF_UNIX)
		s.bind(sys.argv[1])
		s.listen(8)
		open(sys.argv[2], 'wb').close()
		while True:
		    c = s.accept()[0]
		    c.settimeout(5)
		    with open(sys.argv[2], 'ab') as f:
		        f.write(c.recv(4096))
	END
	as_user /usr/bin/python3 squat.py "$USER_DIR/socket" "$USER_DIR/got" 3>&- &
	wait_until [ -e "$USER_DIR/got" ]
	ln "$USER_DIR/socket" "$socket" || skip "the socket cannot be linked"
	LARDER_TOKEN=s3cret run larder pull --from http://127.0.0.1:1/ tree@one
	[ "$status" -eq 1 ]
	[[ $output == *"is another user (uid "* ]]
	run larder daemon start
	[ "$status" -eq 1 ]
	pkill -P $! || kill $!
	wait $! || true
	[ ! -s "$USER_DIR/got" ]
	rm "$socket"
	larder daemon start
}

# ---- mounts

@test "another user cannot end a mount" {
	require_root
	require_fuse
	make_user_dir
	mkdir "$USER_DIR/m"
	larder import -q tree --name tree --key one
	larder mount -q tree@one "$USER_DIR/m"
	for options in '' --lazy --discard --force; do
		# shellcheck disable=SC2086 # none, or one
		run as_user larder umount $options "$USER_DIR/m"
		[ "$status" -eq 1 ]
		[[ $output == *"$USER_DIR/m"* ]]
		mountpoint -q "$USER_DIR/m"
	done
	run ! as_user fusermount3 -u "$USER_DIR/m"
	[ "$(cat "$USER_DIR/m/file")" = content ]
	run as_user larder commit "$USER_DIR/m" --name mine --key one
	[ "$status" -eq 1 ]
	larder umount "$USER_DIR/m"
}

@test "who may not read a file reads it in no mount" {
	require_root
	require_fuse
	make_user_dir
	mkdir "$USER_DIR"/{m,all} tree/closed
	echo hidden >tree/closed/inner
	echo hidden >tree/secret
	chmod 700 tree/closed
	chmod 600 tree/secret
	larder import -q tree --name tree --key one
	larder mount -q tree@one "$USER_DIR/m"
	larder mount -q --all "$USER_DIR/all"
	for dir in m all/default/tree/one; do
		# Root has looked first: the pages are there.
		[ "$(cat "$USER_DIR/$dir/secret")" = hidden ]
		[ "$(as_user cat "$dir/file")" = content ]
		for path in secret closed/inner; do
			run as_user cat "$dir/$path"
			[ "$status" -ne 0 ]
			[[ $output == *'ermission denied'* ]]
			[[ $output != *hidden* ]]
		done
		run ! as_user ls "$dir/closed"
		run ! as_user sh -c "echo x >$dir/file"
		run ! as_user getfattr -n user.larder.digest "$dir/secret"
	done
	larder umount "$USER_DIR/m"
	larder umount "$USER_DIR/all"
}

@test "a mount point is not looked for behind a symbolic link" {
	need python3
	require_fuse
	mkdir -p victim/m p/m
	larder import -q tree --name tree --key one
	# A command asks for the real path.
	ln -s p link
	larder mount -q tree@one link/m
	mountpoint -q p/m
	larder umount link/m
	# One that was put there after that is not followed.
	mv p elsewhere
	ln -s victim p
	for mode in ro rw; do
		run ask "$(jq -cn --arg dir "$PWD/p/m" --arg mode "$mode" \
			'{id: 1, method: "mount", params:
			{entry: "tree@one", dir: $dir, mode: $mode}}')"
		[[ $output == *'through a symbolic link'* ]]
	done
	run ! mountpoint -q victim/m
	[ -z "$(fuse_mounts "$PWD")" ]
	run_json status
	[ "$(json '.mounts | length')" -eq 0 ]
}

# ---- paths

@test "paths with .. lead out of no entry and no mount" {
	require_fuse
	larder import -q tree --name tree --key one
	for path in .. ../.. ../../../../etc/passwd ./../tree/file; do
		run larder cat tree@one "$path"
		[ "$status" -ne 0 ]
		[[ $output != *root:* && $output != *content* ]]
		run larder ls tree@one "$path"
		[ "$status" -ne 0 ]
	done
	larder mount -q tree@one m
	for command in diff umount reset; do
		run larder "$command" m/..
		[ "$status" -ne 0 ]
		[[ $output == *"$PWD"* || $output == *m/..* ]]
	done
	mountpoint -q m
	run larder commit m/.. --name tree --key two
	[ "$status" -eq 1 ]
	larder umount m
}

@test "an archive that leads out of the tree is refused" {
	mkdir victim
	ln -s "$PWD/victim" tree/way
	tar -c -C tree -f out.tar way
	rm tree/way
	mkdir tree/way
	echo mine >tree/way/in
	tar -r -C tree -f out.tar way/in
	run tar -tf out.tar
	[ "$output" = $'way\nway/in' ]
	refused out.tar larder import out.tar --name tree --key one
	tar -c -P -f absolute.tar "$PWD/tree/file"
	refused absolute.tar larder import absolute.tar --name tree --key one
	ln tree/file tree/second
	tar -c -P --transform 's|^tree/file|../../etc/passwd|RSh' \
		-f hard.tar tree/file tree/second
	run tar -tvPf hard.tar
	[[ $output == *'link to ../../etc/passwd'* ]]
	refused hard.tar larder import hard.tar --name tree --key one
	[ -z "$(ls -A victim)" ]
	run_json list
	[ "$(json '.entries | length')" -eq 0 ]
}

# ---- programs that the daemon runs

@test "a credential helper gets no descriptor, no privilege, no key" {
	cat >helper <<-END
		#!/bin/sh
		exec >&2
		readlink /proc/\$\$/fd/* >$PWD/fds
		{ grep NoNewPrivs /proc/\$\$/status; umask; env; } >$PWD/about
		echo token >&1
	END
	chmod 755 helper
	larder daemon start
	socket=$(find "$XDG_RUNTIME_DIR/larder" -name '*.sock')
	larder daemon stop
	export LARDER_SIGN_KEY=larder-secret:s3cret
	run larder pull --from \
		"http://127.0.0.1:1/?credential-helper=$PWD/helper" tree@one
	[ "$status" -ne 0 ]
	grep -q 'NoNewPrivs:.1' about
	grep -qx 0077 about
	! grep s3cret about
	# Its input is nothing, its output the pipe and the log; the shell has
	# its script open, and what it writes here.
	run grep -vxE "/dev/null|pipe:.*|.*/larderd.log|$PWD/(helper|fds)" fds
	echo "$output"
	[ -z "$output" ]
	for pid in $(daemon_pids "$BATS_TEST_TMPDIR"); do
		! grep -q s3cret "/proc/$pid/cmdline"
		[ ! -r "/proc/$pid/environ" ] ||
			! grep -q s3cret "/proc/$pid/environ"
	done
}

@test "fusermount3 gets its socket and no other descriptor" {
	require_root
	require_fuse
	make_user_dir
	mkdir "$USER_DIR/fake" "$USER_DIR/m"
	cat >"$USER_DIR/fake/fusermount3" <<-END
		#!/bin/sh
		ls -l /proc/self/fd >$USER_DIR/fds
		[ -z "\$_FUSE_COMMFD" ] || {
			echo "\$_FUSE_COMMFD" >$USER_DIR/comm
			mv $USER_DIR/fds $USER_DIR/mounting
		}
		exec $(command -v fusermount3) "\$@"
	END
	chmod 755 "$USER_DIR/fake/fusermount3"
	chown -R "$LARDER_TEST_USER" "$USER_DIR"
	as_user sh -euc 'PATH=$PWD/fake:$PATH
		larder mount -q --empty m
		larder umount m
		larder daemon stop'
	# Of the last call, which unmounted: standard ones, and what ls reads.
	run awk '$9 > 2 && $11 !~ /^\/proc\/[0-9]*\/fd$/' "$USER_DIR/fds"
	echo "$output"
	[ -z "$output" ]
	[ "$(wc -l <"$USER_DIR/mounting")" -gt 3 ]
	run awk -v comm="$(cat "$USER_DIR/comm")" '$9 > 2 && $9 != comm &&
		$11 !~ /^\/proc\/[0-9]*\/fd$/' "$USER_DIR/mounting"
	echo "$output"
	[ -z "$output" ]
}
