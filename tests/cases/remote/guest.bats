#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# A guest and its host: two network namespaces with a wire between them. The
# guest has a root, a user and a store of its own; what the host serves comes
# over the wire, or through a directory that both have. The files of
# contrib/guest are used as they are, but for addresses.

load ../helpers
load common

setup() {
	larder_setup
	require_root
	require_fuse
	PATH=$PATH:/usr/sbin:/sbin
	need ip nginx nsenter unshare chroot jq curl
	contrib=$LARDER_SRCDIR/contrib/guest
	host=lrd-h$$ guest=lrd-g$$
	ip netns add "$host" 2>/dev/null ||
		skip "no network namespace can be made"
	ip netns add "$guest"
	ip -n "$host" link add wire type veth peer name wire netns "$guest" ||
		skip "no veth can be made"
	wire_up "$host" 192.0.2.1
	wire_up "$guest" 192.0.2.2
	make_remote_tree tree
	guest_up
}

teardown() {
	[ -z "${guest_pid:-}" ] || in_guest larder daemon stop -q || true
	[ -z "${guest_pid:-}" ] || kill "$guest_pid" || true
	[ -z "${nginx_pid:-}" ] || kill "$nginx_pid" || true
	[ -z "${host:-}" ] || ip netns del "$host" 2>/dev/null || true
	[ -z "${guest:-}" ] || ip netns del "$guest" 2>/dev/null || true
	machines_teardown
}

wire_up() {
	ip -n "$1" addr add "$2/24" dev wire
	ip -n "$1" link set wire up
	ip -n "$1" link set lo up
}

# guest_up: a root with the system's programs, and directories of its own for
# all else. A process keeps its namespaces; its number is in $guest_pid.
guest_up() {
	as_user true # makes the user, and opens /dev/fuse to it
	root=$BATS_TEST_TMPDIR/guest
	mkdir -p "$root"/{proc,dev,etc,tmp,run/user,home/dev,usr,mnt/larder}
	mkdir "$root/opt"
	cp "$LARDER" "$LARDERD" "$root/opt"
	mkdir -p "$root"/home/dev/.config/larder "$root/home/dev/project/out"
	chown -R "$LARDER_TEST_USER:" "$root"/{home/dev,run/user}
	chmod 700 "$root/run/user"
	ip netns exec "$guest" unshare -m --propagation private \
		sleep infinity 3>&- &
	guest_pid=$!
	wait_until guest_is_apart
	nsenter -t "$guest_pid" -m sh -ec '
		cd "$1"
		mount --rbind /usr usr
		mount --rbind /dev dev
		mount -t proc proc proc
		cp /etc/passwd /etc/group /etc/ld.so.cache etc/
		for link in bin sbin lib lib64; do
			[ ! -e /$link ] || ln -s usr/$link $link
		done
		ln -s /proc/self/mounts etc/mtab
		[ ! -e /etc/ssl ] || cp -rL /etc/ssl etc/ 2>/dev/null || true
		[ ! -e /etc/alternatives ] || cp -a /etc/alternatives etc/' \
		sh "$root"
}

guest_is_apart() {
	[ "$(readlink "/proc/$guest_pid/ns/mnt")" != \
		"$(readlink /proc/self/ns/mnt)" ] &&
		[ "$(readlink "/proc/$guest_pid/ns/net")" != \
			"$(readlink /proc/self/ns/net)" ] &&
		[ "$(cat "/proc/$guest_pid/comm")" = sleep ]
}

# in_guest COMMAND... as the guest's user, in its home.
in_guest() {
	nsenter -t "$guest_pid" -m -n chroot "--userspec=$LARDER_TEST_USER" \
		"$root" env -i HOME=/home/dev USER=dev PATH=/opt:/usr/bin \
		XDG_RUNTIME_DIR=/run/user LARDERD=/opt/larderd \
		sh -c 'cd && exec "$@"' sh "$@"
}

# The guest's configuration, of which FILTER keeps one of the two ways.
configure_guest() {
	sed "$1" "$contrib/config.yml" >"$root/home/dev/.config/larder/config.yml"
}

# The tree that a command of the guest sees at a path.
guest_tree() {
	in_guest tar -C "$1" -cf - . | tree_of_tar
}

tree_of_tar() {
	mkdir -p "$BATS_TEST_TMPDIR/seen"
	rm -rf "$BATS_TEST_TMPDIR/seen"
	mkdir "$BATS_TEST_TMPDIR/seen"
	tar -C "$BATS_TEST_TMPDIR/seen" -xf -
	diff -r "$BATS_TEST_TMPDIR/seen" tree
}

# What a session of the guest does: the unit's mount, a build, a commit.
guest_works() {
	local unit=$LARDER_SRCDIR/contrib/systemd/larder-mount@.service.in start
	start=$(sed -n 's/^ExecStart=//p' "$unit" | sed \
		's,@bindir@,/opt,g; s,\$\$,$,g; s,%f,project/out,')
	in_guest env ENTRY=app@k1 sh -c "$start"
	guest_tree project/out
	in_guest sh -c 'echo built >project/out/new'
	in_guest larder commit -q project/out --name app --key k2 --wait
	# The host's store, and the rest of it, are out of reach.
	in_guest test ! -e "$BATS_TEST_TMPDIR"
	# An end of the session keeps what was changed since.
	in_guest sh -c 'echo later >project/out/later'
	in_guest larder umount -q project/out
	in_guest env ENTRY=app@k1 sh -c "$start"
	[ "$(in_guest cat project/out/later)" = later ]
	in_guest larder umount -q --discard project/out
}

@test "a guest over HTTP: the host's entry, and back what it built" {
	local srv=$BATS_TEST_TMPDIR/srv
	mkdir -p "$srv/larder" "$srv/tmp"
	chmod 755 "$BATS_TEST_TMPDIR"
	{
		echo "daemon off; user root; pid $srv/pid;"
		echo "error_log $srv/error.log; events { } http {"
		echo "access_log off;"
		sed "s,/srv/guests,$srv,g" "$contrib/host-nginx.conf"
		echo "}"
	} >"$srv/conf"
	ip netns exec "$host" nginx -c "$srv/conf" -p "$srv" 3>&- &
	nginx_pid=$!
	wait_until ip netns exec "$host" curl -s -o /dev/null 192.0.2.1:8370/
	on host "$LARDER" import -q tree --name app --key k1
	on host "$LARDER" daemon stop -q
	on host ip netns exec "$host" "$LARDER" push -q \
		--to http://192.0.2.1:8370/larder app@k1
	configure_guest ''
	guest_works
	on host ip netns exec "$host" "$LARDER" pull -q \
		--from http://192.0.2.1:8370/larder app@k2
	[ "$(on host "$LARDER" cat app@k2 new)" = built ]
	# Nobody outside of the wire reaches it.
	run ! curl -s -o /dev/null --connect-timeout 1 192.0.2.1:8370/
}

@test "a guest over a share that it mounts" {
	mkdir -m 777 share
	nsenter -t "$guest_pid" -m mount --bind "$PWD/share" "$root/mnt/larder"
	(umask 000 && on host "$LARDER" import -q tree --name app --key k1 &&
		on host "$LARDER" push -q --to "file://$PWD/share" app@k1)
	chmod -R a+rwX share
	configure_guest '/- name: host/,/access/{/^  #/!d}; s/^  # /  /'
	grep -q '^    url: file:///mnt/larder' \
		"$root/home/dev/.config/larder/config.yml"
	guest_works
	on host "$LARDER" pull -q --from "file://$PWD/share" app@k2
	[ "$(on host "$LARDER" cat app@k2 new)" = built ]
}
