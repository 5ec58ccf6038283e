#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# One read-only mount of every entry, for all jobs of a host.

load ../helpers

setup() {
	larder_setup
	require_fuse
	need jq
	mkdir -p all one/d two/d
	echo same | tee one/same >two/same
	head -c 3000000 /dev/urandom >one/d/big
	cp one/d/big two/d/big
	echo 1 >one/own
	echo 2 >two/own
	ln one/own one/d/linked
	ln -s same one/link
	touch -d '2020-02-02 02:02:02.123456789 UTC' {one,two}/{same,d/big}
	larder import -q one --name web --key k1
	larder import -q two --name web --key k2
	larder import -q two --name tools --key k1 --namespace team
}

# has NAME DIR..., lacks NAME DIR...: as a listing shows it.
has() {
	ls "${@:2}" | grep -qx "$1"
}

lacks() {
	! has "$@"
}

inode() {
	stat -c %i "$1"
}

@test "every entry is there, and is what an ordinary mount shows" {
	larder mount --all all
	[ "$(cd all && echo */*/*)" = \
		"default/web/k1 default/web/k2 team/tools/k1" ]
	mkdir m
	for key in k1 k2; do
		larder mount -q -o ro "web@$key" m
		same_tree m "all/default/web/$key"
		larder umount m
	done
	same_tree one all/default/web/k1
	same_tree two all/team/tools/k1
	run ls all/default/none
	[ "$status" -ne 0 ]
	run touch all/default/web/k1/new
	[[ $output == *"Read-only file system"* ]]
	run_json status
	[ "$(json '.mounts[0].mode')" = ro ]
	[ "$(json '.mounts[0].all.entries')" -eq 3 ]
	larder stats | grep -q 'all entries, 3 in use, with [1-9][0-9]* files'
	larder status | grep -q 'all entries, ro'
}

@test "equal files of different entries are one inode, others are not" {
	larder mount --all all
	web=all/default/web
	[ "$(inode $web/k1/same)" = "$(inode $web/k2/same)" ]
	[ "$(inode $web/k1/d/big)" = "$(inode all/team/tools/k1/d/big)" ]
	[ "$(inode $web/k1/own)" != "$(inode $web/k2/own)" ]
	[ "$(inode $web/k1/own)" = "$(inode $web/k1/d/linked)" ]
	# Read once, it is in memory for all of them: no request more.
	cat $web/k1/d/big >/dev/null
	stat all/team/tools/k1/d/big >/dev/null
	before=$(mount_field all requests.READ)
	cmp all/team/tools/k1/d/big one/d/big
	[ "$(mount_field all requests.READ)" -eq "$before" ]
}

@test "new entries are there at once, removed ones stay for who uses them" {
	larder mount --all all
	web=all/default/web
	run ls $web/k3
	[ "$status" -ne 0 ]
	[ "$(ls $web | wc -l)" -eq 2 ]
	larder import -q one --name web --key k3
	same_tree one $web/k3
	wait_until has k3 $web
	larder import -q one --name web --key k3 --namespace new
	[ -d all/new/web/k3 ]

	exec 7<$web/k1/own
	larder rm -q web@k1
	wait_until lacks k1 $web
	wait_until test ! -e $web/k1
	LARDER_STORE_GRACE=none larder gc -q
	[ "$(cat <&7)" = 1 ]
	exec 7<&-
	# A key that gets another tree shows it.
	mkdir other
	echo other >other/own
	echo other >other/only
	larder import -q other --name web --key k2
	wait_until test -e $web/k2/only
	same_tree other $web/k2
}

@test "a killed worker is not noticed" {
	larder mount --all all
	web=all/default/web
	same_tree one $web/k1
	exec 7<$web/k2/d/big
	(cd $web/k1/d && exec sleep 1000) 3>&- &
	inodes=$(inode $web/k1/same)-$(inode $web/k1/d)
	kill_worker
	drop_caches
	cmp /proc/self/fd/7 two/d/big
	[ "$(inode $web/k1/same)-$(inode $web/k1/d)" = "$inodes" ]
	same_tree one $web/k1
	larder import -q one --name web --key k3
	kill_worker
	same_tree two $web/k2
	same_tree one $web/k3
	kill %1
	exec 7<&-
}

@test "what the kernel has forgotten is open no more, and may be collected" {
	require_root
	larder mount --all all
	same_tree one all/default/web/k1
	same_tree two all/default/web/k2
	[ "$(mount_field all all.entries)" -eq 2 ]
	kill_worker
	[ "$(mount_field all all.entries)" -eq 2 ]
	nothing_open() {
		drop_caches
		[ "$(mount_field all all.entries)" -eq 0 ] &&
			[ "$(mount_field all all.files)" -eq 0 ]
	}
	wait_until nothing_open
	same_tree one all/default/web/k1
}

