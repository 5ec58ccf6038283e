#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Runs without a mount: the same keys, outcomes and commits in a plain
# directory, on request and where there is no FUSE.

load ../helpers

setup() {
	larder_setup
	echo one >input
}

build='echo x >>ran; mkdir -p out/dir; cp input out/dir/copy; echo same >out/same'

# plain ARGUMENT... is a run into out/ that counts its commands in `ran`.
plain() {
	larder run --materialize --path out --key-file input "$@" -- \
		sh -c "$build"
}

# The same, its answer for json().
plain_json() {
	run_json run --json --materialize --path out --key-file input -- \
		sh -c "$build"
}

ran() {
	[ ! -e ran ] || wc -l <ran
}

# is_plain DIR: nothing is mounted there.
is_plain() {
	! mountpoint -q "$1"
}

@test "a miss builds and commits, the next run in another place is a hit" {
	run -0 plain
	[[ $output == *miss* ]]
	[ "$(ran)" -eq 1 ]
	is_plain out
	mv out first
	run -0 plain
	[[ $output == *'exact hit'*materialized*'command skipped'* ]]
	[ "$(ran)" -eq 1 ]
	is_plain out
	same_state first out
}

@test "what is in place already is found there" {
	plain
	rm -rf out
	plain
	before=$(stat -c %i out/same)
	plain_json
	[ "$(json .outcome)" = exact ]
	[ "$(json .reused)" = true ]
	[ "$(json .materialized)" = true ]
	[ "$(json .mounted)" = false ]
	[ "$(stat -c %i out/same)" = "$before" ]
	# As with a mount, changes made since stay.
	echo mine >out/mine
	run -0 plain
	[ "$(cat out/mine)" = mine ]
	[ "$(ran)" -eq 1 ]
}

@test "a partial hit is the base, and the commit has what is new" {
	plain
	rm -rf out
	echo two >input
	plain_json
	[ "$(json .outcome)" = partial ]
	[ "$(json .rule)" = branch ] || [ "$(json .rule)" = name ]
	[ "$(json .commit.result.new_files)" -eq 0 ] ||
		[ "$(json .commit.result.new_files)" -eq 1 ]
	[ "$(cat out/dir/copy)" = two ]
	[ "$(ran)" -eq 2 ]
	run larder list
	[ "$(grep -c '^out' <<<"$output")" -eq 2 ]
}

@test "an unchanged tree makes room for another, a changed one does not" {
	plain
	echo two >input
	rm -rf out
	plain
	echo one >input
	rm -rf out
	plain
	# Of another key, and just as it was written.
	echo two >input
	run -0 plain
	[[ $output == *'exact hit'* ]]
	[ "$(cat out/dir/copy)" = two ]
	# With a change of the user's: it is not thrown away.
	echo mine >out/mine
	echo one >input
	run plain
	[ "$status" -eq 1 ]
	[[ $output == *'changed since larder wrote it'* ]]
	[ "$(cat out/mine)" = mine ]
	# But it is what a build may go on from.
	echo three >input
	plain_json
	[ "$(json .outcome)" = partial ]
	[ "$(json .reused)" = true ]
	[ "$(cat out/mine)" = mine ]
}

@test "files of others are refused, or adopted" {
	mkdir out
	echo mine >out/mine
	run plain
	[ "$status" -eq 1 ]
	[[ $output == *'not from larder'*--adopt* ]]
	[ "$(cat out/mine)" = mine ]
	[ -z "$(ran)" ]
	run -0 plain --adopt
	[ "$(ran)" -eq 1 ]
	[ "$(larder cat out@latest mine)" = mine ]
}

@test "the commit reads only what the command changed" {
	mkdir tree
	for i in $(seq 200); do
		echo "file $i" >"tree/$i"
	done
	larder import tree --name out --key base
	echo two >input
	plain_json
	[ "$(json .outcome)" = partial ]
	bytes=$(json .commit.result.read_bytes)
	[ "$bytes" -eq $((4 + 5)) ]
	[ "$(json .commit.entry.files)" -eq 202 ]
}

@test "modes: force, read-only, refresh, off" {
	LARDER_MODE=force run plain
	[ "$status" -eq 3 ]
	[ -z "$(ran)" ]
	run -0 plain --mode read-only
	[ "$(ran)" -eq 1 ]
	[ -z "$(larder list -q | grep '^out')" ]
	rm -rf out
	plain
	run -0 plain --mode refresh
	[ "$(ran)" -eq 3 ]
	rm -rf out
	run -0 plain --mode off
	[ "$(ran)" -eq 4 ]
	[[ $output != *hit* ]]
}

@test "a command that fails commits nothing" {
	run larder run --materialize --path out --key-file input -- \
		sh -c 'echo half >out/half; exit 7'
	[ "$status" -eq 7 ]
	run larder list
	[[ $output != *out* ]]
}

