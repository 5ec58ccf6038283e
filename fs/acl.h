/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POSIX ACLs as attributes carry them, and how they and the permission bits
 * of a mode follow each other. Pure functions; any thread. Who may do what is
 * decided by the kernel, which asks for the attributes.
 *
 * An encoded ACL is u32 version 2, then entries of u16 tag, u16 permissions,
 * u32 id, all little-endian. The owner, the owning group and the others have
 * one entry each. Where there are entries for other users or groups there is
 * a mask, and then the group bits of the mode are the mask's.
 */
#ifndef LARDER_FS_ACL_H
#define LARDER_FS_ACL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ACL_ACCESS "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"

/* The attribute's name is that of an ACL. */
bool acl_is_name(const char *name);

/* -EINVAL for bytes that are no ACL. All below want one that passed. */
int acl_check(const void *acl, size_t len);

/* `mode` with the permission bits that the ACL stands for. */
uint32_t acl_mode(const void *acl, size_t len, uint32_t mode);

/* Whether it says nothing that a mode does not say. */
bool acl_is_mode(const void *acl, size_t len);

/* chmod: gives the entries the permissions of `mode`. */
void acl_set_mode(void *acl, size_t len, uint32_t mode);

/* Makes a directory's default ACL the access ACL of a new inode for which
 * `mode` was asked: both lose what the other does not permit. */
void acl_inherit(void *acl, size_t len, uint32_t *mode);

#endif
