#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Before the build: what was saved last is mounted as the build cache, or
# written there where FUSE is missing. An image that another machine saved is
# taken in first. A fault is a warning, never the build's.

# shellcheck source=contrib/open-runtimes/build-cache-env.sh
. "$(dirname "${BASH_SOURCE[0]}")/build-cache-env.sh"

root=$OPEN_RUNTIMES_BUILD_CACHE_ROOT
artifact=$OPEN_RUNTIMES_BUILD_CACHE_ARTIFACT

mkdir -p "$root"
if ! command -v "${LARDER:-larder}" >/dev/null; then
	build_cache_log 'Warning: larder is missing, continuing without cache restore.'
	exit 0
fi
if build_cache_mounted; then
	build_cache_log 'Cache is mounted already.'
	exit 0
fi

# The image has the key of its content: one that is here already costs a look.
entry=build-cache@latest
if [ -f "$artifact" ]; then
	key=$(sha256sum <"$artifact" | cut -c 1-32)
	if build_cache_larder show "build-cache@$key" >/dev/null 2>&1; then
		build_cache_log 'Image is known.'
	elif build_cache_larder import "$artifact" --name build-cache \
		--key "$key" -q >/dev/null; then
		entry=build-cache@$key
	else
		build_cache_log 'Warning: failed to read the cached image.'
	fi
fi

found=yes
build_cache_larder show "$entry" >/dev/null 2>&1 || found=
rm -rf "${root:?}"
mkdir -p "$root"
if [ ! -c /dev/fuse ]; then
	[ -z "$found" ] || build_cache_larder materialize "$entry" "$root" -q ||
		{
			build_cache_log 'Warning: failed to restore cache, starting fresh.'
			rm -rf "${root:?}"
			mkdir -p "$root"
			found=
		}
elif [ -n "$found" ]; then
	build_cache_larder mount "$entry" "$root" -q || {
		build_cache_log 'Warning: failed to mount cache, starting fresh.'
		found=
	}
else
	build_cache_larder mount --empty "$root" -q ||
		build_cache_log 'Warning: failed to mount an empty cache.'
fi
if [ -n "$found" ]; then
	build_cache_log 'Hit.'
else
	build_cache_log 'Miss.'
fi
exit 0
