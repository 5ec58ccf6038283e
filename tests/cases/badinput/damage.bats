#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Truncated and bit-flipped catalogs, packs, logs and index: no wrong byte is
# ever read, each damage is said, and run builds again.

load ../helpers

setup() {
	larder_setup
	require_fuse
	need jq
	mkdir -p tree/sub m
	seq 100000 >tree/file
	head -c 3000000 /dev/urandom >tree/large
	for i in $(seq 50); do
		echo "$i" >"tree/sub/$i"
	done
	larder import -q tree --name tree --key one
	larder daemon stop -q
	store=$XDG_CACHE_HOME/larder/v1
	log=$XDG_STATE_HOME/larder/larderd.log
}

# flip FILE OFFSET inverts a byte; a negative offset counts from the end.
flip() {
	local off=$2 byte
	[ "$off" -ge 0 ] || off=$(($(stat -c %s "$1") + off))
	byte=$(od -An -tu1 -j "$off" -N 1 "$1")
	chmod u+w "$1"
	printf "\\x$(printf %02x $((byte ^ 255)))" |
		dd of="$1" bs=1 seek="$off" conv=notrunc status=none
	# As damage is: nothing but the bytes tells.
}

the_file() {
	find "$store/$1" -type f
}

cut() {
	chmod u+w "$1"
	truncate -s "$2" "$1"
}

# catalog_refused: mount and cat say what is damaged, run builds again.
catalog_refused() {
	run larder mount tree@one m
	[ "$status" -eq 7 ]
	[ "${#lines[@]}" -eq 1 ]
	[[ $output == *tree@one* ]]
	run ! mountpoint -q m

	run larder run --name tree --key one --path out -- \
		sh -c 'echo built >out/built; echo "$LARDER_OUTCOME"'
	[ "$status" -eq 0 ]
	[[ $output == *miss* ]]
	[ "$(cat out/built)" = built ]
	[ "$(larder cat tree@one built)" = built ]
	larder umount out
}

@test "a bit-flipped catalog" {
	flip "$(the_file catalogs)" 3000
	catalog_refused
}

@test "a catalog with a damaged header" {
	flip "$(the_file catalogs)" 9
	catalog_refused
}

@test "a truncated catalog" {
	cut "$(the_file catalogs)" 2000
	catalog_refused
}

@test "an empty catalog" {
	cut "$(the_file catalogs)" 0
	catalog_refused
}

@test "a damaged placement is made again" {
	flip "$(the_file placements)" 50
	larder mount -q tree@one m
	same_tree tree m
	grep -q 'placement .* is damaged' "$log"
	larder umount m
	cut "$(the_file placements)" 100
	larder daemon stop -q
	larder mount -q tree@one m
	same_tree tree m
}

@test "a catalog that is gone" {
	rm "$(the_file catalogs)"
	run larder mount tree@one m
	[ "$status" -ne 0 ]
	[ "${#lines[@]}" -eq 1 ]
	larder run --name tree --key one --path out -- sh -c 'echo x >out/x'
	[ "$(larder cat tree@one x)" = x ]
}

# damaged_read: some files cannot be read and the rest is as it was.
damaged_read() {
	local path bad=0
	larder mount -q -o ro tree@one m
	while IFS= read -r path; do
		if ! cmp -s "tree/$path" "m/$path" 2>/dev/null; then
			bad=$((bad + 1))
			run cat "m/$path"
			[ "$status" -ne 0 ]
			[[ $output == *"Input/output error"* ]]
		fi
	done < <(cd tree && find . -type f -printf '%P\n')
	[ "$bad" -ge 1 ]
	[ "$bad" -le "$1" ]
	grep -q "$2" "$log"
}

@test "a bit-flipped pack: EIO for the file and a line in the log" {
	flip "$(the_file packs)" 100000
	damaged_read 52 \
		'\(file\|large\|sub/[0-9]*\) cannot be read: chunk [0-9a-f]* is'
	run larder materialize tree@one out
	[ "$status" -eq 7 ] || [ "$status" -eq 1 ]
	run larder export tree@one -o out.tar
	[ "$status" -ne 0 ]
}

@test "a truncated pack" {
	pack=$(the_file packs)
	cut "$pack" $(($(stat -c %s "$pack") / 2))
	damaged_read 52 .
	# The content is stored again, and all is well.
	larder umount m
	larder daemon stop -q
	larder import -q tree --name tree --key one
	larder mount -q -o ro tree@one m
	same_tree tree m
}

@test "a pack that is gone" {
	rm "$(the_file packs)"
	damaged_read 52 .
	larder umount m
	larder import -q tree --name tree --key two
	larder mount -q -o ro tree@two m
	same_tree tree m
}

