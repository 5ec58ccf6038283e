# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# A tree with everything in it that a catalog has to keep, without a device:
# making one takes more than root in a container.

# numbered_files DIR COUNT PER-DIR makes small files, some of them equal.
numbered_files() {
	awk -v root="$1" -v count="$2" -v per="$3" 'BEGIN {
		for (i = 0; i < count; i++) {
			dir = root "/" int(i / per)
			if (i % per == 0)
				system("mkdir -p " dir)
			path = dir "/module" i ".js"
			for (line = 0; line < i % 40; line++)
				print "export const v" line " =", i % 97 >path
			print "// " (i % 3 ? i : "same") >path
			close(path)
		}
	}'
}

# odd_names DIR
odd_names() (
	cd "$1" || exit
	echo 1 >'two words'
	echo 2 >'-leading dash'
	echo 3 >$'line\nbreak'
	echo 4 >$'not UTF-8 \xff\xfe\x80'
	echo 5 >$'control \x01\x7f'
	echo 6 >'quo"te\back$slash`'
	echo 7 >$'private \xef\x9e\x80 use'
	echo 8 >'*'
	echo 9 >"$(printf 'n%.0s' $(seq 255))"
	echo 10 >'Größe'
	mkdir $'dir \xc3'
	echo 11 >$'dir \xc3/...'
)

odd_types() (
	cd "$1" || exit
	ln -s nowhere/at/all dangling
	ln -s /bin/sh absolute
	ln -s "$(printf 'long/%.0s' $(seq 800))" long
	ln -s $'\xff' 'to bytes'
	ln -s . self
	ln -P dangling 'dangling twice'
	mkfifo fifo
	echo linked >first
	ln first second
	mkdir elsewhere
	ln first elsewhere/third
	: >empty
	mkdir -p nothing/in/here
)

# odd_modes DIR
odd_modes() (
	cd "$1" || exit
	printf '#!/bin/sh\necho ran\n' >suid
	cp suid sgid
	chmod 4755 suid
	chmod 2755 sgid
	mkdir sticky group
	chmod 1777 sticky
	chmod 2775 group
	echo secret >unreadable
	chmod 0 unreadable
	[ "$(id -u)" -eq 0 ] || chmod 400 unreadable
	setfattr -n user.comment -v 'of a file' suid
	setfattr -n user.bytes -v 0x00ff10 suid
	setfattr -n user.empty suid
	setfattr -n user.dir -v "$(printf 'v%.0s' $(seq 2000))" sticky
)

# large_files DIR: of one chunk, a byte more, and many; and one with holes.
large_files() (
	cd "$1" || exit
	yes 'a line that repeats' | head -c 2097152 >one-chunk
	yes 'a line that repeats' | head -c 2097153 >one-more
	head -c 7340033 /dev/urandom >many-chunks
	truncate -s 9M holes
	printf data | dd of=holes bs=1 seek=3145728 conv=notrunc status=none
	printf end >>holes
	truncate -s 3M only-a-hole
)

# set_times DIR: nanoseconds, before 1970, after 2038; directories at last.
# GNU tar and libarchive do not agree on fractions before 1970.
set_times() (
	cd "$1" || exit
	touch -d '2001-02-03 04:05:06.000000001 UTC' types/first
	touch -d '2001-02-03 04:05:06.999999999 UTC' types/empty
	touch -d '1960-01-01 00:00:00 UTC' types/fifo
	touch -d '2100-01-01 00:00:00.25 UTC' large/holes
	touch -h -d '2002-02-02 02:02:02.020202020 UTC' types/self
	find . -depth -type d -exec \
		touch -d '2020-02-02 20:20:20.123456789 UTC' {} +
)

# make_tree DIR COUNT
make_tree() {
	mkdir -p "$1"/{names,types,modes,large}
	numbered_files "$1/modules" "$2" 100
	odd_names "$1/names"
	odd_types "$1/types"
	odd_modes "$1/modes"
	large_files "$1/large"
	set_times "$1"
}
