#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# larder.yml in Larder's own form: larder run with no options does what it
# says.

load ../helpers

setup() {
	larder_setup
	require_fuse
	need git jq
	mkdir project
	cd project || return
	echo 1 >input
	cat >larder.yml <<-'END'
		caches:
		  - name: one
		    paths: [out/one]
		    key: {files: [input]}
		    command: cat input >out/one/copy; echo ran >>ran
		  - name: two
		    paths: [HOME/two]
		    key: {files: [input, missing?], salt: v1}
		    command: [sh, -c, 'cp out/one/copy "$HOME/two"']
	END
}

runs() {
	if [ -e ran ]; then wc -l <ran; else echo 0; fi
}

@test "run does what the file says, in its order, and then nothing" {
	larder run
	[ "$(cat out/one/copy "$HOME/two/copy")" = $'1\n1' ]
	[ "$(runs)" = 1 ]
	larder run
	[ "$(runs)" = 1 ]
	echo 2 >input
	larder run
	[ "$(runs)" = 2 ]
	[ "$(cat "$HOME/two/copy")" = 2 ]
}

@test "run NAME does one of them" {
	larder run one
	[ "$(cat out/one/copy)" = 1 ]
	[ ! -e "$HOME/two" ]
	run larder run tw
	[ "$status" -eq 2 ]
	[[ "$output" == *'no cache tw; did you mean two?'* ]]
	run larder run make all
	[ "$status" -eq 2 ]
	[[ "$output" == *'put -- before it'* ]]
}

@test "key NAME is the key that run NAME uses" {
	key=$(larder key one)
	[ "$(larder run --json one 2>/dev/null | jq -r .key)" = "$key" ]
	run -0 larder key --explain two
	[[ $output == *'file '*' input'* ]]
	[ "${lines[-1]}" = "key $(larder key two)" ]
	mkdir below
	[ "$(git init -q . && cd below && larder key one)" = "$key" ]
	[ "$(larder key one -- make)" != "$key" ]
	echo 2 >input
	[ "$(larder key one)" != "$key" ]

	run -2 --separate-stderr larder key tw
	[[ $stderr == *'no cache tw; did you mean two?'* ]]
	run -2 --separate-stderr larder key one two
	[[ $stderr == *'name one cache'* ]]
	run -2 --separate-stderr larder key one --salt x
	[[ $stderr == *'leave the options out'* ]]
	printf '  - {name: three, paths: [x], key: {salt: v1}}\n' >>larder.yml
	run -2 --separate-stderr larder key three
	[[ $stderr == *'larder key three -- COMMAND'* ]]
	[ "$(larder run --json three -- true 2>/dev/null | jq -r .key)" = \
		"$(larder key three -- true)" ]
}

@test "a file of the key that is missing is looked for where the file is" {
	mkdir below && git init -q .
	rm input
	cd below
	run -1 larder run one
	[[ $output == *"no file matches in ${PWD%/below}; 'input?'"* ]]
	cd ..
	head -c 300000 /dev/zero | tr '\0' '#' >larder.yml
	run -2 larder run
	[[ $output == *'larder.yml is larger than 256 KiB'* ]]
}

@test "from a directory below, the command runs where the file is" {
	git init -q .
	mkdir -p sub/deep
	cd sub/deep
	larder run one
	[ "$(cat ../../out/one/copy)" = 1 ]
	# A command of the command line runs here.
	larder run one --salt x -- true 2>/dev/null && false
	larder run two -- sh -c 'pwd >"$HOME/two/pwd"'
	[ "$(cat "$HOME/two/pwd")" = "$PWD" ]
}

@test "without git, a file above is not searched for" {
	mkdir sub
	cd sub
	run larder run
	[ "$status" -eq 2 ]
	[[ "$output" == *'there is no larder.yml here'* ]]
}

@test "another command is another key" {
	larder run one
	sed -i 's/echo ran/echo again/' larder.yml
	larder run one
	grep -q again ran
	larder run one -- sh -c 'echo mine >out/one/copy'
	[ "$(cat out/one/copy)" = mine ]
	sed -i 's/echo again/echo ran/' larder.yml
	larder run one
	[ "$(cat out/one/copy)" = 1 ]
	[ "$(grep -c ran ran)" = 1 ]
}

