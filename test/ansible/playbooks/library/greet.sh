#!/bin/sh
. "$1"
echo "{\"msg\": \"${salutation}, ${name}!\"}"
