#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Entries shared by machines through a directory.

load ../helpers
load common

setup() {
	larder_setup
	share=$BATS_TEST_TMPDIR/share
	mkdir "$share"
	make_remote_tree tree
	for machine in one two; do
		configure "$machine" <<-END
		tiers:
		  - name: local
		  - {name: share, url: "file://$share", access: rw}
		END
	done
}

@test "what one machine imports, another one mounts" {
	require_fuse
	on one "$LARDER" import tree --name web --key k1 --wait
	mkdir mnt
	on two "$LARDER" mount web@k1 mnt
	same_tree tree mnt
	on two "$LARDER" umount mnt
}

@test "a run on another machine is a hit, and a changed key builds on it" {
	require_fuse
	mkdir one two
	echo 1 >one/key && echo 1 >two/key
	(cd one && on one "$LARDER" run --path out --name web --key-file key \
		-- sh -c 'echo built >out/file')
	wait_until uploaded one
	cd two
	run on two "$LARDER" run --path out --name web --key-file key -- false
	[ "$status" -eq 0 ]
	[ "$(cat out/file)" = built ]
	on two "$LARDER" umount out
	echo 2 >key
	on two "$LARDER" run --path out --name web --key-file key \
		-- sh -c 'grep built out/file && echo more >out/second'
	[ "$(cat out/second)" = more ]
}

uploaded() {
	[ "$(on "$1" "$LARDER" status --json | jq '.uploads | length')" -eq 0 ]
}

@test "push, list --remote, pull, and what is there is not sent again" {
	need jq
	on one "$LARDER" import tree --name web --key k1 --tiers local:rw
	run on two "$LARDER" pull web@k1
	[ "$status" -eq 3 ]
	on one "$LARDER" push web@k1 --json >out
	[ "$(jq '.uploads[0].packs_moved' out)" -ge 1 ]
	on one "$LARDER" push web@k1 --json >out
	[ "$(jq '.uploads[0].packs_moved' out)" -eq 0 ]
	on two "$LARDER" list --remote --json >out
	[ "$(jq -r '.entries[] | .tier + " " + .name + "@" + .key' out)" = \
		"share web@k1" ]
	on two "$LARDER" pull web@latest
	on two "$LARDER" pull web@k1 --json >out
	[ "$(jq '.bytes_moved' out)" -eq 0 ]
	on two "$LARDER" materialize web@k1 copy --tiers local:rw
	same_tree tree copy
}

@test "a URL on the command line takes the place of the configuration" {
	mkdir usb
	on one "$LARDER" import tree --name web --key k1 --tiers local:rw
	on one "$LARDER" push --to "file://$PWD/usb" web@k1
	[ ! -e "$share/v1" ]
	run on two "$LARDER" pull web@k1
	[ "$status" -eq 3 ]
	on two "$LARDER" pull --from "file://$PWD/usb" web@k1
	on two "$LARDER" materialize web@k1 copy
	same_tree tree copy
}

@test "tenants and namespaces do not see each other" {
	on one "$LARDER" import tree --name web --key k1 --namespace a --wait
	run on two "$LARDER" pull web@k1 --namespace b
	[ "$status" -eq 3 ]
	run on two "$LARDER" pull web@k1 --namespace a --tenant other
	[ "$status" -eq 3 ]
	on two "$LARDER" pull web@k1 --namespace a
}

@test "a tier that may only be read is not written to, and the other way round" {
	on one "$LARDER" import tree --name web --key k1 --wait \
		--tiers local:rw,share:r
	[ ! -e "$share/v1" ]
	run on one "$LARDER" push web@k1 --tiers share:r
	[ "$status" -eq 2 ]
	[[ $output == *"no remote tier to write to"* ]]
	on one "$LARDER" push web@k1 --tiers share:w
	run on two "$LARDER" pull web@k1 --tiers share:w
	[ "$status" -eq 2 ]
	run on one "$LARDER" import tree --name web --key k2 --tiers local:r
	[ "$status" -eq 5 ]
}

@test "a share that is gone fails no build, and the upload is made up for" {
	require_fuse
	need jq
	mv "$share" away
	mkdir out
	on one "$LARDER" run --path out --name web --key k1 -- touch out/file
	[ -e out/file ]
	run on one "$LARDER" push web@k1
	[ "$status" -eq 6 ]
	[[ $output == *"not in the tier share yet"* ]]
	[ "$(on one "$LARDER" status --json | jq '.uploads | length')" -eq 1 ]
	mv away "$share"
	# It is left alone for a while, and asked again in the background.
	wait_until -t 60 on one "$LARDER" push -q web@k1
	on two "$LARDER" pull web@k1
}

@test "the upload queue survives kill -9 of the daemon" {
	need jq
	mv "$share" away
	on one "$LARDER" import tree --name web --key k1
	wait_until failed_once one
	kill -KILL $(on one "$LARDER" status --json | jq '.pid, .worker_pid')
	mv away "$share"
	on one "$LARDER" status >/dev/null
	wait_until uploaded one
	on two "$LARDER" pull web@k1
}

