#!/bin/bash -e
# Calculate hash from files and directories supplied as arugments
find "$@" -type f -exec md5sum {} \; | md5sum | cut -c1-32
