# shellcheck shell=bash disable=SC2154 # work, quick: of run
# SPDX-License-Identifier: Apache-2.0
#
# The inputs, each made once and kept in the work directory: the tree, what
# peers make of it, trees of any size. Sourced by run.

# input NAME COMMAND...: prints the path of NAME in the work directory, which
# COMMAND PATH makes where it is missing
input() {
	local path=$work/$1
	shift
	if [ ! -e "$path" ]; then
		echo "making $(basename "$path")" >&2
		rm -rf "$path.new"
		"$@" "$path.new" >&2
		mv "$path.new" "$path"
	fi
	echo "$path"
}

make_project() {
	mkdir -p "$1"
	(cd "$1" && real_project &&
		npm ci --no-audit --no-fund --cache "$work/npm-cache")
}

make_quick_tree() {
	make_tree "$1" 2000
}

# The tree that most rows are about: the real input, a node_modules.
tree() {
	if [ -n "${BENCH_TREE:-}" ]; then
		realpath "$BENCH_TREE"
	elif [ -n "$quick" ]; then
		input quick make_quick_tree
	else
		echo "$(input project make_project)/node_modules"
	fi
}

# tree_file SUFFIX COMMAND...: what COMMAND TREE PATH makes of the tree
tree_file() {
	local suffix=$1 tree kind=project
	shift
	tree=$(tree)
	[ -z "${BENCH_TREE:-}" ] || kind=$(cksum <<<"$tree" | cut -d ' ' -f 1)
	[ -n "${BENCH_TREE:-}" ] || [ -z "$quick" ] || kind=quick
	input "$kind.$suffix" "$@" "$tree"
}

make_erofs() { mkfs.erofs -zlz4hc "$2" "$1" >/dev/null; }
make_squashfs() { mksquashfs "$1" "$2" -comp zstd -quiet -no-progress; }
make_tar() { tar -C "$1" -cf "$2" .; }
make_tar_zst() { tar -C "$1" -c . | zstd -q -3 -o "$2"; }
make_casync() { mkdir "$2" && casync make --store="$2/store" "$2/tree.caidx" "$1"; }

tree_erofs() { tree_file erofs make_erofs; }
tree_squashfs() { tree_file squashfs make_squashfs; }
tree_tar() { tree_file tar make_tar; }
tree_tar_zst() { tree_file tar.zst make_tar_zst; }

# synthetic_tar N: a tar stream of N small files, 32 in a directory, a third of
# them with equal content
synthetic_tar() {
	python3 - "$1" <<-'PY'
	import sys
	n, out = int(sys.argv[1]), sys.stdout.buffer
	def header(name, mode, size, kind):
	    h = bytearray(512)
	    h[0:len(name)] = name
	    h[100:108] = b"%07o\0" % mode
	    h[108:116] = h[116:124] = b"0000000\0"
	    h[124:136] = b"%011o\0" % size
	    h[136:148] = b"%011o\0" % 1700000000
	    h[148:156] = b" " * 8
	    h[156:157] = kind
	    h[257:265] = b"ustar\00000"
	    h[148:156] = b"%06o\0 " % sum(h)
	    return h
	top = None
	for i in range(n):
	    d = i // 32
	    if i % 32 == 0:
	        if d // 1000 != top:
	            top = d // 1000
	            out.write(header(b"%03d/" % top, 0o755, 0, b"5"))
	        out.write(header(b"%03d/dir%d/" % (top, d), 0o755, 0, b"5"))
	    data = b"module.exports = %d;\n" % (i if i % 3 else 0)
	    out.write(header(b"%03d/dir%d/file%d.js" % (top, d, i), 0o644,
	                     len(data), b"0"))
	    out.write(data.ljust(512, b"\0"))
	out.write(b"\0" * 1024)
	PY
}
