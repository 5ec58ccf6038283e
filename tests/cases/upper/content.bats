#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Content of files over a base: written, cut, punched and copied.

load ../helpers
load common

setup_file() {
	upper_setup_file
}

setup() {
	upper_setup
}

@test "files are made, written and appended to" {
	in_both '
		echo new >new
		echo more >>a
		echo changed >dir/file
		: >touched
		echo 1 >empty/in
		for i in 1 2 3; do echo $i >>dir/sub/deep/file; done
		head -c 3000000 /dev/zero | tr "\0" x >dir/zeros
	'
	settles
}

@test "the middle of a base file is written, the rest stays the base's" {
	in_both '
		for at in 0 1 4095 4096 131071 2097151 2097152 4999990; do
			printf "written at %s" $at |
				dd of=large bs=1 seek=$at conv=notrunc \
					status=none
		done
		printf tail | dd of=large bs=1 seek=6000000 conv=notrunc \
			status=none
	'
	settles
}

@test "files are cut and grown" {
	in_both '
		truncate -s 3 a
		truncate -s 2500000 large
		truncate -s 2600000 large
		truncate -s 100000 b
		truncate -s 0 dir/file
		truncate -s 1G grown
		truncate -s 0 grown
		truncate -s 10M holes
		printf x | dd of=holes bs=1 seek=5000000 conv=notrunc \
			status=none
	'
	settles
}

@test "opening with O_TRUNC empties a base file at once" {
	in_both ': >a; [ ! -s a ]; echo x >large; [ "$(cat large)" = x ]'
	settles
}

@test "appending through two descriptors loses nothing" {
	for dir in plain m; do
		fsops append "$dir/a" 'a line
' 500
	done
	same_done
	[ "$(wc -l <m/a)" -eq 501 ]
	settles
}

@test "fallocate grows, punches and zeroes" {
	in_both '
		# Not every plain file system has this one.
		zero() {
			fallocate -z -o "$1" -l "$2" large && return
			[ "${PWD##*/}" = plain ]
			head -c "$2" /dev/zero | dd of=large seek="$1" \
				oflag=seek_bytes conv=notrunc status=none
		} 2>/dev/null
		fallocate -l 100000 a
		fallocate -n -o 200000 -l 100000 b
		fallocate -p -o 1000000 -l 2000000 large
		zero 3500000 10
		zero 4999000 5000
		fallocate -o 100 -l 100 new
	'
	settles
}

@test "holes are found" {
	truncate -s 8M m/holes
	printf data | dd of=m/holes bs=1M seek=4 conv=notrunc status=none
	run fsops hole m/holes
	[ "$output" = "0 4194304" ]
	fallocate -p -o 1048576 -l 1048576 m/large
	[ "$(fsops hole m/large)" = "1048576 2097152" ]
}

# disk_kib FILE...: what they take, as du says it.
disk_kib() {
	du -k "$@" | awk '{ sum += $1 } END { print sum }'
}

# thin FILE SIZE: four blocks of data, the rest of it holes.
thin() {
	local i
	truncate -s "$2" "$1"
	for i in 1 3 6 9; do
		echo "at $i" | dd of="$1" bs=4096 conv=notrunc status=none \
			seek=$(($(stat -c %s "$1") / 40960 * i))
	done
}

@test "files of a base and their copies take what is no hole" {
	mkdir thin n copy
	thin thin/large 64M
	thin thin/small 1M
	truncate -s 3M thin/zeros
	plain=$(disk_kib thin/*)
	larder import -q thin --name thin --key one
	larder mount -q thin@one n
	[ "$(disk_kib n/*)" -le "$plain" ]
	[ "$(disk_kib n/*)" -ge 32 ]
	[ "$(disk_kib n/zeros)" -eq 0 ]
	[ "$(fsops hole n/small)" = "$(fsops hole thin/small)" ]

	# Out of the mount, within it, and as the next commit has it.
	cp -a n/* copy
	[ "$(disk_kib copy/*)" -le "$plain" ]
	diff -r n copy
	cp n/large n/again
	[ "$(disk_kib n/again)" -le "$(disk_kib thin/large)" ]
	truncate -s 2M n/small
	larder commit -q n --name thin --key two
	larder umount -q n
	larder mount -q thin@two n
	[ "$(disk_kib n/small)" -le "$(disk_kib thin/small)" ]
	[ "$(disk_kib n/large n/again)" -le $((2 * plain)) ]
	cmp n/again thin/large
	larder umount -q n
}

@test "fsync and fdatasync succeed" {
	in_both '
		dd if=/dev/zero of=synced bs=64k count=20 conv=fsync \
			status=none
		dd if=large of=a bs=1M conv=fdatasync status=none
		dd if=/dev/zero of=direct bs=4k count=4 oflag=sync status=none
		sync -f .
		sync dir
	'
	settles
}

@test "a shared mapping writes to the file" {
	for dir in plain m; do
		fsops mmap-shared "$dir/large" 2097150 'over a chunk'
		fsops mmap-shared "$dir/a" 0 ALPHA
	done
	[ "$(cat m/a)" = ALPHA ]
	same_done
	settles
}

@test "a private mapping does not" {
	fsops mmap-private m/large 100 'not in the file'
	cmp plain/large m/large
}

@test "what is written is in a mapping that was there before, and back" {
	hold mmap-hold m/a 0 MAPPED
	echo -n X | dd of=m/a bs=1 seek=1 conv=notrunc status=none
	[ "$(head -c 6 m/a)" = MXPPED ] || [ "$(head -c 5 m/a)" = MXPPE ]
	release
}

@test "an unlinked file lives as long as it is open" {
	fsops unlinked m/a
	fsops unlinked m/large
	echo new >m/new
	fsops unlinked m/new
	rm plain/a plain/large
	same_done
	settles
}

@test "a file that is replaced while it is open is still read" {
	hold hold-read m/a
	echo replacement >m/temp
	mv m/temp m/a
	[ "$(cat m/a)" = replacement ]
	release
	[ "$(tail -n +2 held.out)" = alpha ]
}

@test "copy_file_range copies" {
	for dir in plain m; do
		fsops copy-range "$dir/large" "$dir/copy"
		fsops copy-range "$dir/copy" "$dir/dir/copy"
	done
	cmp plain/large m/dir/copy
	same_done
	settles
}

@test "programs are replaced while they run, and run when they are written" {
	cp /bin/sleep m/program
	m/program 60 3>&- &
	pid=$!
	running() {
		[ "$(readlink "/proc/$pid/exe")" = "$PWD/m/program" ]
	}
	wait_until running
	run bash -c 'echo x >m/program'
	[ "$status" -ne 0 ]
	[[ $output == *"Text file busy"* ]]
	cp /bin/true m/program.new
	mv m/program.new m/program
	m/program
	kill "$pid"
	wait "$pid" || true
}

@test "writing clears suid" {
	require_root
	make_user_dir
	in_both '
		cp /bin/true suid
		chown '"$LARDER_TEST_USER"' suid
		chmod 4755 suid
		chmod 4755 script
	'
	chmod 777 m plain
	[ "$(stat -c %a m/suid)" = 4755 ]
	# Root may keep it, and writing as root keeps it in both.
	in_both 'echo x >>script'
}

@test "many small files, written and read back" {
	in_both '
		mkdir many
		for i in $(seq 2000); do
			echo "content of $i" >many/$i
		done
		cat many/* | sha256sum
	'
	settles
}
