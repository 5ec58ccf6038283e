#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Several remote tiers, one below the other: a near directory and a far one.

load ../helpers
load common

setup() {
	larder_setup
	near=$BATS_TEST_TMPDIR/near
	far=$BATS_TEST_TMPDIR/far
	mkdir "$near" "$far"
	make_remote_tree tree
	configure one <<-END
	tiers: [{name: far, url: "file://$far", access: rw}]
	END
	configure two <<-END
	tiers:
	  - {name: near, url: "file://$near", access: rw}
	  - {name: far, url: "file://$far", access: r}
	END
	configure three <<-END
	tiers: [{name: near, url: "file://$near"}]
	END
}

uploaded() {
	[ "$(on "$1" "$LARDER" status --json | jq '.uploads | length')" -eq 0 ]
}

@test "a hit in the far tier fills the near one, whoever mounts or runs" {
	require_fuse
	need jq
	on one "$LARDER" import tree --name web --key k1 --branch main --wait
	mkdir mnt out
	on two "$LARDER" mount web@k1 mnt
	wait_until uploaded two
	# The mount has read nothing: what came here went through.
	[ "$(on two "$LARDER" stats mnt --json |
		jq '.mounts[0].remote.chunks_here')" -eq 0 ]
	mv "$far" away
	on three "$LARDER" pull web@k1
	on three "$LARDER" pull web@branch:main
	on three "$LARDER" materialize web@k1 copy
	same_tree tree copy
	mv away "$far"
	echo more >tree/more
	on one "$LARDER" import tree --name web --key k2 --wait
	on two "$LARDER" run --path out --name web --key k2 -- false
	wait_until uploaded two
	on three "$LARDER" pull web@k2
	on three "$LARDER" materialize web@k2 copy2
	same_tree tree copy2
}

@test "what is being copied between tiers survives kill -9 of the daemon" {
	need jq
	on one "$LARDER" import tree --name web --key k1 --wait
	mv "$near" away
	on two "$LARDER" show web@k1 >/dev/null
	wait_until failed_once two
	kill -KILL $(on two "$LARDER" status --json | jq '.pid, .worker_pid')
	mv away "$near"
	on two "$LARDER" status >/dev/null
	wait_until uploaded two
	on three "$LARDER" pull web@k1
}

failed_once() {
	[ "$(on "$1" "$LARDER" status --json | jq '.uploads[0].attempts')" -ge 1 ]
}

@test "what is stored goes to each tier that may be written to, whichever fails" {
	need jq
	configure one <<-END
	tiers:
	  - {name: away, url: "file://$PWD/away", access: rw}
	  - {name: near, url: "file://$near", access: w}
	  - {name: read, url: "file://$PWD/read", access: r}
	  - {name: far, url: "file://$far", access: rw}
	END
	mkdir read
	run on one "$LARDER" import tree --name web --key k1 --wait
	[ "$status" -eq 6 ]
	[[ $output == *"not in the tier away yet"* ]]
	[ -z "$(ls read)" ]
	diff -r "$near" "$far"
	on three "$LARDER" pull web@k1
	# It is made up for, and is the same there.
	mkdir away
	wait_until on one "$LARDER" push -q web@k1
	diff -r away "$far"
}

@test "a tier that is only read is not filled" {
	on one "$LARDER" import tree --name web --key k1 --wait
	on two "$LARDER" pull web@k1 --tiers local:rw,near:r,far:r
	wait_until uploaded two
	[ ! -e "$near/v1" ]
}

@test "restore prefixes, branches and names are looked up in tiers" {
	require_fuse
	need jq
	mkdir out
	for key in lock-a1 lock-b1 other-1; do
		echo "$key" >tree/key
		on one "$LARDER" import tree --name web --key "$key" --wait
	done
	rule() {
		on "$1" "$LARDER" run --path out --name web --json \
			--ephemeral --always "${@:2}" -- cat out/key \
			2>got | jq -r '.rule + " " + .entry.key'
	}
	[ "$(rule two --key new1 --restore-prefix lock-a --mode read-only)" = \
		"prefix lock-a1" ]
	[ "$(rule four --key new2 --restore-prefix none --restore-prefix lock- \
		--mode read-only --tiers "file://$far:r")" = \
		"prefix lock-b1" ]
	grep -x lock-b1 got
	[ "$(rule five --key new3 --mode read-only --tiers "file://$far:r")" = \
		"name other-1" ]
}

@test "rm --remote" {
	need jq
	on one "$LARDER" import tree --name web --key number-1 --wait
	on one "$LARDER" import tree --name web --key number-2 --wait
	run on one "$LARDER" rm --remote web@number
	[ "$status" -eq 2 ]
	[[ $output == *"several entries begin with web@number"* ]]
	run on two "$LARDER" rm --remote web@number-1
	[ "$status" -eq 3 ]
	[[ $output == *"no tier that may be written to has it"* ]]
	[ "$(on one "$LARDER" rm --remote web@number-1 --json |
		jq -c '[.entry.key, .tiers]')" = '["number-1",["far"]]' ]
	run on one "$LARDER" rm --remote web@number-1
	[ "$status" -eq 3 ]
	on one "$LARDER" show web@number-1 >/dev/null
	run on two "$LARDER" pull web@number-1
	[ "$status" -eq 3 ]
	# The pointer to the newest leads to the other one, which it may be.
	on one "$LARDER" rm --remote web@number-2
	on one "$LARDER" push web@number-1
	on two "$LARDER" pull web@latest
}

@test "import --wait and commit --wait fail where an upload does, and keep the entry" {
	require_fuse
	need jq
	mkdir mnt
	on one "$LARDER" import tree --name web --key k1 --wait
	on one "$LARDER" mount web@k1 mnt
	touch mnt/more
	mv "$far" away
	run on one "$LARDER" import tree --name web --key k2 --wait
	[ "$status" -eq 6 ]
	[[ $output == *"web is not in the tier far yet"*"web@k2"* ]]
	run on one "$LARDER" commit mnt --name web --key k3 --wait
	[ "$status" -eq 6 ]
	[[ $output == *"not in the tier far yet"*"web@k3"* ]]
	run on one "$LARDER" push web@k3
	[ "$status" -eq 6 ]
	run --separate-stderr on one "$LARDER" import tree --name web \
		--key k4 --wait --json
	[ "$status" -eq 6 ]
	jq -e '.uploads[0].error != null and .uploads[0].given_up == false' \
		<<<"$output"
	# Without --wait it is nobody's failure yet.
	on one "$LARDER" import tree --name web --key k5
	mv away "$far"
	for key in k2 k3 k4 k5; do
		# It has failed often enough to be left alone for a while.
		wait_until on one "$LARDER" push -q "web@$key"
		on two "$LARDER" pull "web@$key"
	done
}

@test "run --wait waits for the upload, and fails no run" {
	require_fuse
	need jq
	mkdir out
	on one "$LARDER" run --path out --name web --key k1 --wait \
		-- touch out/file
	[ "$(on one "$LARDER" status --json | jq '.uploads | length')" -eq 0 ]
	on two "$LARDER" pull web@k1
	mv "$far" away
	run on one "$LARDER" run --path out --name web --key k2 --wait --always \
		-- touch out/more
	[ "$status" -eq 0 ]
	[[ $output == *"not in the tier far yet"* ]]
	mv away "$far"
}
