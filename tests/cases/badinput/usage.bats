#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Arguments that cannot be meant: exit code 2, one sentence, nothing done.

load ../helpers

setup() {
	larder_setup
	mkdir tree m
	echo content >tree/file
}

# refused STATUS WORD ARGUMENT...: the exit code, and one sentence with WORD.
refused() {
	run --separate-stderr larder "${@:3}"
	if [ "$status" -ne "$1" ] || [ -n "$output" ] ||
		[ "$(wc -l <<<"$stderr")" -ne 1 ] ||
		[[ $stderr != "larder: "*"$2"* ]]; then
		echo "larder ${*:3}: $status, $output, $stderr"
		return 1
	fi
}

@test "keys and names outside their alphabet" {
	long=$(printf 'k%.0s' $(seq 129))
	for word in '' . .. ../x a/b -x 'a b' $'a\nb' 'ä' .hidden "$long"; do
		refused 2 --key import tree --name tree --key "$word"
		refused 2 --name import tree --name "$word" --key one
		refused 2 --namespace import tree --name tree --key one \
			--namespace "$word"
	done
	run_json list
	[ "$(json '.entries | length')" -eq 0 ]
	larder import -q tree --name tree --key "${long%?}"
	larder import -q tree --name A.b_c-9 --key 0
}

@test "references that name no entry" {
	larder import -q tree --name tree --key one
	for ref in tree @one tree@ 'a b@one' tree@../x tree@branch:; do
		refused 2 "$ref" show "$ref"
		refused 2 "$ref" mount "$ref" m
	done
}

@test "missing and superfluous arguments" {
	refused 2 NAME import tree
	refused 2 --name import tree --key one
	refused 2 key import tree --name tree
	refused 2 ENTRY mount
	refused 2 ENTRY mount tree@one
	refused 2 DIR mount --empty
	refused 2 many umount m n
	refused 2 missing run --path m --key one
	refused 2 -- run --path m --key one true
	refused 2 alone key --key one --salt two
	refused 2 key-file key
}

@test "unknown options and commands name the nearest" {
	refused 2 'did you mean mount' mout m
	refused 2 'did you mean --discard' umount --discart m
	refused 2 --help frobnicate
	refused 2 -Z umount -Z m
	refused 2 'allow_other' mount -o allow-other tree@one m
}

@test "files of a key that are not there" {
	refused 1 nothing.lock key --key-file nothing.lock
	refused 2 ../x key --key-file ../x
	refused 2 /etc/passwd key --key-file /etc/passwd
	refused 2 A=B key --key-env A=B
}

@test "sources that are not there or no tar" {
	refused 1 nowhere import nowhere --name tree --key one
	refused 1 tree/file import tree/file --name tree --key one
	: >empty
	refused 1 empty import empty --name tree --key one
	mkfifo fifo
	run_json list
	[ "$(json '.entries | length')" -eq 0 ]
}

@test "a tar that is cut off, or has paths that lead out of it" {
	tar -c -C tree . >whole.tar
	head -c 700 /dev/urandom >tree/random
	tar -cz -C tree . | head -c 600 >cut.tar.gz
	refused 1 cut.tar.gz import cut.tar.gz --name tree --key one
	tar -c -P --transform 's|^|../|' tree/file >dots.tar
	refused 1 dots.tar import dots.tar --name tree --key one
	run_json list
	[ "$(json '.entries | length')" -eq 0 ]
}

@test "a directory that is not empty is not materialized into" {
	larder import -q tree --name tree --key one
	refused 1 tree materialize tree@one tree
	[ "$(ls tree)" = file ]
	refused 3 none materialize tree@none out
	[ ! -e out ]
}
