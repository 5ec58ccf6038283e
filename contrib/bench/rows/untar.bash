# shellcheck shell=bash disable=SC2154 # out, bench_dir: of run, lib.bash
# SPDX-License-Identifier: Apache-2.0
#
# Writing the tree into an empty directory, and removing it. The archive is a
# plain tar in the page cache, so that nothing but the file system is slow.

row untar rows_untar ratio 1.0 overlayfs "untar of the tree into an empty mount"
row untar-fuse rows_untar ratio 0.2 fuse-overlayfs "the same"
row rm rows_untar ratio 1.0 overlayfs "rm -rf of it"
row untar-writeback rows_untar ratio 1.0 overlayfs "untar with -o writeback"
row rm-writeback rows_untar ratio 1.0 overlayfs "rm -rf of it, likewise"

untar() { tar -C "$1" -xf "$(tree_tar)"; }
remove_tree() { find "$1" -mindepth 1 -maxdepth 1 -exec rm -rf {} +; }

untar_round() {
	local dir
	dir=$(empty_dir "$1")
	cat "$(tree_tar)" >/dev/null
	empty "$1"
	once untar "$1" untar "$dir"
	once rm "$1" remove_tree "$dir"
	unempty "$1"
	sync
}

rows_untar() {
	local peers
	mapfile -t peers < <(peers overlayfs fuse-overlayfs)
	take_turns untar_round larder larder-writeback plain "${peers[@]}"
	# One measurement, several rows.
	row_as untar-fuse untar larder fuse-overlayfs
	row_as untar-writeback untar larder-writeback overlayfs
	row_as rm-writeback rm larder-writeback overlayfs
}
