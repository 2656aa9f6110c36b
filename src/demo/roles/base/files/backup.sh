#!/bin/sh
# Packs a directory beside the home's cache: backup DIRECTORY
set -e
tar -cf "$HOME/var/cache/$(basename "$1").tar" -C "$(dirname "$1")" "$(basename "$1")"
echo "packed $(ls "$1" | wc -l) files of $1"
