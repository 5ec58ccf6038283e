# shellcheck shell=bash disable=SC2154,SC2034 # shared with the other parts
# SPDX-License-Identifier: Apache-2.0
#
# Storing the tree, getting it back whole, and what it takes.

row import rows_import ratio 1.0 tar-zstd "import of the tree, against tar and zstd -3"
row commit rows_commit ms 150 - "commit of 10 changed files in it"
row size rows_size ratio 1.2 squashfs "store size after the import"
row repacked rows_repacked ratio 1.03 squashfs "the same after repacking in idle time"
row versions rows_size ratio 1.15 first "store size of ten versions, 1 % of the files changed in each"
row materialize rows_materialize ratio 0.6 tar-zstd "materialize, against tar --zstd -x"

store_bytes() {
	du -sb --apparent-size "$XDG_CACHE_HOME/larder/v1/packs" \
		"$XDG_CACHE_HOME/larder/v1/catalogs" \
		"$XDG_CACHE_HOME/larder/v1/placements" | awk '{ s += $1 } END { print s }'
}

# Entries that are imported again go to a store without them.
empty_store() {
	"$LARDER" daemon stop >/dev/null 2>&1 || :
	rm -rf "$XDG_CACHE_HOME"
	have_entry=
	"$LARDER" daemon start -q >/dev/null 2>&1
}

tar_zstd_into() { tar -C "$1" -c . | zstd -q -3 -f -o "$2"; }

import_round() {
	rm -rf "$bench_dir"/archive*
	case $1 in
	larder)
		empty_store
		once import larder "$LARDER" import "$(tree)" --name tree --key v1 -q
		have_entry=yes ;;
	tar-zstd) once import "$1" tar_zstd_into "$(tree)" "$bench_dir/archive" ;;
	casync) once import "$1" make_casync "$(tree)" "$bench_dir/archive" ;;
	esac
}

rows_import() {
	local subjects=(larder tar-zstd)
	[ -z "$(peers casync)" ] || subjects+=(casync)
	read_all "$(tree)" >/dev/null
	take_turns import_round "${subjects[@]}"
	rm -rf "$bench_dir"/archive*
}

# change_files DIR N SALT: appends a line to N of its files, spread evenly
change_files() {
	(cd "$1" && find . -type f -print | LC_ALL=C sort) |
		awk -v n="$2" -v salt="$3" '{ f[NR] = $0 } END {
			for (i = 0; i < n; i++)
				print f[1 + int((i + salt / 16) * NR / n) % NR] }' |
		(cd "$1" && while read -r path; do
			echo "// $3" >>"$path"
		done)
}

# What the worker has read from files so far, in bytes.
worker_read_bytes() {
	awk '/^rchar/ { print $2 }' "/proc/$("$LARDER" status --json |
		jq .worker_pid)/io"
}

rows_commit() {
	local dir=$bench_dir/m/commit i before
	need_entry
	mkdir -p "$dir"
	"$LARDER" mount -q tree@v1 "$dir"
	for ((i = 1; i <= rounds; i++)); do
		change_files "$dir" 10 "$i"
		before=$(worker_read_bytes)
		timed "$LARDER" commit -q "$dir" --name tree --key "commit$i" >/dev/null
		record commit larder "$seconds" "$cpu" \
			"$((($(worker_read_bytes) - before) / 1024)) KiB read"
	done
	"$LARDER" umount -q --discard "$dir"
}

rows_size() {
	local dir=$bench_dir/m/versions i first files
	empty_store
	need_entry
	first=$(store_bytes)
	record size larder "$first"
	[ -z "$(peers squashfs)" ] || record size squashfs "$(stat -c %s "$(tree_squashfs)")"
	record size tar-zstd "$(stat -c %s "$(tree_tar_zst)")"
	files=$(find "$(tree)" -type f | wc -l)
	mkdir -p "$dir"
	"$LARDER" mount -q tree@v1 "$dir"
	for i in 1 2 3 4 5 6 7 8 9; do
		change_files "$dir" $((files / 100)) "$i"
		"$LARDER" commit -q "$dir" --name tree --key "version$i" >/dev/null
	done
	"$LARDER" umount -q --discard "$dir"
	record versions first "$first"
	# What the daemon does by itself once nobody asks for anything.
	"$LARDER" gc -q
	record versions larder "$(store_bytes)"
}

materialize_round() {
	local dir=$bench_dir/m/materialized
	rm -rf "$dir"
	sync
	case $1 in
	larder)
		touch_sources larder
		once materialize "$1" "$LARDER" materialize -q tree@v1 "$dir" ;;
	tar-zstd)
		cat "$(tree_tar_zst)" >/dev/null
		mkdir -p "$dir"
		once materialize "$1" tar --zstd -C "$dir" -xf "$(tree_tar_zst)" ;;
	esac
	rm -rf "$dir"
}

rows_materialize() {
	need_entry
	mkdir -p "$bench_dir/m"
	take_turns materialize_round larder tar-zstd
}

rows_repacked() {
	local before
	if [ -z "$(peers squashfs)" ]; then
		skip repacked -- "no squashfs"
		return
	fi
	empty_store
	need_entry
	before=$(store_bytes)
	timed "$LARDER" gc --repack -q
	record repacked larder "$(store_bytes)" "$cpu" "$before bytes before"
	record repacked squashfs "$(stat -c %s "$(tree_squashfs)")"
}
