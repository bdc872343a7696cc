#!/bin/sh
# apt-get inside an instance of the simulator: packages that this machine has are there, a few programs come from the
# simulator's mirror, everything else is unknown. Nothing is fetched.
action= packages= missing= skip=
for word; do
    if [ -n "$skip" ]; then
        skip=
        continue
    fi
    case $word in
    -o | -t | -c) skip=yes ;;
    -*) ;;
    *) if [ -z "$action" ]; then action=$word; else packages="$packages $word"; fi ;;
    esac
done
[ "$action" = install ] || exit 0
for package in $packages; do
    name=${package%%[=/:]*}
    if dpkg-query -W -f '${db:Status-Abbrev}' "$name" 2>/dev/null | grep -q '^ii'; then
        echo "$name is already the newest version."
    elif [ -x "/usr/lib/scw-mirror/$name" ]; then
        cp "/usr/lib/scw-mirror/$name" "/usr/bin/$name" && echo "Setting up $name ..."
    else
        echo "E: Unable to locate package $name" >&2
        missing=yes
    fi
done
[ -z "$missing" ] || exit 100
