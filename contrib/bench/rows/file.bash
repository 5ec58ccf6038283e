# shellcheck shell=bash disable=SC2154 # bench_dir, quick: of lib.bash and run
# SPDX-License-Identifier: Apache-2.0
#
# One large file: written through a mount and read again. Before it is read,
# caches are dropped where that is allowed, for both sides the same.

row write-4k rows_file ratio 1.3 plain "4 KiB writes to one file"
row write-1m rows_file ratio 1.3 plain "sequential writes of 1 MiB"
row write-4k-writeback rows_file ratio 1.3 plain "4 KiB writes with -o writeback"
row write-1m-writeback rows_file ratio 1.3 plain "writes of 1 MiB, likewise"
row read-1m rows_file ratio 1.3 plain "sequential reads of 1 MiB"
row read-random rows_file ratio 1.3 plain "random reads of 4 KiB"

read_random() {
	python3 - "$1" "$2" <<-'PY'
	import os, random, sys
	random.seed(1)
	fd = os.open(sys.argv[1], os.O_RDONLY)
	blocks = os.fstat(fd).st_size // 4096
	for i in range(int(sys.argv[2])):
	    os.pread(fd, 4096, 4096 * random.randrange(blocks))
	PY
}

file_round() {
	local dir file mib=256
	[ -z "$quick" ] || mib=16
	empty "$1"
	dir=$(empty_dir "$1")
	file=$dir/file
	once write-4k "$1" dd if=/dev/zero of="$file" bs=4k \
		count=$((mib * 64)) status=none
	rm "$file"
	sync
	once write-1m "$1" dd if="$bench_dir/noise" of="$file" bs=1M status=none
	sync
	drop_caches || :
	once read-1m "$1" dd if="$file" of=/dev/null bs=1M status=none
	drop_caches || :
	once read-random "$1" read_random "$file" $((mib * 16))
	unempty "$1"
}

rows_file() {
	head -c "$([ -n "$quick" ] && echo 16M || echo 256M)" /dev/urandom \
		>"$bench_dir/noise"
	take_turns file_round larder larder-writeback plain
	row_as write-4k-writeback write-4k larder-writeback plain
	row_as write-1m-writeback write-1m larder-writeback plain
	rm "$bench_dir/noise"
}