@test "several caches around one command: it always runs" {
	larder run -- sh -c 'echo "$LARDER_OUTCOME" >>seen
		touch out/one/a "$HOME/two/b"'
	larder run -- sh -c 'echo "$LARDER_OUTCOME $LARDER_OUTCOME_TWO" >>seen'
	[ "$(cat seen)" = $'miss\nexact exact' ]
	larder umount --discard "$HOME/two"
	larder run two one -- sh -c '[ -e out/one/a ] && [ -e "$HOME/two/b" ]'
}

@test "a failing command stops the run, with its exit code" {
	sed -i 's/^    command: cat.*/    command: exit 7/' larder.yml
	run larder run
	[ "$status" -eq 7 ]
	[ ! -e "$HOME/two" ]
}

@test "a command that is the user's own is asked for or left out" {
	sed -i '/command: cat/d' larder.yml
	run larder run one
	[ "$status" -eq 2 ]
	[[ "$output" == *'larder run one -- COMMAND'* ]]
	sed -i 's/sh, -c, .*/sh, -c, "touch \\"$HOME\/two\/y\\""]/' larder.yml
	run larder run
	[ "$status" -eq 0 ]
	[[ "$output" == *'one: left out'* ]]
	[ -e "$HOME/two/y" ]
}

@test "environment, always and an own key" {
	cat >larder.yml <<-'END'
		caches:
		  - name: store
		    paths: .larder/store
		    key: v1
		    always: yes
		    environment: {STORE: REPO/.larder/store, WORD: 'a b'}
		    command: echo "$WORD" >>"$STORE/log"; cp "$STORE/log" .
	END
	larder run
	larder run
	[ "$(cat log)" = $'a b\na b' ]
	[ "$(cat .larder/.gitignore)" = '*' ]
	larder umount --discard .larder/store
	larder run
	# The second run's line was not saved: v1 was exact.
	[ "$(wc -l <log)" = 2 ]
}

@test "mode: the file's, unless the environment or the line says otherwise" {
	sed -i 's/^    command: cat/    mode: off\n&/' larder.yml
	larder run one
	! findmnt out/one
	rm -rf out
	LARDER_MODE=read-only larder run one
	findmnt out/one
	run_json list
	[ "$(json '.entries | length')" = 0 ]
	larder run --mode default one
	run_json list
	[ "$(json '.entries | length')" = 1 ]
}

@test "--json is one object" {
	run_json run one
	[ "$(json '.name, .outcome, .committed')" = $'one\nmiss\ntrue' ]
	run_json run
	[ "$(json '[.runs[].name] | join(" ")')" = 'one two' ]
	[ "$(json '[.runs[].outcome] | join(" ")')" = 'exact miss' ]
	[ "$(json .exit)" = 0 ]
}

@test "--ephemeral unmounts all of them" {
	larder run --ephemeral -- touch out/one/x "$HOME/two/x"
	! findmnt out/one
	! findmnt "$HOME/two"
	run_json list
	[ "$(json '.entries | length')" = 2 ]
}

@test "options and the file exclude each other" {
	run larder run one --path x --key v1 -- true
	[ "$status" -eq 2 ]
	run larder run --preset npm --key-file input -- true
	[ "$status" -eq 2 ]
	run larder run --path x --key v1
	[ "$status" -eq 2 ]
	[[ "$output" == *'the command is missing'* ]]
	# Options alone do not read it.
	echo broken: [ >larder.yml
	larder run --path x --key v1 -- true
}

@test "a path that leads out of repository and home is refused" {
	ln -s /tmp out
	run larder run one
	[ "$status" -eq 2 ]
	[[ "$output" == *'neither in the repository nor in the home'* ]]
	[ ! -e ran ]
}

@test "a mistake is named by file and line" {
	sed -i 's/^    key: {files: \[input\]}/    kye: x/' larder.yml
	run larder run
	[ "$status" -eq 2 ]
	[[ "$output" == *'larder.yml:4: caches: unknown key kye; did you mean key?'* ]]
	run --separate-stderr larder run --json
	[ "$status" -eq 2 ]
	[[ "$(json .error.message)" == *'larder.yml:4'* ]]
}

@test "another user's file above the current directory is not used" {
	require_root
	git init -q .
	mkdir sub
	as_user true
	chown "$LARDER_TEST_USER" larder.yml
	cd sub
	run larder run one
	[ "$status" -eq 2 ]
	[[ "$output" == *'belongs to another user'* ]]
	cd ..
	larder run one
}
