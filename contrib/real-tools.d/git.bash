# shellcheck shell=bash disable=SC2154,SC2164 # real-tools sets both
# SPDX-License-Identifier: Apache-2.0
#
# Part of real-tools: a clone of a repository of 4,000 files and 3,000 commits
# on three branches, and what people do in one.

git_environment() {
	export GIT_CONFIG_GLOBAL=$bench_dir/gitconfig GIT_CONFIG_NOSYSTEM=1
	git config --file "$GIT_CONFIG_GLOBAL" user.name Test
	git config --file "$GIT_CONFIG_GLOBAL" user.email test@localhost
	git config --file "$GIT_CONFIG_GLOBAL" gc.autoDetach false
	git config --file "$GIT_CONFIG_GLOBAL" advice.detachedHead false
	git config --file "$GIT_CONFIG_GLOBAL" protocol.file.allow always
	export GIT_AUTHOR_DATE='1700000000 +0000'
	export GIT_COMMITTER_DATE='1700000000 +0000'
}

# The history, for git fast-import: each commit changes one file in twenty
# directories of a branch; the first one of a branch makes them all.
git_history() {
	awk 'function file(b, i) {
		printf "M 100%d inline d%d/%s/f%d\n",
			i % 9 ? 644 : 755, i % 20, i % 3 ? "a" : "b", i
		text = sprintf("branch %s file %d commit %d\n", b, i, mark)
		for (k = 0; k < i % 40; k++)
			text = text sprintf("line %d of %d\n", k, i * mark)
		printf "data %d\n%s\n", length(text), text
	}
	function commit(b, from) {
		mark++
		printf "commit refs/heads/%s\nmark :%d\n", b, mark
		printf "committer Test <test@localhost> %d +0000\n",
			1600000000 + mark * 60
		printf "data 10\ncommit %03d\n", mark % 1000
		if (from)
			printf "from :%d\n", from
	}
	BEGIN {
		commit("main")
		for (i = 0; i < 4000; i++)
			file("main", i)
		start = mark
		for (b = 1; b <= 3; b++) {
			name = b == 1 ? "main" : "topic" b
			for (c = 0; c < 1000; c++) {
				commit(name, c == 0 ? start : 0)
				file(name, c % 2 * 1000 + b * 300 + c * 7 % 300)
				if (c % 50 == 49) {
					i = 3990 - b * 300 - c / 10
					i -= i % 3
					printf "D d%d/b/f%d\n", i % 20, i
				}
			}
		}
	}'
}

git_inputs() {
	git_environment
	git init -q --bare -b main "$inputs/origin"
	git_history | git -C "$inputs/origin" fast-import --quiet
	[ "$(git -C "$inputs/origin" rev-list --all | wc -l)" -eq 3001 ]
}

git_first() {
	git_environment
	git clone -q "file://$inputs/origin" clone
	cd clone
	git checkout -q -b topic2 origin/topic2
	git checkout -q main
}

git_second() {
	git_environment
	cd clone
	# An imported file has another inode number than the index knows.
	git update-index -q --refresh
	for branch in topic2 main topic3 HEAD~500 main; do
		git checkout -q "$branch"
		[ -z "$(git status --porcelain)" ]
	done
	git merge -q -X ours -m 'a merge' topic2
	git mv d3 moved
	git commit -q -a -m 'a directory renamed'
	echo more >>moved/b/f3
	git stash -q
	git stash pop -q
	git commit -q -a -m 'a change'
	git rebase -q --onto HEAD~1 HEAD~1
	git worktree add -q ../tree topic3
	git clone -q . ../local
	git branch -D topic2
	git reflog expire --expire=now --all
	git gc -q --prune=now
	git fsck --strict --no-dangling
	git -C ../local fsck --no-dangling
	git -C ../tree status --porcelain
	git repack -q -a -d -f --depth=10
	git fsck --strict --no-dangling
	[ -z "$(git status --porcelain)" ]
}

# The index has inode numbers and times in it, and packs depend on the number
# of threads.
git_result() {
	git_environment
	(
		cd "$1"
		for repository in clone local tree; do
			git -C "$repository" rev-list --objects --all
			git -C "$repository" status --porcelain
			git -C "$repository" ls-files -s
		done
		find . -name .git -prune -o -type f -printf '%m %P\0' |
			sort -z | sha256sum
		find . -name .git -prune -o -type f -print0 | sort -z |
			xargs -0 sha256sum
	)
}
