#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# The build cache's scripts, as a runtime image calls them: restore, build,
# save; on one machine, and from one to another by the image alone.

load ../helpers

setup() {
	need mksquashfs sqfs2tar tar2sqfs
	larder_setup
	scripts=$LARDER_SRCDIR/contrib/open-runtimes
	unset LARDER_BUILD_CACHE_IMAGE LARDER_BUILD_CACHE_HOME
	machine one
}

# machine NAME: the scripts run there from now on, with a store of its own.
machine() {
	mkdir -p "$1/cache"
	export OPEN_RUNTIMES_BUILD_CACHE_ROOT=$PWD/$1/root
	export OPEN_RUNTIMES_BUILD_CACHE_ARTIFACT=$PWD/$1/cache/stores.sqfs
	root=$OPEN_RUNTIMES_BUILD_CACHE_ROOT
	artifact=$OPEN_RUNTIMES_BUILD_CACHE_ARTIFACT
}

restore() {
	run -0 bash "$scripts/build-cache-restore.sh"
}

save() {
	run -0 bash "$scripts/build-cache-save.sh"
}

# The next build's container has no mount yet, only the cache's directory.
leave() {
	umount -l "$root" || fusermount3 -uz "$root"
}

@test "a miss, a build and its save, then a hit" {
	require_fuse
	restore
	[[ $output == *Miss.* ]]
	mkdir "$root/npm"
	echo package >"$root/npm/a"
	save
	[[ $output == *'Saved ('* ]]
	unsquashfs -s "$artifact" | grep -q '^Compression lz4'
	leave
	restore
	[[ $output == *Hit.* ]]
	[ "$(cat "$root/npm/a")" = package ]
	save
	[[ $output == *'Save skipped: unchanged.'* ]]
	echo another >"$root/npm/b"
	save
	[[ $output == *'Saved ('* ]]
	leave
	restore
	[ "$(cat "$root/npm/b")" = another ]
}

@test "another machine has the cache from the image alone" {
	require_fuse
	restore
	mkdir -p "$root/yarn"
	echo package >"$root/yarn/a"
	save
	machine two
	cp one/cache/stores.sqfs two/cache/
	restore
	[[ $output == *Hit.* ]]
	[ "$(cat "$root/yarn/a")" = package ]
	save
	[[ $output == *'Save skipped: unchanged.'* ]]
}

@test "an image that other programs made is taken, a damaged one is a miss" {
	require_fuse
	mkdir -p made/bun
	echo package >made/bun/a
	mksquashfs made "$artifact" -comp lz4 -b 1M -no-progress -quiet
	restore
	[[ $output == *Hit.* ]]
	[ "$(cat "$root/bun/a")" = package ]
	machine two
	head -c 3000 one/cache/stores.sqfs | head -c 200 >"$artifact"
	restore
	[[ $output == *Warning*Miss.* ]]
	[ -z "$(ls -A "$root")" ]
}

@test "bounds of the image keep the image, and the build's result" {
	require_fuse
	restore
	head -c 100000 /dev/urandom >"$root/a"
	OPEN_RUNTIMES_BUILD_CACHE_MAX_SIZE_BYTES=5000 save
	[[ $output == *'too large'* ]]
	[ ! -e "$artifact" ]
	LARDER_BUILD_CACHE_IMAGE=no save
	[[ $output == *Saved.* ]]
	[ ! -e "$artifact" ]
	save
	[ -e "$artifact" ]
}

@test "without larder a build goes on without a cache" {
	export LARDER=/nowhere/larder
	restore
	[[ $output == *'larder is missing'* ]]
	[ -d "$root" ]
	save
	[[ $output == *'larder is missing'* ]]
}

@test "the package managers are pointed at the cache" {
	. "$scripts/build-cache-env.sh"
	[ "$npm_config_cache" = "$root/npm" ]
	[ "$YARN_CACHE_FOLDER" = "$root/yarn" ]
	[ "$BUN_INSTALL_CACHE_DIR" = "$root/bun" ]
}
