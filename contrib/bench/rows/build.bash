# shellcheck shell=bash disable=SC2154,SC2164,SC2034 # shared; run has set -e
# SPDX-License-Identifier: Apache-2.0
#
# Real builds in a mounted directory beside the same in a plain one.

# shellcheck source=contrib/real-tools.d/make.bash
. "$bench_top/contrib/real-tools.d/make.bash"
# shellcheck source=contrib/real-tools.d/cargo.bash
. "$bench_top/contrib/real-tools.d/cargo.bash"

row npm-ci rows_npm ratio 1.1 plain "npm ci in the mount"
row make rows_make ratio 1.05 plain "make -j2 of a C project in a mounted build directory"
row cargo rows_cargo ratio 1.05 plain "a cargo build in a mounted target directory"

# npm removes what is in node_modules first, so each round begins without.
npm_round() {
	local dir=$bench_dir/npm
	mkdir -p "$dir"
	cp "$(input project make_project)"/package*.json "$dir"
	empty "$1"
	mkdir "$dir/node_modules"
	mount_over "$1" "$dir/node_modules"
	cd "$dir"
	once npm-ci "$1" npm ci --offline --no-audit --no-fund \
		--cache "$work/npm-cache"
	cd /
	mount_over_end "$1" "$dir/node_modules"
	rm -rf "$dir"
}

# A mount at a place of its own.
mount_over() {
	[ "$1" != larder ] || "$LARDER" mount -q --empty "$2" >/dev/null
}

mount_over_end() {
	[ "$1" != larder ] || "$LARDER" umount -q --discard "$2"
}

rows_npm() {
	if [ -n "$quick" ] || ! command -v npm >/dev/null; then
		skip npm-ci -- "npm and the real input are needed"
		return
	fi
	input project make_project >/dev/null
	take_turns npm_round larder plain
}

make_round() {
	local dir=$bench_dir/make
	mkdir -p "$dir"
	mount_over "$1" "$dir"
	cd "$dir"
	"$inputs/src/configure" -q --disable-tests CFLAGS=-O1 >&2
	once make "$1" make -s -j"$(nproc)"
	cd /
	mount_over_end "$1" "$dir"
	rm -rf "$dir"
}

rows_make() {
	if [ -n "$quick" ]; then
		skip make -- "not with --quick"
		return
	fi
	inputs=$bench_dir/make-inputs
	top=$bench_top
	mkdir "$inputs"
	make_inputs >&2
	take_turns make_round larder plain
}

cargo_round() {
	local dir=$bench_dir/cargo-target
	mkdir -p "$dir"
	mount_over "$1" "$dir"
	once cargo "$1" env CARGO_TARGET_DIR="$dir" cargo build --offline \
		--workspace --manifest-path "$inputs/crates/Cargo.toml"
	mount_over_end "$1" "$dir"
	rm -rf "$dir"
}

rows_cargo() {
	if ! command -v cargo >/dev/null || ! command -v cc >/dev/null; then
		skip cargo -- "cargo and a linker are needed"
		return
	fi
	inputs=$bench_dir/cargo-inputs
	mkdir "$inputs"
	cargo_inputs >&2
	take_turns cargo_round larder plain
}
