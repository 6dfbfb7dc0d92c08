#!/bin/sh
# What starts in the container.
#   no argument, or options only    gloinone run /in /out OPTIONS   (/INPUTS and /OUTPUTS where those are mounted)
#   anything else                   gloinone ARGUMENTS              e.g. demo /out, doctor, train ..., --version
# Started as root, the program runs as the owner of /out, so that the results belong to the caller.
set -eu

fallback=10001 # who the program is when /out belongs to root too

stop() {
  echo "error: $1" >&2
  exit 2
}

empty() {
  [ -z "$(ls -A "$1" 2>/dev/null)" ]
}

# Root that is somebody else outside: rootless engines and Apptainer's --fakeroot. There root is the caller already.
rootless() {
  read -r _ outside _ </proc/self/uid_map
  [ "$outside" != 0 ]
}

in=/in out=/out
# The mount points of Glo-In-One's image, for scripts that already use them.
if [ -d /INPUTS ] && { [ ! -d /in ] || empty /in; }; then in=/INPUTS; fi
if [ -d /OUTPUTS ]; then out=/OUTPUTS; fi

whole_job=no
case "${1-}" in
  --help | -h | --version) ;;
  '' | -*) whole_job=yes ;;
esac

# Root gives up its rights before Python starts; where it has lost the power to (all capabilities dropped), it stays.
drop=
if [ "$(id -u)" = 0 ] && [ -d "$out" ] && ! rootless; then
  owner=$(stat -c %u:%g "$out")
  if [ "${owner%:*}" = 0 ]; then
    owner=$fallback:$fallback
    chown "$owner" "$out" 2>/dev/null || owner=
  fi
  if [ -n "$owner" ]; then
    drop="setpriv --reuid ${owner%:*} --regid ${owner#*:} --clear-groups --"
    $drop true 2>/dev/null || drop=
  fi
fi

if [ "$whole_job" = yes ]; then
  [ -d "$in" ] || stop "no $in; mount the folder of slides: -v \"\$PWD/slides:$in\""
  # shellcheck disable=SC2086 # $drop is a command line
  $drop test -r "$in" -a -x "$in" || stop "$in cannot be read by uid $($drop id -u); make the folder readable, or add --user \"\$(id -u):\$(id -g)\""
  if empty "$in"; then
    stop "$in is empty. \`-v slides:$in\` mounts a Docker volume called slides, not the folder; write \`-v \"\$PWD/slides:$in\"\`"
  fi
  # shellcheck disable=SC2086
  if ! [ -d "$out" ] || ! $drop test -w "$out"; then
    stop "$out cannot be written. Make the folder first, \`mkdir -p out\`, mount it with \`-v \"\$PWD/out:$out\"\`, and add \`--user \"\$(id -u):\$(id -g)\"\`"
  fi
  mountpoint -q "$out" || echo "warning: nothing is mounted at $out; the results will be lost with this container. Add \`-v \"\$PWD/out:$out\"\`" >&2
  set -- run "$in" "$out" "$@"
fi

# exec: the program itself gets the signals of docker stop.
# shellcheck disable=SC2086
exec $drop gloinone "$@"
