#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Modes, owners, times and extended attributes over a base; locks.

load ../helpers
load common

setup_file() {
	upper_setup_file
}

setup() {
	upper_setup
}

@test "modes change, of files and directories" {
	in_both '
		chmod 600 a
		chmod u+s,g-w script
		chmod 700 dir
		chmod +t empty
		chmod -R go-rwx other
		umask 027
		echo x >masked
		mkdir masked-dir
		stat -c "%a %n" masked masked-dir
	'
	settles
}

@test "owners change" {
	require_root
	in_both '
		chown 1000:1001 a
		chown 1002 dir
		chgrp 1003 other/file
		chown -h 1004:1004 link
		find . -printf "%U:%G %p\n" | sort
	'
	settles
	mkdir later
	larder mount -q -o ro base@two later
	[ "$(stat -c %u:%g later/a later/link later/b | xargs)" = \
		'1000:1001 1004:1004 0:0' ]
}

@test "changing the owner clears suid" {
	require_root
	in_both '
		chmod 4755 script
		chown 1000 script
		stat -c %a script
	'
}

@test "times are kept to the nanosecond" {
	in_both '
		touch -d "2001-02-03 04:05:06.000000001 UTC" a
		touch -d "1960-01-01 00:00:00.5 UTC" b
		touch -d "2100-01-01 00:00:00.999999999 UTC" dir
		touch -h -d "2002-02-02 02:02:02.020202020 UTC" link
		touch -a -d "2003-03-03 03:03:03.3 UTC" script
		stat -c "%y %n" a b dir link
		stat -c "%x" script
	'
	same_tree plain m
	settles
}

@test "changing a child's content leaves its directory's time alone" {
	before=$(stat -c %y m m/dir m/dir/sub)
	echo more >>m/dir/file
	chmod 600 m/dir/sub/deep/file
	[ "$(stat -c %y m m/dir m/dir/sub)" = "$before" ]
	before=$(stat -c %y m/other)
	touch m/other/new
	[ "$(stat -c %y m/other)" != "$before" ]
	settles
}

@test "writing changes a file's time, reading does not" {
	before=$(stat -c %y m/a)
	cat m/a
	[ "$(stat -c %y m/a)" = "$before" ]
	echo x >>m/a
	[ "$(stat -c %y m/a)" != "$before" ]
	before=$(stat -c %z m/b)
	chmod 600 m/b
	[ "$(stat -c %z m/b)" != "$before" ]
}

@test "a time that was set stays when data are flushed later" {
	echo x >m/new
	touch -d '2001-02-03 04:05:06.7 UTC' m/new
	sync -f m
	drop_caches
	[ "$(stat -c %Y m/new)" -eq 981173106 ]
}

@test "extended attributes are set, listed, replaced and removed" {
	in_both '
		setfattr -n user.one -v 1 a
		setfattr -n user.two -v "two words" a
		setfattr -n user.bytes -v 0x00ff00 dir
		setfattr -n user.empty dir
		getfattr -d a
		setfattr -n user.one -v replaced a
		setfattr -x user.two a
		getfattr -d a dir
		! getfattr -n user.none a 2>/dev/null
		! setfattr -x user.none a 2>/dev/null
		setfattr -n user.large -v "$(printf "v%.0s" $(seq 3000))" b
	'
	settles
}

@test "a root's capability attribute is kept" {
	require_root
	need setcap
	cp /bin/true m/capable
	setcap cap_net_raw+ep m/capable
	[[ $(getcap m/capable) == *cap_net_raw* ]]
	echo >>m/capable
	[ -z "$(getcap m/capable)" ]
}

@test "flock keeps others out" {
	flock m/a bash -c '! flock -n m/a true'
	flock -n m/a true
	flock -s m/a flock -s -n m/a true
}

@test "record locks keep others out of their range" {
	fsops record-lock m/large
}

@test "default_permissions are checked" {
	require_root
	make_user_dir
	# Another user sees a mount only with allow_other, and not what is in
	# directories of the tests' own.
	chmod 711 "$USER_DIR"
	local m=$USER_DIR/m
	mkdir "$m"
	larder mount -q -o rw,allow_other base@one "$m"
	chmod 600 "$m/a"
	as_other() {
		setpriv --reuid "$LARDER_TEST_USER" --regid \
			"$LARDER_TEST_USER" --clear-groups "$@"
	}
	as_other cat "$m/b"
	run as_other cat "$m/a"
	[ "$status" -ne 0 ]
	run as_other touch "$m/new"
	[ "$status" -ne 0 ]
	chmod 777 "$m/empty"
	as_other touch "$m/empty/mine"
	[ "$(stat -c %U "$m/empty/mine")" = "$LARDER_TEST_USER" ]
}
