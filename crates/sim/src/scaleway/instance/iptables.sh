#!/bin/sh
# iptables inside an instance of the simulator: its rules are taken down and can be asked for. Nothing is filtered: the
# machine shares its network with others, whose rules it does not see.
table=filter
if [ "${1:-}" = -t ]; then
    table=$2
    shift 2
fi
verb=${1:-}
[ -z "$verb" ] || shift
rules=/run/$(basename "$0").rules
rule="$table $*"
case $verb in
-I | -A) echo "$rule" >>"$rules" ;;
-C) grep -qxF -e "$rule" "$rules" 2>/dev/null ;;
*)
    echo "$(basename "$0"): this machine shares its network with others" >&2
    exit 1
    ;;
esac
