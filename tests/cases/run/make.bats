#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# An out-of-tree make in a mounted build directory.

load ../helpers

setup() {
	larder_setup
	require_fuse
	need make cc git
	mkdir first
	cd first || return
	cat >Makefile.in-tree <<-'END'
		.RECIPEPREFIX = >
		VPATH = ../src
		CFLAGS = -O0 -I../src -MMD
		objects = main.o one.o two.o three.o
		program: $(objects)
		> $(CC) -o $@ $(objects)
		> echo link >>$(LOG)
		%.o: %.c
		> $(CC) $(CFLAGS) -c -o $@ $<
		> echo $< >>$(LOG)
		-include $(objects:.o=.d)
	END
	mkdir src
	echo 'int one(void), two(void), three(void);' >src/all.h
	for n in one two three; do
		printf '#include "all.h"\nint %s(void) { return 1; }\n' $n \
			>src/$n.c
	done
	printf '#include "all.h"\n%s\n' \
		'int main(void) { return one() + two() + three() - 3; }' \
		>src/main.c
	# What git does not keep, and a checkout in CI sets: equal times.
	find . -exec touch -d '2021-01-01 00:00:00.123456789 UTC' {} +
	cp -a . ../second
	log=$BATS_TEST_TMPDIR/made
	: >"$log"
}

make_it() {
	larder run -q --path build --name build --key-file 'src/*' \
		--key-file Makefile.in-tree -- \
		make -s -C build -f ../Makefile.in-tree LOG="$log"
}

make_here() {
	make -C build -f ../Makefile.in-tree LOG="$log"
}

@test "the second clone's make finds nothing to do" {
	make_it
	[ "$(wc -l <"$log")" -eq 5 ]
	build/program
	cd ../second
	make_it
	[ "$(wc -l <"$log")" -eq 5 ]
	build/program
	make -q -C build -f ../Makefile.in-tree LOG="$log"
	[[ $(make_here) == *"up to date"* ]]
	same_tree ../first/build build
}

@test "a changed source rebuilds what needs it, and no more" {
	make_it
	cd ../second
	make_it
	: >"$log"
	printf '#include "all.h"\nint two(void) { return 1 + 0; }\n' >src/two.c
	make_it
	[ "$(sort "$log" | xargs)" = '../src/two.c link' ]
	build/program
	: >"$log"
	touch src/one.c
	make_here
	[ "$(sort "$log" | xargs)" = '../src/one.c link' ]
	: >"$log"
	touch src/all.h
	make_here
	[ "$(wc -l <"$log")" -eq 5 ]
}

@test "make clean and make again" {
	make_it
	rm -rf build/*
	[ -z "$(ls -A build)" ]
	: >"$log"
	make_here
	[ "$(wc -l <"$log")" -eq 5 ]
	build/program
	larder commit -q build --name build --key again
}
