# shellcheck shell=bash disable=SC2016 # the hooks' shell expands them
# SPDX-License-Identifier: Apache-2.0
#
# What the cases and contrib/random share of the random tester: the tree that
# it begins with, and the hooks between its steps. It is sourced; LARDER is
# the command, and LARDER_BUILDDIR is where the tester was built.

# random_base DIR fills it: names that the tester makes too, others, hard
# links, symbolic links, fifos, attributes, empty, large and sparse files,
# several times, modes and (for root) owners. The same each time.
random_base() {
	local d
	mkdir -p "$1"/{n0/n1/n2/n3,n4/n5,n6,many,empty,other/n1}
	for d in "$1" "$1"/{n0,n0/n1,n0/n1/n2,n4,n4/n5,other/n1}; do
		echo "a file in ${d#"$1"}" >"$d/n2.txt"
		[ -e "$d/n3" ] || seq 3000 >"$d/n3"
		ln -s no/where "$d/link"
		: >"$d/zero"
	done
	ln "$1/n3" "$1/n6/n1"
	ln "$1/n3" "$1/other/n1/n0"
	ln "$1/n0/n3" "$1/n0/n1/n0"
	mkfifo "$1/n4/n0"
	for d in $(seq 60); do
		echo "$d" >"$1/many/file $d"
	done
	seq 400000 >"$1/large"
	truncate -s 9000000 "$1/sparse"
	echo middle | dd of="$1/sparse" bs=1 seek=5000000 conv=notrunc status=none
	touch -d '1999-12-31 23:59:59.123456789' "$1/n0/n2.txt" "$1/other"
	chmod 600 "$1/n4/n3"
	chmod 700 "$1/n6"
	setfattr -n user.a -v base "$1/n3" 2>/dev/null || true
	if [ "$(id -u)" -eq 0 ]; then
		chown 1000:1000 "$1/n4/zero" "$1/other"
		chmod 4755 "$1/n0/n3"
		chmod 2775 "$1/n4/n5"
	fi
}

# random_hooks ENTRY... sets the array hooks: options for the tester. ENTRY is
# what a fresh tree is a mount of: --empty or NAME@KEY. RANDOM_OPTIONS are
# those of each mount ("-o writeback").
random_hooks() {
	local larder="\"\$LARDER\"" mount umount
	mount="$larder mount -q ${RANDOM_OPTIONS:-}" umount="$larder umount -q"
	local commit="\"\$LARDER\" commit -q \"\$1\" --name random --key"
	commit+=' "c$(date +%s%N)" >/dev/null'
	hooks=(
		--fresh "$umount --discard \"\$1\" 2>/dev/null
			exec $mount $* \"\$1\""
		--remount "$commit && $umount --discard \"\$1\" &&
			exec $mount random@latest \"\$1\""
		--reopen "$umount \"\$1\" && exec $larder mount -q --resume \"\$1\""
		--disturb "$commit"
		# A supervisor gives up after six deaths in ten seconds.
		--disturb 'last=$XDG_RUNTIME_DIR/killed
			until [ -z "$(find "$last" -newermt "-2 seconds" \
				2>/dev/null)" ]; do sleep 0.2; done
			pid=$("$LARDER" status --json | jq -r .worker_pid) &&
			touch "$last" && kill -KILL "$pid"'
	)
	# The kernel forgets what it knows of the tree.
	[ "$(id -u)" -ne 0 ] ||
		hooks+=(--disturb 'exec mount -i -o remount,rw "$1"')
}
