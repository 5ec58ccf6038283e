#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# A git work tree as a part of a key: all that differs makes another key, and
# nothing else does.

load ../helpers

setup() {
	larder_setup
	need git
	git config --global user.name test
	git config --global user.email test@example.org
	git config --global init.defaultBranch main
	git config --global protocol.file.allow always
	make_repository repo
	cd repo || return
}

make_repository() {
	git init -q "$1"
	mkdir "$1/src"
	printf 'one\ntwo\n' >"$1/src/a.c"
	echo b >"$1/src/b.c"
	echo '*.o' >"$1/.gitignore"
	ln -s a.c "$1/src/link"
	git -C "$1" add .
	git -C "$1" commit -qm first
}

key() {
	larder key --key-git "$@"
}

# differs COMMAND...: the key is another after COMMAND.
differs() {
	local before after
	before=$(key)
	"$@"
	after=$(key)
	[ "$before" != "$after" ]
}

# same COMMAND...: the key is the same after COMMAND.
same() {
	local before after
	before=$(key)
	"$@"
	after=$(key)
	[ "$before" = "$after" ]
}

# part KIND NAME: --explain shows it.
part() {
	larder key --explain --key-git | grep -Eq "^$1 +[0-9a-f]{12} $2\$"
}

@test "commits, changes, untracked and removed files make another" {
	differs sh -c 'echo more >>src/a.c'
	part git-file src/a.c
	differs sh -c 'echo new >new'
	part git-file new
	differs sh -c 'echo newer >new'
	differs mv new other
	differs chmod +x other
	part git-exec other
	differs rm src/b.c
	part git-gone src/b.c
	differs ln -sfn b.c src/link
	part git-link src/link
	differs chmod +x src/a.c
	part git-exec src/a.c
	differs git commit -qam second
	differs git commit -q --allow-empty -m third
	! part git-file src/a.c
	part git-file other || part git-exec other
}

@test "what is undone makes the first key again" {
	key=$(key)
	echo more >>src/a.c
	echo new >new
	rm src/b.c
	[ "$(key)" != "$key" ]
	rm new
	git checkout -q .
	[ "$(key)" = "$key" ]
}

@test "staging makes no difference" {
	echo more >>src/a.c
	echo new >new
	rm src/b.c
	same git add -A
	same git reset -q
	same git add -N new
}

@test "ignored files, times and git's own make no difference" {
	same sh -c 'echo x >src/a.o'
	same touch -d 2001-01-01 src/a.c src/b.c
	same git tag v1
	same git branch other
	same git gc -q
	same git checkout -q --detach
}