@test "it has no changes: what would make some is refused, umount ends it" {
	larder mount --all all
	run larder commit all --name web --key k9
	[ "$status" -eq 5 ]
	[[ $output == *"all shows all entries and has no changes"* ]]
	run larder reset all
	[ "$status" -eq 5 ]
	run larder run --path all --name web --key k1 -- true
	[ "$status" -eq 8 ]
	[[ $output == *"shows all entries"* ]]
	run larder mount --all one
	[ "$status" -eq 1 ]
	run larder mount --all web@k1 all
	[ "$status" -eq 2 ]
	larder mount --all all # it is there
	larder umount all
	[ -z "$(ls all)" ]
	[ -z "$(ls "$XDG_STATE_HOME/larder/mounts")" ]
}

@test "it comes back after the daemon died, with what is there now" {
	larder mount --all all
	same_tree one all/default/web/k1
	for pid in $(daemon_pids "$BATS_TEST_TMPDIR"); do
		kill -KILL "$pid"
	done
	wait_until no_daemon "$BATS_TEST_TMPDIR"
	fusermount3 -uz all
	larder import -q one --name web --key k3
	larder mount --resume
	same_tree one all/default/web/k3
	same_tree two all/default/web/k2
}

@test "attributes are those of the entry, stored ones and where it is from" {
	command -v setfattr >/dev/null || skip "setfattr is not installed"
	setfattr -n user.mark -v "a mark" one/own 2>/dev/null ||
		skip "no attributes where the tests run"
	setfattr -n user.mark -v "on both" one/d
	larder import -q one --name web --key k4
	larder mount --all all
	web=all/default/web
	[ "$(getfattr -n user.mark --only-values $web/k4/own)" = "a mark" ]
	[ "$(getfattr -n user.mark --only-values $web/k4/d)" = "on both" ]
	run getfattr -n user.mark $web/k1/own
	[ "$status" -ne 0 ]
	[ "$(inode $web/k4/d/linked)" != "$(inode $web/k1/own)" ]
	# Larder's own, of which no list has any.
	run getfattr -d -m - $web/k4/own
	[[ $output == *user.mark* ]]
	[[ $output != *user.larder* ]]
	[ "$(getfattr -n user.larder.digest --only-values $web/k1/same)" = \
		"sha256:$(sha256sum <one/same | cut -d' ' -f1)" ]
	[ "$(getfattr -n user.larder.tier --only-values $web/k1/same)" = local ]
	[ "$(getfattr -n user.larder.key --only-values $web/k1)" = k1 ]
	[ "$(getfattr -n user.larder.key --only-values $web/k4)" = k4 ]
	[ "$(getfattr -n user.larder.key --only-values $web/k1/d/linked)" = k1 ]
	[[ $(getfattr -n user.larder.digest --only-values $web/k1) == \
		sha256-catalog:* ]]
	# A file of several entries is of none in particular.
	run getfattr -n user.larder.key $web/k1/same
	[ "$status" -ne 0 ]
	run getfattr -n user.larder.key $web
	[ "$status" -ne 0 ]
}

@test "other options are refused while it is there, and no change gets in" {
	larder mount --all all
	same_tree one all/default/web/k1
	run larder mount --all -o stateful-open all
	[ "$status" -eq 8 ]
	[[ $output == *"with other options or tiers"* ]]
	larder mount --all all
	larder umount all
	larder mount --all -o stateful-open all
	same_tree one all/default/web/k1
	require_root
	# What the kernel watches over no more, the daemon does.
	mount -i -o remount,rw all
	run touch all/default/web/k1/new
	[[ $output == *"Read-only file system"* ]]
	run truncate -s 0 all/default/web/k1/same
	[[ $output == *"Read-only file system"* ]]
	run mkdir all/default/new
	[[ $output == *"Read-only file system"* ]]
	run rm all/default/web/k1/same
	[[ $output == *"Read-only file system"* ]]
	mount -i -o remount,ro all
	same_tree one all/default/web/k1
}

@test "a removed entry leaves the listings, and its directories when empty" {
	larder mount --all all
	same_tree two all/team/tools/k1
	(cd all/team/tools && exec sleep 1000) 3>&- &
	larder rm -q tools@k1 --namespace team
	wait_until lacks team all
	kill_worker
	# Who still stands in what is gone sees nothing there.
	[ -z "$(ls "/proc/$!/cwd/")" ]
	run ls "/proc/$!/cwd/k1"
	[[ $output == *"No such file"* ]]
	kill %1
	[ "$(cd all && echo *)" = default ]
}
