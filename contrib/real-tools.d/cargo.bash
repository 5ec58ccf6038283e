# shellcheck shell=bash disable=SC2154,SC2164 # real-tools sets both
# SPDX-License-Identifier: Apache-2.0
#
# Part of real-tools: a workspace without dependencies, built incrementally.
# cargo links what it makes from target/debug/deps to target/debug, and rustc
# links what it keeps of one session into the next.

cargo_inputs() {
	if ! cargo --version || ! command -v cc; then
		echo "cargo or a linker is not installed"
		return 77
	fi
	mkdir -p "$inputs/crates"
	(
		cd "$inputs/crates"
		cat >Cargo.toml <<-'END'
			[workspace]
			members = ["crate*"]
			resolver = "2"
		END
		for n in 1 2 3 4 5 6; do
			mkdir -p crate$n/src
			cat >crate$n/Cargo.toml <<-END
				[package]
				name = "crate$n"
				version = "0.1.0"
				edition = "2021"
				[dependencies]
			END
			[ "$n" -eq 1 ] ||
				echo "crate1 = { path = \"../crate1\" }" \
					>>crate$n/Cargo.toml
			cargo_source $n 1
		done
		cargo generate-lockfile --offline -q
	)
}

# cargo_source N ANSWER: crate1 is a library, the others use it.
cargo_source() {
	local i
	{
		for i in {1..60}; do
			echo "pub fn f$i(x: u64) -> u64 { x * $i + $2 }"
		done
		[ "$1" -eq 1 ] ||
			echo "fn main() { println!(\"{}\", f$1(crate1::f1(1))); }"
	} >"crate$1/src/$([ "$1" -eq 1 ] && echo lib || echo main).rs"
}

cargo_build() {
	cargo build --offline --workspace 2>cargo.err || {
		cat cargo.err
		return 1
	}
	sed -n 's/^ *Compiling \(crate[0-9]\).*/\1/p' cargo.err | sort
}

cargo_first() {
	cp -a "$inputs/crates" crates
	cd crates
	export CARGO_INCREMENTAL=1 CARGO_TERM_COLOR=never
	[ "$(cargo_build | wc -l)" -eq 6 ]
}

cargo_second() {
	local n
	cd crates
	export CARGO_INCREMENTAL=1 CARGO_TERM_COLOR=never
	[ -z "$(cargo_build)" ]
	cargo_source 3 5
	[ "$(cargo_build)" = crate3 ]
	cargo_source 1 7
	[ "$(cargo_build | wc -l)" -eq 6 ]
	[ -z "$(cargo_build)" ]
	cargo clean -q --offline -p crate4
	[ "$(cargo_build)" = crate4 ]
	cargo build -q --offline --release -p crate5
	for n in 2 3 4 5 6; do
		[ "target/debug/crate$n" -ef \
			"$(find target/debug/deps -links 2 -type f \
				-name "crate$n-*" ! -name '*.d')" ]
		target/debug/crate$n
	done >output
	# What was kept of the session before was linked, not copied.
	[ -n "$(find target/debug/incremental -type f -links +1)" ] ||
		echo "no links in incremental" >>output
}

# Names of sessions are random.
cargo_result() {
	(
		cd "$1/crates"
		cat output
		find . -path '*/incremental/*' -prune -o ! -name '*.err' \
			-printf '%y %m %n %P\n' | sort
		find target -path '*/incremental/*' -prune -o -type f \
			-perm /111 -print0 | sort -z | xargs -0 sha256sum
	)
}