@test "neither does the place, the user's configuration or the locale" {
	echo more >>src/a.c
	echo new >$'n\xc3\xa9w \xff'
	key=$(key)
	git clone -q . "$TMPDIR/clone"
	cp -r src n* "$TMPDIR/clone/"
	[ "$(cd "$TMPDIR/clone" && key)" = "$key" ]
	[ "$(cd src && key)" = "$key" ]
	[ "$(LC_ALL=C.UTF-8 LANG=de_DE.UTF-8 TZ=Asia/Tokyo key)" = "$key" ]
	echo 'n*' >"$HOME/excludes"
	git config --global core.excludesFile "$HOME/excludes"
	git config --global status.showUntrackedFiles no
	git config --global status.relativePaths false
	git config --global status.renames copies
	git config --global diff.external false
	git config --global diff.noprefix true
	git config --global core.quotePath false
	git config --global core.autocrlf true
	git config --global color.ui always
	git config --global core.trustctime false
	git config --global core.checkStat minimal
	echo 'n*' >>.git/info/exclude
	[ "$(key)" = "$key" ]
	touch src/*
	[ "$(key)" = "$key" ]
	[ "$(GIT_DIR=/nowhere GIT_INDEX_FILE=/nowhere/index key)" = "$key" ]
}

@test "a clean checkout with other line ends is as clean" {
	key=$(key)
	git clone -q -c core.autocrlf=true . "$TMPDIR/crlf"
	grep -q $'\r' "$TMPDIR/crlf/src/a.c"
	cd "$TMPDIR/crlf"
	[ "$(key)" = "$key" ]
	touch src/a.c
	[ "$(key)" = "$key" ]
}

@test "the repository stays as it is" {
	touch src/a.c
	before=$(find . -type f -printf '%p %T@ %C@\n' | sort)
	key
	[ "$(find . -type f -printf '%p %T@ %C@\n' | sort)" = "$before" ]
}

@test "files that git was told not to look at are looked at" {
	git update-index --assume-unchanged src/a.c
	differs sh -c 'echo more >>src/a.c'
	git update-index --no-assume-unchanged src/a.c
	git checkout -q src/a.c
	git update-index --skip-worktree src/b.c
	differs sh -c 'echo more >>src/b.c'
	differs rm src/b.c
	part git-sparse ''
}

# index_is_old: young files are not remembered.
index_is_old() {
	[ $(($(date +%s) - $(stat -c %Z .git/index))) -gt 2 ]
}

# listings COMMAND...: how often git listed files, or their changes, meanwhile.
listings() {
	GIT_TRACE=$PWD/../trace "$@" >/dev/null
	grep -c 'built-in: git \(ls-files\|status\)' ../trace
	rm ../trace
}

@test "an index that has been looked through is known as long as it stays" {
	git -c protocol.file.allow=always submodule --quiet add "$PWD" sub
	git commit -qm sub
	echo untracked >untracked
	echo '!/out' >>.gitignore
	with=$(key)
	wait_until index_is_old
	[ "$(key)" = "$with" ]
	# A submodule has to be found each time.
	[ "$(listings key)" -ge 3 ]
	part git-head sub/

	git rm -q --cached sub
	rm -rf sub .git/modules .gitmodules
	git commit -qam 'no sub'
	without=$(key)
	wait_until index_is_old
	[ "$(key)" = "$without" ]
	[ "$(listings key)" -eq 1 ]
	[ "$(key)" = "$without" ]
	part git-file untracked
	differs sh -c 'echo more >>untracked'
	# An output, even if .gitignore wants it back; a file beside it.
	mkdir out
	echo x >out/x
	[ "$(key --path out)" != "$(key)" ]
	same_as=$(key --path out)
	echo y >out/y
	[ "$(key --path out)" = "$same_as" ]

	# Told not to look, git is not believed.
	git update-index --assume-unchanged src/a.c
	differs sh -c 'echo changed >>src/a.c'
	git update-index --no-assume-unchanged src/a.c
	part git-file src/a.c
	# What this clone ignores is an input all the same.
	same=$(key)
	echo untracked >>.git/info/exclude
	[ "$(key)" = "$same" ]
	[ "$(listings key)" -eq 2 ]
}

@test "a sparse checkout is another tree, and not a long list" {
	mkdir many
	touch many/{1..500}
	git add many
	git commit -qm many
	differs git sparse-checkout set --cone src
	[ ! -e many ]
	[ "$(larder key --key-git --explain | wc -l)" -lt 6 ]
	differs git sparse-checkout disable
}

@test "directories in the place of files, and other replacements" {
	echo content >src/deep
	git add .
	git commit -qm deep
	differs rm src/deep
	same mkdir src/deep
	differs touch src/deep/file
	part git-file src/deep/file
	rm -r src
	mkdir elsewhere
	cp .gitignore elsewhere/a.c
	differs ln -s elsewhere src
	part git-gone src/a.c
	part git-link src
	differs rm src
	same mkfifo src
}

@test "submodules count with their commit and their files" {
	make_repository ../lib
	git submodule -q add "$(realpath ../lib)" lib
	git commit -qm lib
	part git-head lib/
	differs sh -c 'echo more >>lib/src/a.c'
	part git-file lib/src/a.c
	differs sh -c 'echo new >lib/new'
	git -C lib add .
	differs git -C lib commit -qm inside
	differs git submodule -q update
	git config --global core.excludesFile "$HOME/excludes"
	git config --global diff.ignoreSubmodules all
	git config submodule.lib.ignore all
	echo 'n*' >"$HOME/excludes"
	differs sh -c 'echo new >lib/new'
	rm lib/new
	same sh -c 'echo x >lib/src/a.o'
	git clone -q . "$TMPDIR/clone"
	cd "$TMPDIR/clone"
	part git-gone lib/
	git submodule -q update --init
	[ "$(key)" = "$(cd "$OLDPWD" && key)" ]
}

@test "a repository that lies untracked in another is part of it" {
	make_repository inner
	part git-head inner/
	differs sh -c 'echo more >>inner/src/a.c'
	part git-file inner/src/a.c
	git init -q empty
	differs sh -c 'echo x >empty/x'
	part git-file empty/x
}

@test "odd names" {
	differs touch $'new\nline' $'\xff\xfe' 'back\slash' ' blank ' '"' -- \
		-dash '[x]'
	[ "$(larder key --key-git --explain | grep -c git-file)" -eq 7 ]
	git add .
	git commit -qm odd
	differs sh -c 'echo x >"[x]"'
	need jq
	run_json key --key-git --explain
	[ "$(json '.parts[] | select(.kind == "git-file") | .name')" = '[x]' ]
}

@test "an unmerged file counts as it is" {
	git checkout -qb side
	echo side >src/a.c
	git commit -qam side
	git checkout -q main
	echo main >src/a.c
	git commit -qam main
	run ! git merge -q side
	part git-file src/a.c
	differs sh -c 'echo resolved >src/a.c'
}

@test "no git, no repository, no commit: one sentence each" {
	cd "$TMPDIR"
	run --separate-stderr larder key --key-git
	[ "$status" -eq 1 ]
	[[ $stderr == "larder: --key-git: "*"not a git repository"* ]]
	[ "$(wc -l <<<"$stderr")" -eq 1 ]
	git init -q none
	cd none
	run --separate-stderr larder key --key-git
	[ "$status" -eq 1 ]
	[[ $stderr == *"no commit yet"* ]]
	git init -q --bare ../bare
	cd ../bare
	run --separate-stderr larder key --key-git
	[ "$status" -eq 1 ]
	[[ $stderr == *"work tree"* ]]
	cd ../../repo
	run --separate-stderr env PATH="$TMPDIR" "$LARDER" key --key-git
	[ "$status" -eq 1 ]
	[[ $stderr == *"git is not installed"* ]]
}

@test "a damaged index is an error and not another key" {
	echo garbage >.git/index
	run --separate-stderr larder key --key-git
	[ "$status" -eq 1 ]
	[ -z "$output" ]
	[[ $stderr == *"larder: --key-git"* ]]
}

@test "outputs are no inputs" {
	require_fuse
	key=$(key)
	larder run -q --path out --key-git -- sh -c 'echo x >out/x'
	[ "$(key)" = "$key" ]
	run --separate-stderr larder run --path out --key-git -- false
	[ "$status" -eq 0 ]
	[[ $stderr == *"exact hit"* ]]
}

@test "a plain output directory is no input where it is named" {
	key=$(key)
	mkdir out
	echo x >out/x
	[ "$(key)" != "$key" ]
	[ "$(key --path out)" = "$key" ]
	[ "$(cd src && key --path ../out)" = "$key" ]
	[ "$(larder import -q out --name out --key-git)" = "out@$key" ]
	run larder why --name out --key-git --path out
	[[ $output == *"there is an entry"* ]]
	files=$(larder key --key-file '**/*' --path out)
	[ "$files" = "$(larder key --key-file 'src/**')" ]
	[ "$files" != "$(larder key --key-file '**/*')" ]
	mkdir 'o[u]t *'
	echo x >'o[u]t */x'
	[ "$(key --path out --path 'o[u]t *')" = "$key" ]
}

@test "inputs that the command changes mean no commit" {
	require_fuse
	run --separate-stderr larder run --path out --key-git -- \
		sh -c 'echo x >out/x; echo more >>src/a.c'
	[ "$status" -eq 9 ]
	[[ $stderr == *src/a.c* ]]
	run_json list
	[ "$(json '.entries | length')" -eq 0 ]
}
