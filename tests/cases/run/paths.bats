#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# larder run with several --path and with files: one entry with several roots.

load ../helpers

setup() {
	larder_setup
	require_fuse
	need jq
	mkdir first second
	cd first || return
	git init -q .
	git init -q ../second
}

# build KEY [OPTION...] -- COMMAND... runs in three directories.
build() {
	larder run --name demo --path web/out --path gen --path "$HOME/.store" \
		--key "$@"
}

fill() {
	build "$1" -- sh -c '
		echo web >web/out/f && ln web/out/f web/out/g
		mkdir gen/sub && echo gen >gen/sub/f
		echo store >"$HOME/.store/f" && chmod 500 "$HOME/.store"'
}

umount_all() {
	larder umount web/out
	larder umount gen
	larder umount "$HOME/.store"
}

entries() {
	larder list --json | jq '.entries | length'
}

@test "one entry has them all, and each is mounted in its place" {
	fill one
	[ "$(entries)" -eq 1 ]
	[ "$(larder cat demo@one REPO/web/out/g)" = web ]
	[ "$(larder cat demo@one REPO/gen/sub/f)" = gen ]
	[ "$(larder cat demo@one HOME/.store/f)" = store ]
	[ "$(larder list --json | jq '.entries[0] |
		[.files, .new_files] | join(" ")' -r)" = '3 3' ]
	tree_digest web/out >web.txt
	tree_digest gen >gen.txt
	tree_digest "$HOME/.store" >store.txt
	umount_all

	run_json run --name demo --path web/out --path gen \
		--path "$HOME/.store" --key one -- touch ran
	[ "$(json '[.outcome, .mounted] | join(" ")')" = 'exact true' ]
	[ "$(json '[.roots[].root] | join(" ")')" = \
		'REPO/web/out REPO/gen HOME/.store' ]
	[ ! -e ran ]
	tree_digest web/out | cmp - web.txt
	tree_digest gen | cmp - gen.txt
	tree_digest "$HOME/.store" | cmp - store.txt
	[ web/out/f -ef web/out/g ]
}

@test "another clone hits, with the same tree" {
	fill one
	tree_digest gen >../gen.txt
	larder umount "$HOME/.store"
	cd ../second
	build one -- false
	tree_digest gen | cmp - ../gen.txt
	[ "$(cat web/out/f "$HOME/.store/f" | xargs)" = 'web store' ]
}

@test "a partial hit builds on each, and stores only what is new" {
	fill one
	run_json run --name demo --path web/out --path gen \
		--path "$HOME/.store" --key two -- sh -c 'echo more >gen/more'
	[ "$(json '[.outcome, .committed, .commit.result.new_files] |
		join(" ")')" = 'partial true 1' ]
	[ "$(larder show demo@two --json | jq -r .entry.parent)" = one ]
	[ "$(larder show demo@two --json | jq -r .entry.parent_catalog)" = \
		"$(larder show demo@one --json | jq -r .entry.catalog)" ]
	run ! larder cat demo@one REPO/gen/more
	[ "$(larder cat demo@two REPO/web/out/f)" = web ]
	[ "$(mount_field gen dirty)" = false ]
	# The mounts are what was committed: a reset changes nothing.
	larder reset gen
	[ "$(cat gen/more)" = more ]
}

@test "an unchanged tree is not committed again" {
	fill one
	run_json run --name demo --path gen --path web/out \
		--path "$HOME/.store" --key one --always -- true
	[ "$(json '[.outcome, .committed, .commit.unchanged] | join(" ")')" = \
		'exact false true' ]
}

@test "entries of other directories: a base for those that they have" {
	fill one
	umount_all
	run_json run --name demo --path gen --path new --key one -- \
		sh -c 'ls gen new >../seen'
	[ "$(json '[.outcome, .rule] | join(" ")')" = 'partial branch' ]
	grep -q sub ../seen
	larder umount gen
	# And a run of one directory has no use for it at all.
	run_json run --name demo --path gen --key one -- \
		sh -c 'ls gen >../seen'
	[ "$(json .outcome)" = miss ]
	[[ $(json .reason) == *'other directories'* ]]
	[ ! -s ../seen ]
}

@test "what the store has lost of the parts is made again" {
	fill one
	umount_all
	larder daemon stop
	joined=$(larder show demo@one --json | jq -r .entry.catalog)
	larder daemon stop
	find "$XDG_CACHE_HOME/larder/v1/catalogs" -type f \
		! -name "*${joined:2}" -delete
	build one -- false
	[ "$(cat gen/sub/f web/out/f "$HOME/.store/f" | xargs)" = \
		'gen web store' ]
}

@test "a commit that fails leaves all mounts as they were" {
	larder daemon stop
	LARDER_FAULT=ingest.index:4:EIO larder daemon start
	run fill one
	[ "$status" -eq 0 ]
	[[ $output == *'NOT committed'* ]]
	[ "$(entries)" -eq 0 ]
	[ "$(mount_field gen dirty)" = true ]
	# The next one has it all.
	build one -- true
	[ "$(larder cat demo@one REPO/gen/sub/f)" = gen ]
}

@test "one directory that cannot be used: none is mounted" {
	mkdir gen
	echo mine >gen/mine
	run build one -- touch ran
	[ "$status" -eq 1 ]
	[[ $output == *gen* ]]
	[ ! -e ran ]
	run ! mountpoint -q web/out
	[ "$(cat gen/mine)" = mine ]
}

@test "directories in one another, and no name: exit code 2" {
	run larder run --name demo --path a --path a/b --key one -- true
	[ "$status" -eq 2 ]
	run larder run --name demo --path a --path ./a --key one -- true
	[ "$status" -eq 2 ]
	run larder run --path a --path b --key one -- true
	[ "$status" -eq 2 ]
	[[ $output == *--name* ]]
}

# ---- files

# tool KEY [OPTION...]: a run that makes the file bin/tool, or adds to it.
tool() {
	larder run --name tool --file bin/tool --key "$@" -- \
		sh -c 'echo "$0" >>bin/tool; chmod 755 bin/tool' "$1"
}

@test "a file: kept, restored as it was, found in place" {
	tool one
	[ -f bin/tool ]
	[ "$(larder cat tool@one REPO/bin/tool)" = one ]
	touch -d '2001-02-03 04:05:06.000000007' bin/tool
	setfattr -n user.kept -v value bin/tool
	larder run --name tool --file bin/tool --key two -- true
	before=$(tree_state bin)

	cd ../second
	# The entry says that it is a file, so --path will do.
	run_json run --name tool --path bin/tool --key two -- touch ran
	[ "$(json '[.outcome, .kind, .reused, .mounted] | map(tostring) |
		join(" ")')" = 'exact file false false' ]
	[ ! -e ran ]
	# The directory's own time is not the file's.
	touch -r ../first/bin bin
	[ "$(tree_state bin)" = "$before" ]
	ls -a bin | grep -c larder- | grep -qx 0

	inode=$(stat -c %i bin/tool)
	run_json run --name tool --path bin/tool --key two -- touch ran
	[ "$(json '[.outcome, .reused] | map(tostring) | join(" ")')" = \
		'exact true' ]
	[ "$(stat -c %i bin/tool)" = "$inode" ]
}

@test "a file that is there needs no --file, and one that is not is nothing" {
	echo mine >conf
	larder run --name conf --path conf --key one -- true
	[ "$(larder cat conf@one REPO/conf)" = mine ]
	run_json run --name none --file missing --path conf --key one -- true
	[ "$(json '[.committed, .commit.entry.files] | map(tostring) |
		join(" ")')" = 'true 1' ]
	# Nothing at all is no entry, and the next run is a miss again.
	run -0 larder run --name none --file missing --key two -- true
	[[ $output == *'nothing was committed; there is no missing'* ]]
	[ ! -e missing ]
	run_json run --name none --file missing --path conf --key one -- touch ran
	[ "$(json .outcome)" = exact ]
	[ ! -e ran ]
	[ ! -e missing ]
}

@test "files and directories in one entry, and the same in another clone" {
	mixed() {
		larder run --name mixed --path out --file list --key "$@"
	}
	mixed one -- sh -c 'echo a >out/a; echo b >list'
	mountpoint -q out
	[ "$(larder list --json | jq '.entries | length')" -eq 1 ]
	stat -c '%a %y' list >../list.txt
	cd ../second
	mixed one -- touch ran
	[ ! -e ran ]
	[ "$(cat out/a list | xargs)" = 'a b' ]
	stat -c '%a %y' list | cmp - ../list.txt

	# Unchanged is not committed again; a change of either is.
	run_json run --name mixed --path out --file list --key one --always -- true
	[ "$(json '[.committed, .commit.unchanged] | map(tostring) |
		join(" ")')" = 'false true' ]
	run_json run --name mixed --path out --file list --key two -- true
	[ "$(json '[.outcome, .committed, .commit.unchanged] | map(tostring) |
		join(" ")')" = 'partial true true' ]
	mixed three -- sh -c 'echo c >>list'
	[ "$(larder cat mixed@three REPO/list | xargs)" = 'b c' ]
	[ "$(larder cat mixed@three REPO/out/a)" = a ]
	[ "$(larder show mixed@three --json | jq .entry.new_files)" = 1 ]
}

@test "a partial hit writes the file, and one that is there is nearer" {
	tool one
	rm bin/tool
	tool two --restore-prefix on
	[ "$(xargs <bin/tool)" = 'one two' ]
	echo local >bin/tool
	run_json run --name tool --file bin/tool --key three -- true
	[ "$(json .outcome)" = partial ]
	[ "$(larder cat tool@three REPO/bin/tool)" = local ]
}

@test "an exact hit replaces what larder knows, and nothing else" {
	tool one
	rm bin/tool
	tool two --no-restore
	tool one -- false
	[ "$(cat bin/tool)" = one ]
	# The same content, with another time: it becomes the entry's.
	touch bin/tool
	tool one -- false
	[ "$(larder ls tool@one REPO/bin/tool --json | jq -r '.items[0].mtime' |
		cut -c 1-19)" = "$(date -u -r bin/tool '+%FT%T')" ]
	echo mine >bin/tool
	run tool one
	[ "$status" -eq 1 ]
	[[ $output == *'not from larder'*--adopt* ]]
	[ "$(cat bin/tool)" = mine ]
	run_json run --name tool --file bin/tool --key one --adopt -- true
	[ "$(json '[.outcome, .rule] | join(" ")')" = 'partial directory' ]
	[ "$(larder cat tool@one REPO/bin/tool)" = mine ]
	# A run that begins with nothing takes away what is known.
	tool one --mode refresh
	[ "$(cat bin/tool)" = one ]
}

@test "--ephemeral takes the file away that was not there before" {
	tool one --ephemeral
	[ -e bin ] && [ ! -e bin/tool ]
	tool one --ephemeral
	[ ! -e bin/tool ]
	echo mine >bin/tool
	tool two --ephemeral
	[ "$(xargs <bin/tool)" = 'mine two' ]
}

@test "--file is a directory: it is kept as one, and mounted when it is made" {
	larder run --name dir --file out --key one -- \
		sh -c 'mkdir -p out/sub && echo x >out/sub/x'
	mountpoint -q out
	[ "$(larder cat dir@one sub/x)" = x ]
	# Nothing is beneath it, and nothing beside it.
	larder umount out
	[ -z "$(ls -A out)" ]
	[ -z "$(ls -A | grep larder-)" ]
	rmdir out
	larder run --name dir --path out --key one -- false
	[ "$(cat out/sub/x)" = x ]
}

@test "what is neither a file nor a directory" {
	mkfifo pipe
	run larder run --name demo --path pipe --key one -- touch ran
	[ "$status" -eq 1 ]
	[[ $output == *'pipe is neither a file nor a directory'* ]]
	[ ! -e ran ]
	run -0 larder run --name demo --file link --file f --key one -- \
		sh -c 'ln -s f link; echo f >f'
	[[ $output == *'link is neither a file nor a directory'* ]]
	[ "$(larder ls demo@one REPO --json | jq -r '.items[].name')" = f ]
}

@test "a file that the store has lost is a miss, and the build goes on" {
	tool one
	larder daemon stop
	find "$XDG_CACHE_HOME/larder/v1/packs" -type f -delete
	rm bin/tool
	run_json run --name tool --file bin/tool --key one -- \
		sh -c 'echo again >bin/tool'
	[ "$(json '[.outcome, .rule, .exit] | map(tostring) | join(" ")')" = \
		'miss none 0' ]
	[ "$(cat bin/tool)" = again ]
	[ "$(ls -A bin)" = tool ]
}

@test "a file that the command makes is no input, unless it is named" {
	echo 1 >main.c
	git add main.c && git -c user.name=t -c user.email=t@t commit -qm one
	larder run --name all --file gen.c --key-file '*.c' -- cp main.c gen.c
	rm gen.c
	run_json run --name all --file gen.c --key-file '*.c' -- touch ran
	[ "$(json .outcome)" = exact ]
	run_json run --name git --file gen.c --key-git -- cp main.c gen.c
	[ "$(json .committed)" = true ]
	run larder run --name named --file gen.c --key-file gen.c -- \
		sh -c 'echo 2 >gen.c'
	[ "$status" -eq 9 ]
	[[ $output == *gen.c* ]]
}

@test "a file in larder.yml" {
	cat >larder.yml <<-'END'
		caches:
		  - name: demo
		    paths: [out]
		    files: [bin/tool]
		    key: one
		    command: echo tool >bin/tool; echo out >out/f
	END
	larder run
	cp larder.yml ../second
	cd ../second
	run -0 larder run
	[[ $output == *'exact hit'* ]]
	[ "$(cat bin/tool out/f | xargs)" = 'tool out' ]
}
