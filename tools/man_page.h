/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manual page of a command, made from the table that its help and its
 * parser have, so that it has every option. No state.
 */
#ifndef LARDER_TOOLS_MAN_PAGE_H
#define LARDER_TOOLS_MAN_PAGE_H

#include <stdio.h>

#include "cmd.h"

void man_page_print(FILE *f, const struct command *cmd);

#endif
