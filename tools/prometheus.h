/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers of the daemon in Prometheus's text format (0.0.4). Counters go on
 * counting when a mount ends, and begin again with the daemon's worker. The
 * only labels are opcodes, reasons, and tiers' names: nothing that grows with
 * what is mounted or stored. No state.
 */
#ifndef LARDER_TOOLS_PROMETHEUS_H
#define LARDER_TOOLS_PROMETHEUS_H

#include "sample.h"
#include "store/base/buf.h"

/* Appends all of a sample, or that no daemon is running. -ENOMEM. */
int prometheus_put(const struct sample *s, struct buf *out);

#endif