@test "without /dev/fuse a run chooses it by itself and says so" {
	require_root
	unshare -m true 2>/dev/null || skip "no mount namespaces"
	cat >inside <<-'END'
		mount -t tmpfs none /dev
		mknod -m 666 /dev/null c 1 3
		mknod -m 666 /dev/urandom c 1 9
		run() {
			larder run --path out --key one -- \
				sh -c 'echo x >>ran; echo x >out/x'
		}
		run && rm -rf out && run
		status=$?
		larder daemon stop
		exit $status
	END
	run -0 unshare -m bash inside
	[[ $output == *'no /dev/fuse'*--materialize* ]]
	[[ $output == *'exact hit'* ]]
	[ "$(ran)" -eq 1 ]
	[ "$(cat out/x)" = x ]
}

@test "a directory that was made anew is not the one that larder wrote" {
	plain
	rm -rf out
	mkdir out
	echo foreign >out/same
	run -1 plain
	[[ $output == *'holds files that are not from larder'* ]]
	[ "$(cat out/same)" = foreign ]
	[ "$(ran)" -eq 1 ]
}

# several ARGUMENT... is a run into a/ and b/c/, in a work tree.
several() {
	larder run --materialize --name demo --path a --path b/c "$@"
}

@test "several directories are one entry, each written out in its place" {
	git init -q .
	mkdir -p other && git init -q other
	several --key one -- sh -c 'echo a >a/x; ln a/x a/y; echo b >b/c/x'
	is_plain a
	[ "$(larder list --json | jq '.entries | length')" -eq 1 ]
	[ "$(larder cat demo@one REPO/a/y)" = a ]
	[ "$(larder cat demo@one REPO/b/c/x)" = b ]

	# In another clone all of it comes back, in place it is found.
	tree_state a >a.state
	tree_state b/c >c.state
	run_json run --materialize --name demo --path a --path b/c --key one \
		-- touch ran
	[ "$(json '[.outcome, .reused] | join(" ")')" = 'exact true' ]
	cd other
	run_json run --materialize --name demo --path a --path b/c --key one \
		-- touch ran
	[ "$(json '[.outcome, .reused] | join(" ")')" = 'exact false' ]
	[ ! -e ran ]
	is_state a ../a.state
	is_state b/c ../c.state

	# And as mounts, where there is FUSE.
	require_fuse
	rm -r a b
	larder run --name demo --path a --path b/c --key one -- touch ran
	mountpoint -q a
	[ ! -e ran ]
	is_state a ../a.state
}

@test "several directories: a miss builds on all of the nearest entry" {
	several --key one -- sh -c 'echo a >a/x; echo b >b/c/x'
	rm -r a b
	run -0 several --key two -- sh -c 'cat a/x b/c/x; echo new >a/new'
	[[ $output == *$'a\nb'* ]]
	[ "$(larder export demo@two | tar -t | grep -c '/\(x\|new\)$')" -eq 3 ]
	[ "$(larder show demo@two --json | jq -r .entry.parent)" = one ]
	[ "$(larder list --json | jq '.entries[0].new_files')" -eq 1 ]
}

@test "several directories: one that cannot be used leaves all as they are" {
	several --key one -- sh -c 'echo a >a/x; echo b >b/c/x'
	rm -r a/x b/c/x
	echo mine >b/c/mine
	mkdir foreign && mv b/c/mine foreign/ && rmdir b/c && mv foreign b/c
	run -1 --separate-stderr several --key one -- touch ran
	[[ $stderr == *"$PWD/b/c holds files"* ]]
	[ ! -e ran ]
	[ -z "$(ls a)" ]
	[ "$(cat b/c/mine)" = mine ]
	several --adopt --key two -- cat a/x b/c/mine
	[ "$(larder export demo@two | tar -t | grep -c mine)" -eq 1 ]
}

@test "files: the same entries as with mounts" {
	git init -q .
	mkdir -p other && git init -q other
	mixed() {
		larder run --name demo --path out --file list --file none \
			--key "$@"
	}
	mixed one --materialize -- sh -c 'echo a >out/a; echo b >list'
	is_plain out
	stat -c '%a %y' list >list.state
	run_json run --materialize --name demo --path out --file list \
		--file none --key one -- touch ran
	[ "$(json '[.outcome, .reused] | map(tostring) | join(" ")')" = \
		'exact true' ]
	cd other
	mixed one --materialize -- touch ran
	[ ! -e ran ] && [ ! -e none ]
	[ "$(cat out/a list | xargs)" = 'a b' ]
	stat -c '%a %y' list | cmp - ../list.state
	mixed two --materialize -- sh -c 'echo c >>list'
	[ "$(larder cat demo@two REPO/list | xargs)" = 'b c' ]
	# A file alone.
	larder run --materialize --name lone --path list --key one -- true
	rm list
	larder run --materialize --name lone --path list --key one -- false
	[ "$(xargs <list)" = 'b c' ]
	is_plain list

	require_fuse
	rm -r out list
	mixed one -- touch ran
	mountpoint -q out
	[ ! -e ran ]
	stat -c '%a %y' list | cmp - ../list.state
}
