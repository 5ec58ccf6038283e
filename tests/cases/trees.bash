# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What a tree is, as text that can be compared. Sourced by helpers.bash and by
# the scripts in contrib/ that compare what mounts show.

# tree_digest DIR prints a line for each path below DIR, and DIR itself, in
# byte order: type, mode, size, mtime in nanoseconds, SHA-256 of a file's
# content, path, and a symlink's target. Sizes of directories differ between
# file systems and are left out. Nothing in it depends on where DIR is. A
# newline in a name is shown as \001.
tree_digest() (
	export LC_ALL=C
	cd "$1" || exit
	set -o pipefail
	find . \( -type f -printf '%y %#m %s %T@ %p\0' \) -o \
		\( -type l -printf '%y %#m %s %T@ %p -> %l\0' \) -o \
		-printf '%y %#m - %T@ %p\0' |
		tr '\n\0' '\001\n' |
		awk '
		pass == 1 {
			sum[substr($0, 67)] = substr($0, 1, 64)
			next
		}
		{
			path = $0
			sub(/^[^ ]* [^ ]* [^ ]* [^ ]* /, "", path)
			digest = "-"
			if ($1 == "f") {
				digest = path in sum ? sum[path] : "unreadable"
				unreadable += !(path in sum)
			}
			print path "\t" $1, $2, $3, $4, digest
		}
		END { exit unreadable > 0 }
		' pass=1 <(content_digests) pass=2 - |
		sort | awk -F '\t' '{ print $NF, substr($0, 1,
			length($0) - length($NF) - 1) }'
)

# content_digests is the part of tree_digest that reads.
content_digests() {
	find . -type f -print0 | xargs -0 -r sha256sum -z -- |
		tr '\n\0' '\001\n'
}

# same_tree DIR DIR fails and shows the first differences.
same_tree() {
	local first second
	first=$(tree_digest "$1") || return
	second=$(tree_digest "$2") || return
	[ "$first" = "$second" ] && return
	diff <(echo "$first") <(echo "$second") | head -n 20
	return 1
}

# same_shape DIR DIR is same_tree without the times: for two trees to which the
# same was done.
same_shape() {
	local first second
	first=$(tree_digest "$1") || return
	second=$(tree_digest "$2") || return
	first=$(awk '{ $4 = ""; print }' <<<"$first")
	second=$(awk '{ $4 = ""; print }' <<<"$second")
	[ "$first" = "$second" ] && return
	diff <(echo "$first") <(echo "$second") | head -n 20
	return 1
}

# tree_links DIR prints the paths of each inode with several names, a line an
# inode.
tree_links() (
	cd "$1" || exit
	find . ! -type d -links +1 -printf '%i %n %p\n' | LC_ALL=C sort -k3 |
		awk '{ names[$1] = names[$1] " " $3; count[$1] = $2 }
		END { for (i in names) print count[i] names[i] }' |
		LC_ALL=C sort
)

# tree_xattrs DIR prints all extended attributes of users below DIR.
tree_xattrs() (
	cd "$1" || exit
	find . -print0 | LC_ALL=C sort -z |
		xargs -0 getfattr -h -d -m '^user\.' -e hex --
)

# tree_state DIR prints all that can be seen of a tree: names, content, times,
# links and attributes.
tree_state() {
	tree_digest "$1"
	tree_links "$1"
	tree_xattrs "$1"
}

# same_state DIR DIR is same_tree with links and attributes.
same_state() {
	is_state "$1" <(tree_state "$2")
}

# is_state DIR FILE: what tree_state printed to FILE before is still so.
is_state() {
	tree_state "$1" | diff "$2" - | head -n 20
	[ "${PIPESTATUS[*]}" = '0 0 0' ]
}
