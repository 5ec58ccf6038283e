#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Files of a mount that come from a remote tier when they are read.

load ../helpers
load common

setup() {
	larder_setup
	require_fuse
	need jq
	share=$BATS_TEST_TMPDIR/share
	mkdir "$share"
	make_remote_tree tree
	# Enough that one request does not bring it all.
	head -c 6000000 /dev/urandom >tree/noise
	tiers "$share"
	on one "$LARDER" import tree --name web --key k1 --wait
	mkdir mnt
}

# tiers DIR... makes these the tiers of all machines, in this order.
tiers() {
	local machine dir
	for machine in one two three; do
		{
			echo 'tiers:'
			echo '  - name: local'
			for dir; do
				printf '  - {name: %s, url: "file://%s", access: rw}\n' \
					"${dir##*/}" "$dir"
			done
		} | configure "$machine"
	done
}

# stat_of MACHINE FILTER: of `larder stats --json`.
stat_of() {
	on "$1" "$LARDER" stats --json | jq -r "$2"
}

# mount MACHINE ENTRY [OPTION...]: with reads that wait for a second at most.
mount_on() {
	local machine=$1 entry=$2
	shift 2
	on "$machine" env LARDER_READ_DEADLINE=1 "$LARDER" mount "$@" "$entry" \
		mnt
}

@test "a mount asks for the entry and the tree, and a read for chunks" {
	mount_on two web@k1
	[ "$(stat_of two '.tiers[0].requests')" -eq 2 ]
	[ "$(stat_of two '.mounts[0].remote.fetched_bytes')" -eq 0 ]
	ls -lR mnt >list
	[ "$(stat_of two '.tiers[0].requests')" -eq 2 ]
	[ "$(cat mnt/run.sh)" = 'echo hello' ]
	[ "$(stat_of two '.mounts[0].remote.fetches.wanted')" -eq 1 ]
	[ "$(stat_of two '.mounts[0].remote.fetched_bytes')" -lt 2000000 ]
	same_tree tree mnt
	[ "$(stat_of two '.mounts[0].remote.reads_waited')" -ge 1 ]
	[ "$(stat_of two '.tiers[0].failures')" -eq 0 ]
	on two "$LARDER" stats mnt | grep -q 'chunks'
}

@test "without the tier what came is readable, the rest is an error until it is back" {
	mount_on two web@k1
	cat mnt/run.sh
	mv "$share" "$share.away"
	[ "$(cat mnt/run.sh)" = 'echo hello' ]
	run cat mnt/noise
	[ "$status" -ne 0 ]
	[[ $output == *'Input/output error'* ]]
	ls -lR mnt >list
	mv "$share.away" "$share"
	wait_until cmp -s tree/noise mnt/noise
	same_tree tree mnt
}

@test "a read that waits for a tier ends with a signal" {
	on two env LARDER_READ_DEADLINE=600 "$LARDER" mount web@k1 mnt
	mv "$share" "$share.away"
	run timeout -s INT -k 60 1 cat mnt/noise
	[ "$status" -eq 124 ]
	mv "$share.away" "$share"
}

@test "wrong bytes of one tier are never seen, the next one has them" {
	local pack
	cp -r "$share" "$BATS_TEST_TMPDIR/liar"
	for pack in "$BATS_TEST_TMPDIR"/liar/v1/local/default/packs/*/*; do
		for at in 1000 200000 900000 3000000 5000000; do
			printf 'XXXXXXXX' | dd of="$pack" bs=1 seek=$at \
				conv=notrunc status=none
		done
	done
	tiers "$BATS_TEST_TMPDIR/liar" "$share"
	mount_on two web@k1
	same_tree tree mnt
	[ "$(stat_of two '.tiers[0].damaged')" -ge 1 ]
	[ "$(stat_of two '.tiers[1].hits')" -ge 1 ]
}

@test "another worker goes on fetching" {
	mount_on two web@k1
	cat mnt/run.sh
	kill -9 "$(on two "$LARDER" status --json | jq .worker_pid)"
	same_tree tree mnt
}

@test "what is prefetched needs no tier" {
	on two "$LARDER" prefetch web@k1
	mv "$share" "$share.away"
	mount_on two web@k1
	same_tree tree mnt
	run on two "$LARDER" prefetch web@k1
	[ "$status" -eq 0 ]
	mv "$share.away" "$share"
}

filled() {
	[ "$(stat_of two '.mounts[0].remote == null or .mounts[0].remote.filled')" = true ]
}

@test "a mount is filled while it is used" {
	mount_on two web@k1 --fill
	cat mnt/run.sh
	wait_until filled
	mv "$share" "$share.away"
	same_tree tree mnt
	mv "$share.away" "$share"
}

@test "a commit on top of what is fetched is whole" {
	mount_on two web@k1
	echo more >mnt/more
	on two "$LARDER" commit mnt --name web --key k2 --wait
	same_tree mnt mnt
	on two "$LARDER" umount mnt
	mount_on three web@k2
	diff -r tree mnt >differ || true
	[ "$(cat differ)" = 'Only in mnt: more' ]
	on three "$LARDER" umount mnt
}

@test "what one machine read first is fetched ahead on the next" {
	mount_on two web@k1
	cat mnt/run.sh mnt/lib/numbers >out
	head -c 100 mnt/lib/deep/large >>out
	on two "$LARDER" push web@k1
	[ -n "$(find "$share" -path '*records*' -type f)" ]
	on two "$LARDER" umount mnt
	mount_on three web@k1
	cat mnt/run.sh
	same_tree tree mnt
	on three "$LARDER" umount mnt
}

@test "an attribute says which tier a file is read from" {
	need getfattr
	mount_on two web@k1
	[ "$(getfattr --only-values -n user.larder.tier mnt/noise)" = share ]
	[ "$(stat_of two '.mounts[0].remote.fetched_bytes')" -eq 0 ]
	cat mnt/noise >/dev/null
	[ "$(getfattr --only-values -n user.larder.tier mnt/noise)" = local ]
}