failed_once() {
	[ "$(on "$1" "$LARDER" status --json | jq '.uploads[0].attempts')" -ge 1 ]
}

@test "two daemons write to one directory at once" {
	local pids=() machine i
	for machine in one two; do
		for i in 1 2 3; do
			on "$machine" "$LARDER" import tree --name web \
				--key "$machine-$i" --wait 3>&- &
			pids+=($!)
		done
	done
	for i in "${pids[@]}"; do
		wait "$i"
	done
	for i in 1 2 3; do
		on three "$LARDER" pull --from "file://$share" "web@one-$i"
		on three "$LARDER" pull --from "file://$share" "web@two-$i"
	done
	on three "$LARDER" materialize web@two-3 copy
	same_tree tree copy
	# Nothing half-written is left behind.
	[ -z "$(find "$share" -name '.*')" ]
}

@test "damage in a tier is found, and a sound one below it serves" {
	mkdir second
	on one "$LARDER" import tree --name web --key k1 --wait
	on one "$LARDER" push --to "file://$PWD/second" web@k1
	find "$share" -path '*/packs/*' -type f |
		while read -r pack; do
			printf x | dd of="$pack" bs=1 seek=1000 conv=notrunc \
				status=none
		done
	run on two "$LARDER" pull web@k1
	[ "$status" -eq 7 ]
	configure two <<-END
	tiers:
	  - {name: share, url: "file://$share"}
	  - {name: second, url: "file://$PWD/second"}
	END
	on two "$LARDER" pull web@k1
	on two "$LARDER" materialize web@k1 copy
	same_tree tree copy
}

# aged DAYS: everything in the share becomes so much older.
aged() {
	find "$share" -type f -exec sh -c 'for f; do
		touch -d "$(date -d "@$(stat -c %Y "$f")") - $0 days" "$f"
	done' "$1" {} +
}

packs() {
	find "$share/v1/local/default/packs" -type f | wc -l
}

@test "gc --remote removes old entries and what they needed, and no more" {
	need jq
	for key in k1 k2 k3; do
		head -c 100000 /dev/urandom >tree/own
		on one "$LARDER" import tree --name web --key "$key" --wait
		cp -a tree "$key"
		aged 3
	done
	[ "$(packs)" -eq 3 ]
	on one "$LARDER" pin web@k1
	on one "$LARDER" gc --remote --keep-days 5 --dry-run --json >out
	[ "$(jq -r '.tier, .removed[].key' out | xargs)" = "share k2" ]
	[ "$(packs)" -eq 3 ]
	run on one "$LARDER" gc --remote share --keep-days 5
	[ "$status" -eq 0 ]
	[[ $output == *k2*old* ]]
	[[ $output == *"share: 1 of 3 entries"* ]]
	[ "$(packs)" -eq 2 ]
	# Pins are this machine's.
	on two "$LARDER" gc --remote --keep-last 1 --json >out
	[ "$(jq -r '.removed[].key' out)" = k1 ]
	# The others build on what k1 brought.
	[ "$(jq .removed_packs,.removed_trees out | xargs)" = "0 1" ]
	[ "$(packs)" -eq 2 ]
	on two "$LARDER" pull web@latest
	on two "$LARDER" materialize web@k3 copy --tiers local:rw
	same_tree k3 copy
	[ -z "$(find "$share" -path '*/gc/*' -type f)" ]
	[ -z "$(find "$share" -path '*/holds/*' -type f)" ]
	# What was removed can be put again, from where it still is.
	on one "$LARDER" push web@k2
	on two "$LARDER" materialize web@k2 again
	same_tree k2 again
}

@test "gc --remote says what it cannot do" {
	on one "$LARDER" import tree --name web --key k1 --wait
	run on one "$LARDER" gc --remote other
	[ "$status" -eq 2 ]
	[[ $output == *"no remote tier other to write to"* ]]
	run on one "$LARDER" gc --remote --tiers share:r
	[ "$status" -eq 2 ]
	run on one "$LARDER" gc --remote --keep-days 0
	[ "$status" -eq 2 ]
	run on one "$LARDER" gc --remote --max-size 10%
	[ "$status" -eq 2 ]
	run on one "$LARDER" gc --keep-last 3
	[ "$status" -eq 2 ]
	[[ $output == *"for remote tiers"* ]]
	run on one "$LARDER" gc share
	[ "$status" -eq 2 ]
	mkdir -p "$share/v1/local/default/gc/collectors"
	touch "$share/v1/local/default/gc/collectors/$(printf %032d 1)"
	run on one "$LARDER" gc --remote
	[ "$status" -eq 8 ]
	[[ $output == *"another collection"* ]]
	aged 1
	on one "$LARDER" gc --remote
}
