# shellcheck shell=bash disable=SC2154,SC2164 # real-tools sets both
# SPDX-License-Identifier: Apache-2.0
#
# Part of real-tools: Larder's own sources, configured and built with make -j
# in the directory, then changed and built again.

make_inputs() {
	mkdir "$inputs/src"
	(cd "$top" && tar -c --exclude-vcs autogen.sh configure.ac Makefile.am \
		m4 store fs tools tests contrib .ci LICENSE README.md \
		.clang-format .gitignore) | tar -x -C "$inputs/src"
	(cd "$inputs/src" && ./autogen.sh) >"$inputs/autogen.log" 2>&1
}

make_first() {
	cp -a "$inputs/src" src
	mkdir build
	cd build
	../src/configure -q --disable-tests CFLAGS=-O1
	make -s -j"$(nproc)"
	./larder --version
}

# make_idle: a make that finds nothing to do.
make_idle() {
	make -j"$(nproc)" >../idle.out
	if grep -E '^ *(CC|CCLD|AR|GEN) ' ../idle.out; then
		return 1
	fi
	rm ../idle.out
}

# A make after nothing changed, one after a header did, and one after a clean,
# which makes the same.
make_second() {
	local made
	cd build
	make_idle
	echo '/* one line more */' >>../src/fs/view.h
	make -j"$(nproc)" >../make.out
	made=$(grep -c '^ *CC ' ../make.out)
	[ "$made" -gt 10 ]
	[ "$made" -lt "$(find . -name '*.o' | wc -l)" ]
	grep '^ *CC ' ../make.out | sort >../made
	rm ../make.out
	make_idle
	find . -name '*.o' -print0 | sort -z | xargs -0 sha256sum >../objects
	make -s clean
	make -s -j"$(nproc)"
	make_idle
	sha256sum --quiet -c ../objects
	./larder --version
}

# Objects and programs byte for byte; which of them a change made again.
make_result() {
	(
		cd "$1"
		cat made objects
		sha256sum build/larder build/larderd
		find . -printf '%y %m %P\n' | sort
	)
}
