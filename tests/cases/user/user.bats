#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# The main paths as an ordinary user, through fusermount3.

load ../helpers

setup() {
	larder_setup
	require_fuse
	need jq setpriv
	make_user_dir
	mkdir "$USER_DIR"/{first,second}
	echo v1 | tee "$USER_DIR/first/input" >"$USER_DIR/second/input"
	cat >"$USER_DIR/build" <<-'END'
		#!/bin/sh
		echo "$LARDER_OUTCOME" >>"$USER_DIR/calls"
		mkdir -p out/private
		echo built >out/file
		chmod 600 out/file
		chmod 700 out/private
		printf '#!/bin/sh\necho ran\n' >out/script
		chmod 755 out/script
		ln -s file out/link
		ln out/file out/hard
		setfattr -n user.a -v b out/file || true
		touch -d '2020-02-02 20:20:20.123456789 UTC' out/script
	END
	chmod +x "$USER_DIR/build"
	export USER_DIR
	[ "$(id -u)" -ne 0 ] ||
		chown -R "$LARDER_TEST_USER" "$USER_DIR"/{first,second,build}
}

# build CLONE [OPTION]...
build() {
	as_user sh -c 'cd "$1" && shift && exec larder run --path out \
		--name demo --key-file input "$@" -- ../build' sh "$@"
}

# in_clone CLONE SCRIPT
in_clone() {
	as_user sh -euc "cd $1 && $2"
}

@test "a miss builds and commits, a hit mounts" {
	build first
	build second
	[ "$(cat "$USER_DIR/calls")" = miss ]
	in_clone second 'test "$(out/script)" = ran && test "$(cat out/file)" \
		= built && mountpoint -q out'
	shape='find out -printf "%y %m %n %s %T@ %U:%G %p %l\n" | sort'
	diff <(in_clone first "$shape") <(in_clone second "$shape")
	[ "$(in_clone first 'stat -c %U out/file')" = "$(as_user id -un)" ]
}

@test "a changed input, a failing command, a commit by hand" {
	build first
	echo v2 >"$USER_DIR/second/input"
	build second
	[ "$(xargs <"$USER_DIR/calls")" = 'miss partial' ]
	run in_clone second 'larder run --path out --name demo --key x -- \
		sh -c "echo y >out/y; exit 7"'
	[ "$status" -eq 7 ]
	in_clone second 'larder commit out --name demo --key by-hand
		test "$(larder cat demo@by-hand y)" = y'
}

@test "mount, changes, umount, resume" {
	build first
	in_clone second '
		mkdir m
		larder mount demo@latest m
		echo changed >m/file
		rm -r m/private
		mv m/script m/moved
		larder diff m
		larder umount m
		test -z "$(ls -A m)"
		larder mount --resume m
		test "$(cat m/file)" = changed
		test "$(m/moved)" = ran
		larder reset m
		test "$(m/script)" = ran
		larder umount m
		larder materialize demo@latest plain
		larder export demo@latest | tar -t | grep -q script
		rm -r plain'
}

@test "a mount is its user's alone, root included" {
	require_root
	build first
	run cat "$USER_DIR/first/out/file"
	[ "$status" -ne 0 ]
	[[ $output == *"ermission denied"* ]]
}

@test "files that others own are imported, and mounted as what they are" {
	require_root
	mkdir "$USER_DIR/tree" "$USER_DIR/m"
	echo mine >"$USER_DIR/tree/mine"
	echo root >"$USER_DIR/tree/root"
	chown "$LARDER_TEST_USER" "$USER_DIR"/{m,tree,tree/mine}
	as_user larder import -q tree --name tree --key one
	as_user larder mount -q tree@one m
	run as_user stat -c '%n %U' m/mine m/root
	[ "$output" = "m/mine $LARDER_TEST_USER
m/root root" ]
	# What belongs to root is not the user's to change.
	run as_user sh -c 'echo x >m/root'
	[ "$status" -ne 0 ]
	as_user sh -c 'echo x >m/mine; rm -f m/root; echo new >m/root'
	[ "$(as_user stat -c %U m/root)" = "$LARDER_TEST_USER" ]
}

@test "modes are checked for the user as on any file system" {
	[ "$(as_user id -u)" -ne 0 ]
	as_user sh -euc '
		mkdir m
		larder mount -q --empty m
		echo x >m/closed
		chmod 0 m/closed
		! cat m/closed 2>/dev/null
		mkdir m/dir
		chmod 500 m/dir
		! touch m/dir/new 2>/dev/null
		chmod 700 m/dir
		touch m/dir/new
		! chown 0 m/closed 2>/dev/null
		! mknod m/null c 1 3 2>/dev/null
		mkfifo m/fifo'
}

@test "the worker dies, and the user's mount goes on" {
	build first
	in_clone first '
		pid=$(larder status --json | jq .worker_pid)
		kill -9 $pid
		test "$(cat out/file)" = built
		echo more >out/more
		test "$(larder status --json | jq .worker_pid)" != $pid
		larder commit -q out --name demo --key after'
	[ "$(as_user larder cat demo@after more)" = more ]
}

@test "suid, dev and allow_other are not for everyone" {
	require_root
	as_user mkdir m
	build first
	run as_user larder mount -o suid demo@latest m
	[ "$status" -eq 1 ]
	[ "${#lines[@]}" -eq 1 ]
	if ! grep -qs '^user_allow_other' /etc/fuse.conf; then
		run as_user larder mount -o allow_other demo@latest m
		[ "$status" -eq 1 ]
		[[ $output == *allow_other* ]]
	fi
	run ! mountpoint -q "$USER_DIR/m"
}

@test "a mount point of someone else is refused" {
	require_root
	build first
	mkdir -m 755 "$USER_DIR/not-mine"
	run as_user larder mount demo@latest not-mine
	[ "$status" -eq 1 ]
	[[ $output == *not-mine* ]]
}
