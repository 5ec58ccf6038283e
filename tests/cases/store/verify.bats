#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Damage in the store: found, mended, fetched again, or removed; and a daemon
# that is killed while it mends.

load ../helpers

setup() {
	larder_setup
	need jq
	export LARDER_STORE_GRACE=none LARDER_STORE_MIN_FREE=none
	mkdir both first
	head -c 1000000 /dev/urandom >both/1
	head -c 1000000 /dev/urandom >both/2
	cp both/1 first/1
	larder import -q both --name app --key both
	larder import -q first --name app --key first
}

packs() {
	find "$XDG_CACHE_HOME/larder/v1/packs" -type f
}

# damage changes a byte of the second file's chunk.
damage() {
	printf X | dd of="$(packs)" bs=1 seek=1500000 conv=notrunc status=none
}

# works KEY: every byte of the entry is right.
works() {
	rm -rf out
	larder materialize -q "app@$1" out
	diff -r "$1" out
}

@test "a whole store is whole" {
	run larder verify
	[ "$status" -eq 0 ]
	[[ $output == *"nothing is damaged"* ]]
	run_json verify
	[ "$(json '.damaged | length')" = 0 ]
	[ "$(json '.entries, .packs, .left' | xargs)" = "2 1 0" ]
}

@test "damage is named, exit code 7, and nothing is changed" {
	damage
	run larder verify
	[ "$status" -eq 7 ]
	[[ $output == *"entry default/app@both: 1 of 2 chunks are damaged or gone"* ]]
	[[ $output == *"1 of 2 chunks are damaged"* ]]
	[[ $output == *"--repair"* ]]
	run larder verify --json
	[ "$status" -eq 7 ]
	[ "$(jq -r '[.damaged[].outcome] | unique[]' <<<"$output")" = left ]
	works first
}

@test "what is lost is removed, so that it is built again" {
	damage
	run larder verify --repair
	[ "$status" -eq 0 ]
	[[ $output == *"entry default/app@both"*removed* ]]
	[[ $output == *"set aside"* ]]
	run larder show app@both
	[ "$status" -eq 3 ]
	works first
	larder verify
	larder import -q both --name app --key both
	works both
}

@test "what a remote tier has is fetched again" {
	mkdir shared "$XDG_CONFIG_HOME/larder"
	cat >"$XDG_CONFIG_HOME/larder/config.yml" <<-END
		tiers:
		  - name: shared
		    url: file://$PWD/shared
		    access: rw
	END
	larder push -q app@both
	damage
	run larder verify --repair
	[ "$status" -eq 0 ]
	[[ $output == *"entry default/app@both"*mended* ]]
	works both
	works first
	larder verify
}

@test "a mount goes on while the store is mended" {
	require_fuse
	mkdir m
	larder mount -q app@first m
	damage
	larder verify --repair
	cmp first/1 m/1
	echo changed >m/new
	larder commit -q m --name app --key new
	[ "$(larder cat app@new new)" = changed ]
	larder cat app@new 1 | cmp - first/1
}

@test "a daemon that is killed while it mends loses nothing" {
	damage
	cp -a "$XDG_CACHE_HOME/larder" damaged
	for point in verify.forget:1 gc.rewritten:1 verify.place:1 \
		verify.place:2 verify.aside:1; do
		larder daemon stop -q
		rm -rf "$XDG_CACHE_HOME/larder"
		cp -a damaged "$XDG_CACHE_HOME/larder"
		LARDER_FAULT=$point:kill larder list >/dev/null
		run larder verify --repair
		larder daemon stop -q
		works first
		larder verify --repair
		works first
		run larder show app@both
		[ "$status" -eq 3 ]
		larder verify
	done
}
