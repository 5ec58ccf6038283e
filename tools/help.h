/* SPDX-License-Identifier: Apache-2.0 */
/* The help texts, made from the tables, within 80 columns. */
#ifndef LARDER_TOOLS_HELP_H
#define LARDER_TOOLS_HELP_H

#include <stdio.h>

#include "cmd.h"

void help_command(FILE *f, const struct command *cmd);

/* `commands` ends with NULL. */
void help_overview(FILE *f, const struct command *const *commands);

#endif
