#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Sourced by the build and by the two scripts beside it: where the build cache
# is, and that package managers are to use it. In the place of the helper of
# the same name in a runtime image; see README.md.

export OPEN_RUNTIMES_BUILD_CACHE_ROOT="${OPEN_RUNTIMES_BUILD_CACHE_ROOT:-/usr/local/cache/build}"
export OPEN_RUNTIMES_BUILD_CACHE_ARTIFACT="${OPEN_RUNTIMES_BUILD_CACHE_ARTIFACT:-/cache/stores.sqfs}"

export npm_config_cache="$OPEN_RUNTIMES_BUILD_CACHE_ROOT/npm"
export YARN_CACHE_FOLDER="$OPEN_RUNTIMES_BUILD_CACHE_ROOT/yarn"
export npm_config_store_dir="$OPEN_RUNTIMES_BUILD_CACHE_ROOT/pnpm"
export XDG_CACHE_HOME="$OPEN_RUNTIMES_BUILD_CACHE_ROOT/xdg-cache"
export XDG_STATE_HOME="$OPEN_RUNTIMES_BUILD_CACHE_ROOT/xdg-state"
export BUN_INSTALL_CACHE_DIR="$OPEN_RUNTIMES_BUILD_CACHE_ROOT/bun"

build_cache_log() {
	printf '[build cache] %s\n' "$1"
}

# build_cache_larder ARGUMENT... is larder with its store beside the artifact:
# not in the cache that it serves, where the variables above would put it.
build_cache_larder() {
	local home
	home=${LARDER_BUILD_CACHE_HOME:-$(dirname "$OPEN_RUNTIMES_BUILD_CACHE_ARTIFACT")/larder}
	mkdir -p "$home/cache" "$home/state" &&
		XDG_CACHE_HOME=$home/cache XDG_STATE_HOME=$home/state \
			"${LARDER:-larder}" "$@"
}

# Whether the root of the cache is a mount of Larder's.
build_cache_mounted() {
	build_cache_larder status --json 2>/dev/null |
		grep -qF "\"dir\": \"$(realpath "$OPEN_RUNTIMES_BUILD_CACHE_ROOT")\""
}