# with_changes leaves an upper with changes and sets its directory.
with_changes() {
	larder mount -q tree@one m
	for i in $(seq 200); do
		echo "content of $i" >"m/new$i"
	done
	sync -f m
	"$@"
	upper=$(echo "$XDG_STATE_HOME"/larder/mounts/*)
}

kill_daemon() {
	local pids
	pids=$(larder status --json | jq -r '.pid, .worker_pid')
	# shellcheck disable=SC2086 # a list
	kill -KILL $pids
	wait_until no_daemon "$BATS_TEST_TMPDIR"
	fusermount3 -uz m
}

is_right() {
	[ "$(cat "m/new$1" 2>/dev/null)" = "content of $1" ]
}

# first_bad prints the number of the first file that is not as it was: a change
# of it may be what is damaged.
first_bad() {
	local i=1
	while is_right "$i"; do
		i=$((i + 1))
	done
	echo "$i"
}

# record_at PERCENT prints where the record lies that so many of the segment's
# are before.
record_at() {
	LC_ALL=C grep -abo LDRC "$segment" | awk -F : -v part="$1" '
		{ at[NR] = $1 }
		END { print at[int(NR * part / 100)] }'
}

newest_segment() {
	printf '%s\n' "$upper"/log-* | tail -n 1
}

@test "a log whose tail is torn loses no change before it" {
	with_changes kill_daemon
	segment=$(newest_segment)
	cut "$segment" $(($(stat -c %s "$segment") - 3))
	larder mount -q --resume m
	[ "$(mount_field m damaged)" = false ]
	for i in $(seq 199); do
		[ "$(cat "m/new$i")" = "content of $i" ]
	done
	echo more >m/more
	larder umount m
	larder mount -q --resume m
	[ "$(cat m/more)" = more ]
}

@test "a bit-flipped log: what is before the damage, read-only, and it is said" {
	with_changes kill_daemon
	segment=$(newest_segment)
	flip "$segment" "$(record_at 70)"
	run larder mount --resume m
	[ "$status" -eq 0 ]
	[[ $output == *damaged* ]]
	[ "$(mount_field m damaged)" = true ]
	[[ $output == *"of log-"*" are lost"* ]]
	# What is lost is named, and nothing else.
	run_json status
	json '.mounts[0].loss.paths[]' >lost
	[ "$(json '.mounts[0].loss.changes')" -gt 20 ]
	grep -qx new200 lost
	[ "$(json '.mounts[0].loss.more')" = false ]
	run ! grep -qx new1 lost
	for i in $(seq $(($(first_bad) + 1)) 200); do
		grep -qx "new$i" lost
	done
	larder status >status
	grep -q 'lost a change of new' status
	grep -q 'of log-.*lost is' status
	# A part is there, and what is there is right.
	[ -e m/new1 ]
	[ ! -e m/new200 ]
	for file in m/new*; do
		[ ! -s "$file" ] ||
			[ "$(cat "$file")" = "content of ${file#m/new}" ]
	done
	run touch m/another
	[ "$status" -ne 0 ]
	[[ $output == *"Read-only"* ]]
	grep -q damaged "$log"
	# Nothing is thrown away without being told to.
	run_json umount m
	[ "$(json .kept)" = true ]
	larder mount -q --resume m
	larder umount --discard m
}

@test "an index that is damaged is said, and nothing is thrown away" {
	flip "$(echo "$store"/db/MANIFEST-*)" 20
	run larder list
	[ "$status" -eq 1 ]
	[ "${#lines[@]}" -eq 1 ]
	[[ $output == *"$XDG_CACHE_HOME/larder"* ]]
	[ -n "$(the_file packs)" ]

	# The build goes on without a cache.
	run larder run --path out --key one -- sh -c 'echo built >out/built'
	[ "$status" -eq 0 ]
	[ "$(cat out/built)" = built ]
}

@test "a store of a newer format is refused with one sentence" {
	"$LARDER_BUILDDIR/tests/cases/bin/store_format" "$store/db" 99
	run larder list
	[ "$status" -eq 1 ]
	[ "${#lines[@]}" -eq 1 ]
	[[ $output == *newer* ]]
	[[ $output == *"$XDG_CACHE_HOME/larder"* ]]
	run larder run --path out --key one -- sh -c 'echo built >out/built'
	[ "$status" -eq 0 ]
	[ "$(cat out/built)" = built ]

	"$LARDER_BUILDDIR/tests/cases/bin/store_format" "$store/db" 1
	[ "$(larder cat tree@one sub/7)" = 7 ]
}
