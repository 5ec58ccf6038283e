#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# The store within its bounds: gc, pin, rm, by command and by the daemon
# itself; mounts and kept changes lose nothing.

load ../helpers

setup() {
	larder_setup
	need jq
	export LARDER_STORE_GRACE=none LARDER_STORE_MIN_FREE=none
}

# entry KEY [BYTES] imports a tree of random content.
entry() {
	rm -rf from
	mkdir from
	head -c "${2:-1000000}" /dev/urandom >from/file
	larder import -q from --name app --key "$1"
}

keys() {
	larder list --json | jq -r '[.entries[].key] | sort | join(" ")'
}

store_bytes() {
	larder status --json | jq .bytes
}

# limit BYTES starts a daemon with that limit, whose own first collection
# fails, so that it leaves the next ones to the test for a minute.
limit() {
	larder daemon stop -q
	LARDER_STORE_MAX_SIZE=$1 LARDER_FAULT=gc.entry:1:EIO \
		larder list >/dev/null
	wait_until grep -q "collection: broken off" \
		"$XDG_STATE_HOME/larder/larderd.log"
}

@test "gc removes the least recently used entries, down to the limit" {
	entry aaaaaa
	entry bbbbbb
	entry cccccc
	larder cat app@aaaaaa file >/dev/null
	limit $(($(store_bytes) - 500000))
	run_json gc --dry-run
	[ "$(json '.removed | map(.key) | join(" ")')" = bbbbbb ]
	[ "$(json '.before.over, .after.over' | xargs)" = "true false" ]
	[ "$(json .dry_run)" = true ]
	[ "$(keys)" = "aaaaaa bbbbbb cccccc" ]
	run larder gc
	[ "$status" -eq 0 ]
	[[ $output == *bbbbbb*unused* ]]
	[[ $output == *"1 of 3 entries removed"* ]]
	[ "$(keys)" = "aaaaaa cccccc" ]
	larder materialize app@cccccc out
	run_json gc
	[ "$(json '.removed | length')" = 0 ]
}

@test "pinned entries stay; rm refuses them and removes others" {
	entry aaaaaa
	entry bbbbbb
	larder pin app@aaaaaa
	[ "$(larder show --json app@aaaaaa | jq .entry.pinned)" = true ]
	limit 1K
	[ "$(keys)" = "aaaaaa bbbbbb" ]
	run_json gc
	[ "$(keys)" = aaaaaa ]
	[ "$(json .after.over)" = true ]
	run larder gc
	[[ $output == *"over the limit"* ]]
	run larder rm app@aaaaaa
	[ "$status" -eq 8 ]
	[[ $output == *unpin* ]]
	larder unpin app@aaaaaa
	larder rm app@aaaaaa
	run larder rm app@aaaaaa
	[ "$status" -eq 3 ]
	larder gc -q
	[ -z "$(find "$XDG_CACHE_HOME"/larder/v1/{packs,catalogs,placements} -type f)" ]
}

# sources DIR N makes N files like source code.
sources() {
	mkdir -p "$1"
	awk -v dir="$1" -v n="$2" 'BEGIN { srand(1); for (i = 0; i < n; i++) {
		file = dir "/m" i ".js"
		for (j = 0; j < 80; j++)
			printf "module.exports.value%d = require(\"./lib%d\");\n", \
				rand() * 65536, rand() * 256 >file
		close(file) } }'
}

@test "gc --repack compresses packs better, once, and not those that are mounted" {
	sources from 300
	larder import -q from --name app --key aaaaaa
	mkdir mnt
	larder mount -q app@aaaaaa mnt
	run_json gc --repack
	[ "$(json '.repacked | .packs, .in_use' | xargs)" = "0 1" ]
	diff -r from mnt
	larder umount -q mnt
	run_json gc --repack
	[ "$(json '.repacked | .packs, .in_use, .before_bytes > .after_bytes' | xargs)" = "1 0 true" ]
	[ "$(json .removed_packs)" = 1 ]
	[ "$(json '.before.bytes > .after.bytes')" = true ]
	run larder gc --repack
	[ "$status" -eq 0 ]
	[[ $output == *"0 packs compressed better"* ]]
	larder mount -q app@aaaaaa mnt
	diff -r from mnt
	larder umount -q mnt
	run larder gc --repack --dry-run
	[ "$status" -eq 2 ]
	run_json gc
	[ "$(json .repacked)" = null ]
}

