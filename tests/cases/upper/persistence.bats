#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# What was answered is kept: over the worker's death, the whole daemon's, and
# an umount.

load ../helpers
load common

setup_file() {
	upper_setup_file
	tar -c -C "$BATS_FILE_TMPDIR/base" . >"$BATS_FILE_TMPDIR/base.tar"
	# Many more files than fit in the kernel's and tar's buffers.
	mkdir "$BATS_FILE_TMPDIR/many"
	awk -v dir="$BATS_FILE_TMPDIR/many" 'BEGIN {
		for (i = 0; i < 4000; i++) {
			path = dir "/" i
			for (j = 0; j < i % 50; j++)
				print "line", j, "of", i >path
			print "end" >path
			close(path)
		}
	}'
	tar -c -C "$BATS_FILE_TMPDIR" many >"$BATS_FILE_TMPDIR/many.tar"
}

setup() {
	upper_setup
	many=$BATS_FILE_TMPDIR/many
}

extracted_some() {
	[ "$(wc -l <extracted)" -gt "$1" ]
}

worker_is_not() {
	local pid
	pid=$(worker_pid) && [ "$pid" != "$1" ]
}

@test "a program does not notice that the worker died" {
	pid=$(worker_pid)
	tar -x -v -C m -f "$BATS_FILE_TMPDIR/many.tar" >extracted 3>&- &
	tar=$!
	wait_until extracted_some 500
	kill -KILL "$pid"
	wait "$tar"
	worker_is_not "$pid"
	diff -r "$many" m/many
	rm -r m/many
	same_done
}

@test "killed again and again, and nothing is lost" {
	tar -x -v -C m -f "$BATS_FILE_TMPDIR/many.tar" >extracted 3>&- &
	tar=$!
	for i in 1 2 3; do
		wait_until extracted_some $((i * 700))
		pid=$(worker_pid)
		kill -KILL "$pid"
		wait_until worker_is_not "$pid"
	done
	wait "$tar"
	diff -r "$many" m/many
}

@test "an open file is read and written on when the worker was killed" {
	hold hold-write m/dir/file 'written after
'
	pid=$(worker_pid)
	kill -KILL "$pid"
	wait_until worker_is_not "$pid"
	release
	[ "$(cat m/dir/file)" = $'in-dir\nwritten after' ]
	[ "$(mount_field m dirty)" = true ]
}

@test "an unlinked file that is open outlives the worker" {
	echo 'not yet gone' >m/temp
	hold hold-read m/temp
	rm m/temp
	pid=$(worker_pid)
	kill -KILL "$pid"
	wait_until worker_is_not "$pid"
	release
	grep -q 'not yet gone' held.out
}

@test "files without a name outlive the worker, and can get one" {
	hold hold-nameless m/temp m/dir
	for _ in 1 2; do
		pid=$(worker_pid)
		kill -KILL "$pid"
		wait_until worker_is_not "$pid"
	done
	[ ! -e m/temp ]
	release
	[ "$(cat m/temp)" = 'nameless, later' ]
	[ "$(stat -c %a:%h m/temp)" = 640:1 ]
	larder umount -q m
	larder mount -q --resume m
	[ "$(cat m/temp)" = 'nameless, later' ]
}

@test "when the whole daemon is killed, what was written is resumed" {
	may_hang=1
	mkdir m/many
	# A name is noted when all of it was written and closed.
	(
		for file in "$many"/*; do
			cp -p "$file" m/many/ || exit
			echo "${file##*/}"
		done
	) >extracted 2>/dev/null 3>&- &
	copying=$!
	wait_until -t 30 extracted_some 500
	read -r supervisor worker < <(larder status --json |
		jq -r '"\(.pid) \(.worker_pid)"')
	kill -KILL "$supervisor" "$worker"
	wait "$copying" || true
	fusermount3 -uz m

	run_json status
	[ "$(json '.kept | length')" -eq 1 ]
	[ "$(json '.kept[0].dir')" = "$PWD/m" ]
	larder mount --resume m
	while read -r name; do
		cmp "$many/$name" "m/many/$name"
		! [ "$many/$name" -nt "m/many/$name" ]
	done <extracted
	# At most the one that was on its way is there besides.
	[ "$(ls m/many | wc -l)" -le $(($(wc -l <extracted) + 1)) ]
	rm -r m/many
	same_done
}

@test "umount keeps the changes, and resume brings them back" {
	in_both '
		echo changed >a
		rm -r other
		mv dir moved
		ln b b2
		setfattr -n user.a -v b b2
		head -c 3000000 large >copy
	'
	tree_state m >seen
	for _ in 1 2 3; do
		run_json umount m
		[ "$(json .kept)" = true ]
		[ -z "$(ls -A m)" ]
		larder mount --resume m
		is_state m seen
	done
}

@test "after a daemon stop, resume mounts all that was kept" {
	mkdir n
	larder mount --empty n
	echo m >m/new
	echo n >n/new
	larder umount m
	larder umount n
	larder daemon stop
	run_json status
	[ "$(json '.kept | length')" -eq 2 ]
	run_json mount --resume
	[ "$(json '.mounts | length')" -eq 2 ]
	[ "$(cat m/new n/new | xargs)" = 'm n' ]
	cmp m/large "$base/large"
}

@test "a kept upper is resumed by its id, also when its place is taken" {
	echo one >m/new
	larder umount m
	larder mount base@one m
	[ ! -e m/new ]
	run_json status
	id=$(json '.kept[0].id')
	run larder mount --resume "$id"
	[ "$status" -eq 8 ]
	[[ $output == *"$PWD/m"* ]]
	larder umount m
	larder mount --resume "$id"
	[ "$(cat m/new)" = one ]
	run_json status
	[ "$(json '.kept | length')" -eq 0 ]
}

@test "nothing to resume is said" {
	larder umount m
	run larder mount --resume m
	[ "$status" -eq 1 ]
	[ "${#lines[@]}" -eq 1 ]
	[[ $output == *"$PWD/m"* || $output == *" m"* ]]
}

@test "an upper on an entry that was replaced keeps its own base" {
	echo changed >m/a
	larder umount m
	mkdir smaller
	echo x >smaller/x
	larder import smaller --name base --key one
	larder mount --resume m
	[ "$(cat m/a)" = changed ]
	cmp "$base/large" m/large
}

@test "fsync makes the log durable before it returns" {
	dd if=/dev/zero of=m/synced bs=4k count=1 conv=fsync status=none
	pid=$(worker_pid)
	kill -KILL "$pid"
	wait_until worker_is_not "$pid"
	[ "$(stat -c %s m/synced)" -eq 4096 ]
}
