#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# A workspace without dependencies, its target directory mounted: on a hit
# cargo finds all of it fresh.

load ../helpers

setup() {
	# Where rustup keeps its toolchains, before there is another home.
	export CARGO_HOME=${CARGO_HOME:-$HOME/.cargo}
	export RUSTUP_HOME=${RUSTUP_HOME:-$HOME/.rustup}
	larder_setup
	require_fuse
	need cargo cc
	export CARGO_NET_OFFLINE=true CARGO_TERM_COLOR=never
	cargo --version >/dev/null 2>&1 || skip "cargo does not run here"

	mkdir -p work/{base,program}/src
	cd work || return
	cat >Cargo.toml <<-'END'
		[workspace]
		members = ["base", "program"]
		resolver = "2"
	END
	cat >base/Cargo.toml <<-'END'
		[package]
		name = "base"
		version = "0.1.0"
		edition = "2021"
	END
	echo 'pub fn one() -> i32 { 1 }' >base/src/lib.rs
	cat >program/Cargo.toml <<-'END'
		[package]
		name = "program"
		version = "0.1.0"
		edition = "2021"
		[dependencies]
		base = { path = "../base" }
	END
	echo 'fn main() { std::process::exit(base::one() - 1) }' \
		>program/src/main.rs
	cargo generate-lockfile --offline -q || skip "cargo needs a network"
	find . -exec touch -d '2021-01-01 00:00:00.123456789 UTC' {} +
}

build() {
	larder run --path target --name target --key-file '**/*.rs' \
		--key-file '**/Cargo.*' -- cargo build --offline
}

@test "cargo compiles nothing on a hit, and what changed after that" {
	run build
	[ "$status" -eq 0 ]
	[[ $output == *"Compiling base"* ]]
	target/debug/program

	# Cargo's fingerprints have the path of the sources: the same clone
	# again, after its target directory was taken away.
	larder umount target
	rmdir target
	run build
	[ "$status" -eq 0 ]
	[[ $output != *Compiling* ]]
	run cargo build --offline
	[ "$status" -eq 0 ]
	[[ $output == *Finished* ]]
	[[ $output != *Compiling* ]]
	target/debug/program

	echo 'fn main() { std::process::exit(base::one() - 1 + 0) }' \
		>program/src/main.rs
	run build
	[ "$status" -eq 0 ]
	[[ $output == *"Compiling program"* ]]
	[[ $output != *"Compiling base"* ]]
	target/debug/program
}

@test "cargo clean and cargo build again in a mounted target" {
	build
	cargo clean --offline -q || rm -rf target/*
	cargo build --offline
	target/debug/program
}
