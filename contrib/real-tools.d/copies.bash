# shellcheck shell=bash disable=SC2154,SC2164 # real-tools sets both
# SPDX-License-Identifier: Apache-2.0
#
# Part of real-tools: tar, rsync and cp, into a mount, within it and out of it,
# with a tree that has all that they can carry.

copies_inputs() {
	local tree=$inputs/tree i
	mkdir -p "$tree"/{many,deep/a/b/c/d/e/f,empty,sticky,setgid}
	for ((i = 0; i < 1500; i++)); do
		head -c $((i * i % 20000)) /dev/urandom >"$tree/many/$i"
	done
	head -c 9000000 /dev/urandom >"$tree/large"
	copies_odd_names "$tree"
	# Holes at the beginning, within and at the end.
	truncate -s 64M "$tree/sparse"
	for i in 10 100 7000 16000; do
		echo "at $i" | dd of="$tree/sparse" bs=4096 seek="$i" \
			conv=notrunc status=none
	done
	truncate -s 3M "$tree/hole"
	for i in 1 2 3; do
		ln "$tree/many/7" "$tree/deep/a/hard$i"
		ln "$tree/large" "$tree/hard$i"
	done
	ln -s nowhere "$tree/dangling"
	ln -s ../many/7 "$tree/deep/link"
	ln "$tree/dangling" "$tree/hard-symlink"
	mkfifo "$tree/fifo"
	echo suid >"$tree/suid"
	chmod 4755 "$tree/suid"
	chmod 1777 "$tree/sticky"
	chmod 2775 "$tree/setgid"
	chmod 0 "$tree/many/8"
	setfattr -n user.small -v value "$tree/many/1"
	setfattr -n user.large -v "$(head -c 3000 /dev/zero | tr '\0' x)" \
		"$tree/many/1"
	setfattr -n user.empty "$tree/many/2"
	setfattr -n user.dir -v 1 "$tree/empty"
	setfacl -m u:1234:rw,g:4321:r "$tree/many/3"
	setfacl -d -m u:1234:rwx,o::- "$tree/deep"
	copies_of_root "$tree"
	find "$tree" -depth -print0 | xargs -0 touch -h -d \
		'2020-02-02 20:20:20.123456789 UTC'
	touch -h -d '1931-01-01 00:00:00.000000001 UTC' "$tree/dangling"
	touch -d '2200-01-01 00:00:00.999999999 UTC' "$tree/many/9"
}

copies_odd_names() {
	local long
	long=$(printf 'n%.0s' {1..255})
	touch "$1/$long" "$1/ leading" "$1/trailing " "$1/"$'new\nline' \
		"$1/-rf" "$1/"$'\xff\xfe' "$1/"$'\x01\x7f' "$1/back\\slash" \
		"$1/*" "$1/é" "$1/"$'e\xcc\x81' "$1/a=b,c"
	mkdir "$1/"$'dir\nwith \xe4'
	echo in >"$1/"$'dir\nwith \xe4'/file
	ln -s "$(printf 't%.0s' {1..1000})" "$1/long-target"
}

# What only root may make.
copies_of_root() {
	[ "$(id -u)" -eq 0 ] || return 0
	chown 1234:4321 "$1/many/4"
	chown -h 1234:4321 "$1/dangling"
	mknod "$1/null" c 1 3
	setfattr -n trusted.larder -v 1 "$1/many/5"
	setcap cap_net_raw+ep "$1/many/6"
}

copies_first() {
	cp -a "$inputs/tree" cp
	mkdir tar
	tar -c -C "$inputs/tree" --format=pax --xattrs --xattrs-include='*' \
		--acls -S . >tree.tar
	tar -x -C tar -p --same-owner --xattrs --xattrs-include='*' --acls \
		-f tree.tar
	rm tree.tar
	rsync -aHAXS "$inputs/tree/" rsync/
}

# Within the mount, with changes, and out of it.
copies_second() {
	local way out=$bench_dir/out
	cp -a cp cp2
	cp -a --sparse=always cp2 cp3
	rsync -aHAXS rsync/ rsync2/
	echo changed >>rsync2/many/1
	rm rsync2/many/3 rsync2/hard1
	chmod 600 rsync2/suid
	setfattr -x user.dir rsync2/empty
	rsync -aHAXS --delete "$inputs/tree/" rsync2/
	[ -z "$(rsync -aHAXSi --delete "$inputs/tree/" rsync2/)" ]
	mkdir tar2
	tar -c -C tar --format=pax --xattrs --xattrs-include='*' --acls -S . |
		tar -x -C tar2 -p --same-owner --xattrs --xattrs-include='*' \
			--acls
	# It reads both sides, for what it compares.
	tar -c -C "$inputs/tree" --format=pax -S . | tar -d -C tar2

	for way in cp cp2 cp3 tar tar2 rsync rsync2; do
		copies_compare "$inputs/tree" "$way" || return
		rm -rf "$out"
		cp -a "$way" "$out"
		copies_compare "$inputs/tree" "$out" || return
	done
	rsync -aHAXS --delete rsync2/ "$out/"
	copies_compare "$inputs/tree" "$out"
	rm -rf "$out"
	rm -r cp3 rsync
}

# copies_compare DIR DIR: nothing differs, attributes of all namespaces
# included, and what was a hole still takes no space.
copies_compare() {
	diff <(copies_state "$1") <(copies_state "$2") | head -n 20
	[ "${PIPESTATUS[*]}" = '0 0' ] || return
	[ "$(du -k "$2/sparse" "$2/hole" |
		awk '{ sum += $1 } END { print sum }')" -lt 2048 ] || {
		echo "$2: holes were filled"
		return 1
	}
}

copies_state() (
	tree_digest "$1"
	tree_links "$1"
	cd "$1" || exit
	find . -printf '%U %G %p\0' | sort -z | tr '\n\0' '\001\n'
	find . ! -type l -print0 | sort -z |
		xargs -0 getfattr -h -d -m - -e hex --
)

copies_result() {
	local way
	for way in cp cp2 tar tar2 rsync2; do
		copies_state "$1/$way"
	done
}
