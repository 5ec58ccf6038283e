/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams to systemd. No state. */
#include "notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "store/base/cleanup.h"

/* A path, or behind an @ a name in the abstract name space. */
static int address(const char *name, struct sockaddr_un *ret_addr,
		   socklen_t *ret_len)
{
	size_t len = strlen(name);

	if ((name[0] != '/' && name[0] != '@') || len < 2)
		return -EINVAL;
	if (len >= sizeof(ret_addr->sun_path))
		return -ENAMETOOLONG;
	*ret_addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(ret_addr->sun_path, name, len);
	if (name[0] == '@')
		ret_addr->sun_path[0] = '\0';
	*ret_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	return 0;
}

int notify_send(const char *text)
{
	const char *name = getenv("NOTIFY_SOCKET");
	_cleanup_close_ int fd = -1;
	struct sockaddr_un addr;
	socklen_t len;
	int r;

	if (!name || !*name)
		return 0;
	r = address(name, &addr, &len);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || sendto(fd, text, strlen(text), MSG_NOSIGNAL,
			     (struct sockaddr *)&addr, len) < 0)
		return -errno;
	return 0;
}
