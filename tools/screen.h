/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terminal as a page that is drawn again and again: its other screen,
 * single keys, its size. It is as it was before whenever the process ends or
 * is stopped, however that comes about, but by SIGKILL. Plain ANSI sequences.
 * One for the process; one thread.
 */
#ifndef LARDER_TOOLS_SCREEN_H
#define LARDER_TOOLS_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

/* Whether standard output is a terminal that can do that. */
bool screen_is_possible(void);

int screen_open(void); /* -errno */
void screen_close(void);

/* Draws lines of text, cut to the size of the terminal. Each byte that is a
 * control character becomes a '?'. */
void screen_draw(const char *text, size_t len);

enum {
	SCREEN_TIME = 0,    /* it has passed */
	SCREEN_RESIZED = 1, /* draw again */
	SCREEN_ENDED = 2,   /* screen_signal(), or the terminal has gone */
};

/* Waits at most `ms`: one of the above, or a key (from ' ' on). */
int screen_wait(int ms);

/* The signal that is to end the process, or 0. */
int screen_signal(void);

#endif
