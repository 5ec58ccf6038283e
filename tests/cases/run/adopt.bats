#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Mount points that hold files: refused with the choice named, or, with
# --adopt, what the mount begins with. The files stay beneath it.

load ../helpers

setup() {
	larder_setup
	require_fuse
	need jq
	echo one >input
	mkdir -p out/dir
	echo mine >out/mine
	ln out/mine out/dir/link
	touch -d '2020-02-02 20:20:20.123456789 UTC' out/dir
	cp -a out before
}

# adopting ARGUMENT... -- COMMAND...
adopting() {
	larder run --path out --key-file input "$@"
}

# beneath: the directory's own files are as they were.
beneath() {
	larder umount -q "$@" out
	same_state before out
}

@test "files are refused, and the choice is named" {
	run -1 --separate-stderr adopting -- touch ran
	[[ $stderr == *"$PWD/out is not empty"*'--adopt'* ]]
	run -1 --separate-stderr larder mount --empty out
	[[ $stderr == *"$PWD/out is not empty"*'--adopt'* ]]
	[ ! -e ran ]
	same_state before out
}

@test "the command builds on the files, and its result is an entry" {
	run -0 --separate-stderr adopting --adopt -- sh -c '
		echo "$LARDER_OUTCOME $LARDER_MATCHED"
		cat out/dir/link; echo new >out/new'
	[ "$output" = $'partial \nmine' ]
	[[ $stderr == *'what the directory holds is the base; mounted in'* ]]
	[ "$(larder cat out@latest mine)" = mine ]
	[ "$(larder cat out@latest new)" = new ]
	[ out/mine -ef out/dir/link ]
	[ "$(stat -c %y out/dir)" = "$(stat -c %y before/dir)" ]

	# It is a mount as any other: the next run is a hit in place.
	run_json run --path out --key-file input -- touch ran
	[ "$(json '[.outcome, .reused] | join(" ")')" = 'exact true' ]
	[ ! -e ran ]
	run -0 --separate-stderr larder umount out
	[[ $stderr == *'its own files again'* ]]
	same_state before out
}

@test "an exact entry is mounted over the files" {
	adopting --adopt -- sh -c 'echo new >out/new'
	larder umount -q out
	run -1 adopting -- false
	run_json run --adopt --path out --key-file input -- touch ran
	[ "$(json .outcome)" = exact ]
	[ ! -e ran ]
	[ "$(cat out/new)" = new ]
	beneath
}

@test "what is written goes to the mount, and comes back with it" {
	larder mount -q --adopt out
	[ "$(mount_field out over_files)" = true ]
	[ "$(larder diff out | wc -l)" -eq 0 ]
	same_state before out
	echo more >>out/mine
	rm out/dir/link
	tree_state out >changed
	kill_worker
	is_state out changed
	larder umount -q out
	same_state before out
	larder mount -q --resume out
	is_state out changed
	larder daemon stop --force
	same_state before out
	larder mount -q --resume out
	is_state out changed

	# Dropping the changes never drops the files.
	larder reset -q out
	same_state before out
	beneath
}

@test "a reset after a commit goes back to what was committed" {
	larder mount -q --adopt out
	echo more >out/more
	larder commit -q out --name out --key k
	echo again >out/more
	larder reset -q out
	[ "$(cat out/more out/mine)" = $'more\nmine' ]
	beneath
}

@test "an exact entry takes the place of what was adopted" {
	mkdir tree
	echo entry >tree/file
	larder import -q tree --name out --key k
	larder mount -q --adopt out
	echo changed >out/changed
	run -0 --separate-stderr larder run --path out --key k -- false
	[[ $stderr == *'they are kept'* ]]
	[ "$(ls out)" = file ]
	larder umount -q out
	same_state before out
}

@test "killed while it stores the files, it has done nothing" {
	LARDER_FAULT=pack.write:1:kill larder daemon start -q
	run -1 larder mount --adopt out
	! mountpoint -q out
	same_state before out
	larder daemon stop --force
	larder mount -q --adopt out
	same_state before out
	beneath
}

@test "several directories: those with files begin with them" {
	run -0 --separate-stderr larder run --adopt --name both --path out \
		--path other --key k -- sh -c 'cat out/mine; echo o >other/o'
	[ "$output" = mine ]
	larder umount -q other
	larder umount -q out
	same_state before out
	run -0 --separate-stderr larder run --adopt --name both --path out \
		--path other --key l -- cat other/o out/mine
	[ "$output" = $'o\nmine' ]
}

@test "a file that cannot be read is said, and nothing is mounted" {
	require_root
	as_user sh -c 'mkdir -p out && echo x >out/secret && chmod 0 out/secret
		larder mount --adopt "$PWD/out" 2>err && exit 1
		grep -q out err && ! mountpoint -q out'
}

@test "--adopt is one of the forms of mount" {
	run -2 --separate-stderr larder mount --adopt --empty out
	[[ $stderr == *'either --empty, --adopt, --all or --resume'* ]]
	run -2 --separate-stderr larder mount --adopt out@latest out
	[[ $stderr == *'takes one DIR'* ]]
	rm -r out/*
	larder mount -q --adopt out
	[ "$(mount_field out over_files)" = false ]
}