@test "older versions are folded, and are what they were" {
	require_fuse
	mkdir from m
	for i in {1..400}; do
		echo "$i" >"from/file$i"
	done
	for key in aaaaaa bbbbbb cccccc dddddd; do
		echo "$key" >from/file7
		larder import -q from --name app --key "$key"
		cp -a from "$key"
	done
	run_json gc
	[ "$(json .folded_catalogs)" = 3 ]
	[ "$(json '.before.bytes > .after.bytes')" = true ]
	[ "$(head -qc 7 "$XDG_CACHE_HOME"/larder/v1/catalogs/*/* |
		grep -o LARDFLD | wc -l)" = 3 ]
	kill_worker
	for key in aaaaaa bbbbbb cccccc; do
		larder mount -q "app@$key" m
		diff -r "$key" m
		larder umount -q m
	done
	run_json verify
	[ "$(json '.damaged | length')" = 0 ]
	# The oldest one's catalog is needed by the others.
	larder rm -q app@aaaaaa
	run_json gc
	[ "$(json .removed_catalogs)" = 0 ]
	larder daemon stop -q
	larder materialize -q app@bbbbbb out
	diff -r bbbbbb out
}

@test "young entries stay" {
	entry aaaaaa
	larder daemon stop -q
	export LARDER_STORE_GRACE=3600 LARDER_STORE_MAX_SIZE=1K
	run_json gc
	[ "$(json '(.removed | length), .protected' | xargs)" = "0 1" ]
	[ "$(keys)" = aaaaaa ]
}

@test "mounts and kept changes keep what they need" {
	require_fuse
	entry aaaaaa
	cp from/file a
	entry bbbbbb
	cp from/file b
	entry cccccc
	limit 1K
	mkdir m n
	larder mount -q app@aaaaaa m
	larder mount -q app@bbbbbb n
	echo changed >n/more
	larder umount -q n
	run_json gc
	[ "$(json '.removed | map(.key) | join(" ")')" = cccccc ]
	drop_caches
	cmp a m/file
	larder mount -q --resume n
	drop_caches
	cmp b n/file
	[ "$(cat n/more)" = changed ]
}

@test "entries that are removed while they are mounted stay readable" {
	require_fuse
	entry aaaaaa
	mkdir m
	larder mount -q app@aaaaaa m
	larder rm -q app@aaaaaa
	larder gc -q
	drop_caches
	cmp from/file m/file
	echo more >m/more
	larder commit -q m --name app --key bbbbbb
	larder umount -q --discard m
	larder gc -q
	larder cat app@bbbbbb file | cmp - from/file
	[ "$(larder cat app@bbbbbb more)" = more ]
}

@test "what commits left in kept changes is not collected" {
	require_fuse
	entry aaaaaa
	mkdir m
	larder mount -q app@aaaaaa m
	head -c 300000 /dev/urandom >m/own
	cp m/own own
	larder commit -q m --name app --key bbbbbb
	echo later >m/later
	larder umount -q m
	larder rm -q app@aaaaaa
	larder rm -q app@bbbbbb
	larder gc -q
	larder daemon stop -q
	larder mount -q --resume m
	cmp own m/own
	cmp from/file m/file
	[ "$(cat m/later)" = later ]
	larder umount -q --discard m
	larder gc -q
	[ -z "$(find "$XDG_CACHE_HOME/larder/v1/packs" -type f)" ]
}

@test "the daemon collects by itself when the store has grown too large" {
	export LARDER_STORE_MAX_SIZE=3M
	for i in 1 2 3 4 5 6; do
		entry "aaaaa$i"
	done
	wait_until -t 60 within 3145728
	[ "$(keys | wc -w)" -ge 2 ]
	larder cat app@aaaaa6 file | cmp - from/file
}

within() {
	[ "$(store_bytes)" -le "$1" ]
}

@test "the limits are in the configuration, and wrong ones are refused" {
	mkdir -p "$XDG_CONFIG_HOME/larder"
	printf 'store:\n  max-size: 1K\n  grace: none\n' \
		>"$XDG_CONFIG_HOME/larder/config.yml"
	unset LARDER_STORE_GRACE
	entry aaaaaa
	[ "$(larder status --json | jq .limit_bytes)" = 1024 ]
	larder config --origin | grep -q 'store.max-size.*1K.*config.yml:2'
	for bad in 1X 0 101% -5 99999999999999999999; do
		printf 'store:\n  max-size: %s\n' "$bad" \
			>"$XDG_CONFIG_HOME/larder/config.yml"
		run larder list
		[ "$status" -eq 2 ]
		[[ $output == *"is no size"* ]]
	done
}

@test "a daemon that is killed while it collects loses nothing" {
	entry aaaaaa 300000
	entry bbbbbb 300000
	larder rm -q app@bbbbbb
	for point in gc.index:1 gc.durable:1 gc.unlink:1 gc.unlink:3; do
		larder daemon stop -q
		LARDER_FAULT=$point:kill larder list >/dev/null
		run larder gc
		larder daemon stop -q
		[ "$(keys)" = aaaaaa ]
		larder materialize -q app@aaaaaa out
		rm -rf out
	done
	larder gc -q
	[ "$(find "$XDG_CACHE_HOME/larder/v1/packs" -type f | wc -l)" -eq 1 ]
}
